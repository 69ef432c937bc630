"""SegFormer3D: a four-stage pyramid transformer over volumes with an all-MLP decoder.

Perera, Navard, Yilmaz, "SegFormer3D: an Efficient Transformer for 3D Medical Image Segmentation",
CVPRW 2024 (arXiv 2404.10156). Modules bear the official names, so that official files load as they
are; the decoder's ``bn`` is a LayerNorm for that reason. Volumes are (B, C, D, H, W) of any size:
positions come from the convolutions.

Ours: sizes that are not cubes, a stride per axis and a first stride of 2 for small volumes, and
the folded decoder, which gives the same logits in evaluation without ever building the four scales
side by side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.errors import UsageError

NORM_EPS = 1e-5
STAGES = 4


@dataclass(frozen=True)
class SegFormer3DConfig:
    """Sizes of a network; the defaults are the released BraTS configuration (section 3 of the
    paper).

    ``patch_kernel`` and ``patch_stride`` are one number or three (D, H, W) for each of the four
    stages; the first stage's stride is the resolution of the decoder. ``sr_ratios``: by how much
    keys and values are reduced. In ``attn_scale`` attention is divided by the root of ``head_dim``,
    as is right, or of ``num_heads``, as the released code did until November 2025 and its published
    weights were trained.
    """

    in_channels: int = 4
    num_classes: int = 3
    embed_dims: Sequence[int] = (32, 64, 160, 256)
    num_heads: Sequence[int] = (1, 2, 5, 8)
    depths: Sequence[int] = (2, 2, 2, 2)
    sr_ratios: Sequence[int] = (4, 2, 1, 1)
    mlp_ratios: Sequence[int] = (4, 4, 4, 4)
    patch_kernel: Sequence[int | Sequence[int]] = (7, 3, 3, 3)
    patch_stride: Sequence[int | Sequence[int]] = (4, 2, 2, 2)
    decoder_dim: int = 256
    decoder_dropout: float = 0.0
    drop_path: float = 0.0
    attn_scale: str = "head_dim"

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        lists = (
            "embed_dims",
            "num_heads",
            "depths",
            "sr_ratios",
            "mlp_ratios",
            "patch_kernel",
            "patch_stride",
        )
        for name in lists:
            if len(getattr(self, name)) != STAGES:
                raise UsageError("segformer3d", f"{name} needs four values, one per stage")
        faults = {
            "embed_dims do not divide by num_heads": any(
                dim % heads for dim, heads in zip(self.embed_dims, self.num_heads, strict=True)
            ),
            f"attn_scale {self.attn_scale} is neither head_dim nor num_heads": self.attn_scale
            not in ("head_dim", "num_heads"),
            "patch_kernel must be odd": any(
                k % 2 == 0 for kernel in self.patch_kernel for k in axes(kernel)
            ),
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("segformer3d", fault)

    @property
    def smallest(self) -> tuple[int, int, int]:
        """The fewest voxels of an axis: every stage's grid holds at least one reduced key."""
        sides, stride = [1, 1, 1], [1, 1, 1]
        for number in range(STAGES):
            stride = [a * b for a, b in zip(stride, axes(self.patch_stride[number]), strict=True)]
            # A grid has as many tokens as strides were begun, so the last of those that it needs
            # may be cut short.
            needed = [(self.sr_ratios[number] - 1) * s + 1 for s in stride]
            sides = [max(pair) for pair in zip(sides, needed, strict=True)]
        return axes(sides)


def axes(value: int | Sequence[int]) -> tuple[int, int, int]:
    """One number for all three axes, or three."""
    first, second, third = (value,) * 3 if isinstance(value, int) else value
    return first, second, third


class PatchEmbed(nn.Module):
    """Overlapping patches by a strided convolution, then LayerNorm: (B, C, D, H, W) -> (B, D', H',
    W', C')."""

    def __init__(self, in_channels: int, dim: int, kernel: Sequence[int], stride: Sequence[int]):
        super().__init__()
        padding = axes([k // 2 for k in kernel])
        self.patch_embeddings = nn.Conv3d(in_channels, dim, axes(kernel), axes(stride), padding)
        self.norm = nn.LayerNorm(dim, NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.patch_embeddings(x).permute(0, 2, 3, 4, 1))


class Attention(nn.Module):
    """Self-attention whose keys and values come from a grid reduced by ``ratio`` (section 3.1)."""

    def __init__(self, dim: int, num_heads: int, ratio: int, attn_scale: str):
        super().__init__()
        self.num_heads, self.ratio = num_heads, ratio
        self.scale = 1 / math.sqrt(num_heads if attn_scale == "num_heads" else dim // num_heads)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        if ratio > 1:
            self.sr = nn.Conv3d(dim, dim, ratio, ratio)
            self.sr_norm = nn.LayerNorm(dim, NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) -> the same shape."""
        batch, dim = x.shape[0], x.shape[-1]
        heads = (batch, -1, self.num_heads, dim // self.num_heads)
        source = x
        if self.ratio > 1:
            source = self.sr_norm(self.sr(x.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1))
        key, value = self.key_value(source).chunk(2, dim=-1)
        query, key, value = (
            part.reshape(heads).transpose(1, 2) for part in (self.query(x), key, value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, scale=self.scale)
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))


class DepthwiseGradient(torch.autograd.Function):
    """A depthwise 3x3x3 convolution whose gradient is computed several times faster than PyTorch's
    own on the CPU.

    The input's gradient is itself a depthwise convolution, with the kernel turned around; the
    kernel's is summed in float32, for which there is a fast routine.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv3d(x, weight, bias, padding=1, groups=len(weight))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        groups = len(weight)
        to_x = F.conv3d(grad, weight.flip(2, 3, 4).to(grad.dtype), padding=1, groups=groups).to(
            x.dtype
        )
        fixed = ([groups], [1] * 3, [1] * 3, [1] * 3, False, [0] * 3, groups, [False, True, False])
        _, to_weight, _ = torch.ops.aten.convolution_backward(
            grad.float(), x.float(), weight.float(), *fixed
        )
        return (
            to_x,
            to_weight.to(weight.dtype),
            grad.sum((0, 2, 3, 4), dtype=torch.float32).to(weight.dtype),
        )


class DepthwiseConv(nn.Module):
    """A depthwise convolution and BatchNorm: where the tokens learn their positions."""

    def __init__(self, dim: int):
        super().__init__()
        self.dwconv = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)
        self.bn = nn.BatchNorm3d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) -> the same shape."""
        x = x.permute(0, 4, 1, 2, 3)
        # Exporters cannot follow a function with a gradient of its own.
        if self.training and torch.is_grad_enabled():
            x = DepthwiseGradient.apply(x, self.dwconv.weight, self.dwconv.bias)
        else:
            x = self.dwconv(x)
        return self.bn(x).permute(0, 2, 3, 4, 1)


class MixFFN(nn.Module):
    """The feed-forward part with a depthwise convolution inside."""

    def __init__(self, dim: int, ratio: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, ratio * dim)
        self.dwconv = DepthwiseConv(ratio * dim)
        self.fc2 = nn.Linear(ratio * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) -> the same shape."""
        return self.fc2(F.gelu(self.dwconv(self.fc1(x))))


class Block(nn.Module):
    """Attention and Mix-FFN beside shortcuts, each after a LayerNorm; ``drop_path`` is how often
    one is left out."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        ratio: int,
        mlp_ratio: int,
        attn_scale: str,
        drop_path: float,
    ):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, NORM_EPS)
        self.attention = Attention(dim, num_heads, ratio, attn_scale)
        self.norm2 = nn.LayerNorm(dim, NORM_EPS)
        self.mlp = MixFFN(dim, mlp_ratio)
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) -> the same shape."""
        x = x + self._drop(self.attention(self.norm1(x)))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0:
            return branch
        kept = branch.new_empty(len(branch), 1, 1, 1, 1).bernoulli_(1 - self.drop_path)
        return branch * kept / (1 - self.drop_path)


class Encoder(nn.Module):
    """Four stages; each halves the grid (the first one by its own stride)."""

    def __init__(self, config: SegFormer3DConfig):
        super().__init__()
        channels = (config.in_channels, *config.embed_dims)
        last = max(1, sum(config.depths) - 1)
        # Deeper blocks are left out more often (stochastic depth's linear rule).
        rates = [config.drop_path * block / last for block in range(sum(config.depths))]
        for stage in range(STAGES):
            dim, number = channels[stage + 1], stage + 1
            kernel, stride = axes(config.patch_kernel[stage]), axes(config.patch_stride[stage])
            setattr(self, f"embed_{number}", PatchEmbed(channels[stage], dim, kernel, stride))
            options = (
                config.num_heads[stage],
                config.sr_ratios[stage],
                config.mlp_ratios[stage],
                config.attn_scale,
            )
            blocks = [Block(dim, *options, rates.pop(0)) for _ in range(config.depths[stage])]
            setattr(self, f"tf_block{number}", nn.ModuleList(blocks))
            setattr(self, f"norm{number}", nn.LayerNorm(dim, NORM_EPS))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) -> the four stages' maps (B, C_i, D_i, H_i, W_i), the finest first."""
        maps = []
        for number in range(1, STAGES + 1):
            x = getattr(self, f"embed_{number}")(x)
            for block in getattr(self, f"tf_block{number}"):
                x = block(x)
            x = getattr(self, f"norm{number}")(x).permute(0, 4, 1, 2, 3)
            maps.append(x)
        return maps


class ScaleEmbed(nn.Module):
    """One scale's channels to the decoder's width: (B, C, D, H, W) -> (B, D, H, W, E)."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.proj = nn.Linear(dim, width)
        self.bn = nn.LayerNorm(width, NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.proj(x.permute(0, 2, 3, 4, 1)))


class Decoder(nn.Module):
    """All four scales at the finest one's resolution, mixed by a 1x1x1 convolution, then the
    classes."""

    def __init__(self, config: SegFormer3DConfig):
        super().__init__()
        width = config.decoder_dim
        for number in range(STAGES, 0, -1):
            setattr(self, f"linear_c{number}", ScaleEmbed(config.embed_dims[number - 1], width))
        fuse = nn.Conv3d(STAGES * width, width, 1, bias=False)
        self.linear_fuse = nn.Sequential(fuse, nn.BatchNorm3d(width), nn.ReLU())
        self.dropout = nn.Dropout(config.decoder_dropout)
        self.linear_pred = nn.Conv3d(width, config.num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of the four stages -> logits (B, K, D_1, H_1, W_1)."""
        fused = self.dropout(self._plain(maps)) if self.training else self._folded(maps)
        return self.linear_pred(fused)

    def _scales(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The embedded scales, the coarsest first, as maps (B, E, D_i, H_i, W_i)."""
        numbered = list(enumerate(maps, start=1))[::-1]
        return [
            getattr(self, f"linear_c{number}")(x).permute(0, 4, 1, 2, 3) for number, x in numbered
        ]

    def _plain(self, maps: Sequence[Tensor]) -> Tensor:
        size = maps[0].shape[2:]
        return self.linear_fuse(
            torch.cat([resize(scale, size) for scale in self._scales(maps)], dim=1)
        )

    def _folded(self, maps: Sequence[Tensor]) -> Tensor:
        """The same: a 1x1x1 convolution commutes with resizing, so each scale passes its slice of
        it while small."""
        conv, norm, _ = self.linear_fuse
        assert isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)
        assert norm.running_mean is not None and norm.running_var is not None
        # In evaluation BatchNorm is a fixed factor per channel, which the convolution can carry.
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        slices = (conv.weight * factor.view(-1, 1, 1, 1, 1)).chunk(STAGES, dim=1)
        *coarse, fine = list(zip(self._scales(maps), slices, strict=True))
        total = F.conv3d(*fine, norm.bias - norm.running_mean * factor)
        for scale, weight in coarse:
            total = total + resize(F.conv3d(scale, weight), maps[0].shape[2:])
        return F.relu(total)


class SegFormer3D(nn.Module):
    """Logits for each voxel from a volume of any size."""

    def __init__(self, config: SegFormer3DConfig):
        super().__init__()
        self.config = config
        self.segformer_encoder = Encoder(config)
        self.segformer_decoder = Decoder(config)
        self.apply(_initialise)

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, D, H, W) -> logits (B, K, D, H, W)."""
        size = volume.shape[2:]
        volume = _padded(volume, self.config.smallest)
        logits = self.segformer_decoder(self.segformer_encoder(volume))
        depth, height, width = size
        return resize(logits, volume.shape[2:])[:, :, :depth, :height, :width]


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Trilinear, (B, C, D, H, W) at another size."""
    return (
        x
        if x.shape[2:] == tuple(size)
        else F.interpolate(x, tuple(size), mode="trilinear", align_corners=False)
    )


def _padded(volume: Tensor, smallest: Sequence[int]) -> Tensor:
    """With zeros behind each axis that is shorter than the network can take."""
    missing = [max(0, least - side) for least, side in zip(smallest, volume.shape[2:], strict=True)]
    if not any(missing):
        return volume
    return F.pad(volume, [amount for axis in reversed(missing) for amount in (0, axis)])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv3d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
