"""CvT, the convolutional vision transformer (Wu et al., "CvT: Introducing Convolutions to Vision
Transformers", 2021).

Modules bear the names of the official checkpoints.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.backbones.base import Backbone
from vitrail.backbones.layers import DropPath, Mlp, drop_path_rates, init_linear

STAGES = 3

Activation = Literal["quick_gelu", "gelu"]
Projection = Literal["dw_bn", "avg", "linear"]


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), with which the official weights were trained; the transformers port
    computes exact GELU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


ACTIVATIONS = {"quick_gelu": QuickGELU, "gelu": nn.GELU}


class ConvEmbed(nn.Module):
    """Overlapping patches as tokens: (B, C, H, W) to a normalised map (B, dim, H', W')."""

    def __init__(self, in_chans: int, dim: int, kernel: int, stride: int, padding: int):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, kernel, stride, padding)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x).movedim(1, -1)
        # In float32 under every precision, as officially.
        weight, bias = self.norm.weight.float(), self.norm.bias.float()
        return (
            F.layer_norm(x.float(), x.shape[-1:], weight, bias, self.norm.eps)
            .type_as(x)
            .movedim(-1, 1)
        )


class ConvNorm(nn.Module):
    """A depthwise convolution without bias, and batch norm."""

    def __init__(self, dim: int, kernel: int, stride: int, padding: int):
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, kernel, stride, padding, groups=dim, bias=False)
        self.bn = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


def _projection(method: Projection, dim: int, kernel: int, stride: int, padding: int) -> nn.Module:
    match method:
        case "dw_bn":
            return ConvNorm(dim, kernel, stride, padding)
        case "avg":
            return nn.AvgPool2d(kernel, stride, padding, ceil_mode=True)
        case "linear":
            return nn.Identity()
    raise ValueError(f"unknown projection {method!r}: choose dw_bn, avg or linear")


class Attention(nn.Module):
    """Attention whose queries, keys and values come from convolved maps; a class token is passed by
    the convolution."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        qkv_bias: bool,
        projection: Projection,
        kernel: int,
        q_stride: int,
        q_padding: int,
        kv_stride: int,
        kv_padding: int,
    ):
        super().__init__()
        self.num_heads = num_heads
        self.scale = dim**-0.5  # of the whole width, not of a head's, as officially
        pooled = projection == "avg"  # of keys and values alone: queries keep their resolution
        self.conv_proj_q = _projection(
            "linear" if pooled else projection, dim, kernel, q_stride, q_padding
        )
        self.conv_proj_k = _projection(projection, dim, kernel, kv_stride, kv_padding)
        self.conv_proj_v = _projection(projection, dim, kernel, kv_stride, kv_padding)
        self.proj_q = nn.Linear(dim, dim, bias=qkv_bias)
        self.proj_k = nn.Linear(dim, dim, bias=qkv_bias)
        self.proj_v = nn.Linear(dim, dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Tokens (B, N, dim), of which the last H * W are the map of ``size`` (H, W)."""
        extra = x.shape[1] - size[0] * size[1]
        token, x = (
            x[:, :extra],
            x[:, extra:].transpose(1, 2).unflatten(2, size),
        )  # (B, 0 or 1, dim), (B, dim, H, W)
        q = self._heads(self.proj_q, self.conv_proj_q(x), token)
        k = self._heads(self.proj_k, self.conv_proj_k(x), token)
        v = self._heads(self.proj_v, self.conv_proj_v(x), token)
        x = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(x.transpose(1, 2).flatten(2))

    def _heads(self, linear: nn.Linear, image: Tensor, token: Tensor) -> Tensor:
        tokens = torch.cat([token, image.flatten(2).transpose(1, 2)], dim=1)
        return (
            linear(tokens).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        )  # (B, heads, N, dim / heads)


class Block(nn.Module):
    def __init__(self, dim: int, attention: Attention, mlp: Mlp, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), size))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """A map in, a map (and a class token, where the stage has one) out."""

    def __init__(
        self, patch_embed: ConvEmbed, blocks: Sequence[Block], dim: int, class_token: bool
    ):
        super().__init__()
        self.patch_embed = patch_embed
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.patch_embed(x)
        size = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2)  # (B, H * W, dim)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens, size)
        token, tokens = tokens.split(
            [tokens.shape[1] - size[0] * size[1], size[0] * size[1]], dim=1
        )
        return tokens.transpose(1, 2).unflatten(
            2, size
        ), token if self.cls_token is not None else None


class CvT(Backbone):
    """Three stages of convolved tokens; no position embedding, so any image size of at least 4
    pixels a side.

    Options given as sequences have one value per stage. ``projection`` says how queries, keys and
    values come from a map: "dw_bn" by depthwise convolution, "avg" by pooling keys and values,
    "linear" by no spatial operation. ``drop_path`` rises linearly over a stage's blocks up to its
    value. ``activation`` is "quick_gelu" for official weights, "gelu" for those trained through the
    transformers port.
    """

    stage0: Stage
    stage1: Stage
    stage2: Stage

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        dims: Sequence[int] = (64, 192, 384),
        num_heads: Sequence[int] = (1, 3, 6),
        depths: Sequence[int] = (1, 2, 10),
        kernels: Sequence[int] = (7, 3, 3),
        strides: Sequence[int] = (4, 2, 2),
        paddings: Sequence[int] = (2, 1, 1),
        mlp_ratio: Sequence[float] = (4.0, 4.0, 4.0),
        qkv_bias: Sequence[bool] = (True, True, True),
        class_token: Sequence[bool] = (False, False, True),
        projection: Sequence[Projection] = ("dw_bn", "dw_bn", "dw_bn"),
        qkv_kernels: Sequence[int] = (3, 3, 3),
        q_strides: Sequence[int] = (1, 1, 1),
        q_paddings: Sequence[int] = (1, 1, 1),
        kv_strides: Sequence[int] = (2, 2, 2),
        kv_paddings: Sequence[int] = (1, 1, 1),
        drop_path: Sequence[float] = (0.0, 0.0, 0.1),
        activation: Activation = "quick_gelu",
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {activation!r}: choose {' or '.join(ACTIVATIONS)}"
            )
        self.num_features = dims[-1]
        reduction, self.feature_info = 1, []
        for i in range(STAGES):

            def block(rate: float, i: int = i) -> Block:
                attention = Attention(
                    dims[i],
                    num_heads[i],
                    qkv_bias=qkv_bias[i],
                    projection=projection[i],
                    kernel=qkv_kernels[i],
                    q_stride=q_strides[i],
                    q_padding=q_paddings[i],
                    kv_stride=kv_strides[i],
                    kv_padding=kv_paddings[i],
                )
                mlp = Mlp(dims[i], int(dims[i] * mlp_ratio[i]), ACTIVATIONS[activation])
                return Block(dims[i], attention, mlp, rate)

            embed = ConvEmbed(
                dims[i - 1] if i else in_chans, dims[i], kernels[i], strides[i], paddings[i]
            )
            rates = drop_path_rates(drop_path[i], depths[i])
            self.add_module(
                f"stage{i}", Stage(embed, [block(rate) for rate in rates], dims[i], class_token[i])
            )
            reduction *= strides[i]
            self.feature_info.append(
                {"num_chs": dims[i], "reduction": reduction, "module": f"stage{i}"}
            )
        self.norm = nn.LayerNorm(dims[-1])
        self.head = nn.Linear(dims[-1], num_classes) if num_classes else nn.Identity()
        self.apply(_initialise)

    @property
    def stages(self) -> list[Stage]:
        return [self.stage0, self.stage1, self.stage2]

    def walk(self, image: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Each stage's map (B, dim, H', W'), and its class token (B, 1, dim) where it has one."""
        for stage in self.stages:
            image, token = stage(image)
            yield image, token

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        return (x for x, _token in self.walk(image))

    def forward_features(self, image: Tensor) -> Tensor:
        """(B, dims[-1]): the class token of the last stage, or the mean of its tokens where it has
        none."""
        *_, last = self.walk(image)
        return self._pool(*last)

    def forward_intermediates(
        self, image: Tensor, indices: Sequence[int]
    ) -> tuple[Tensor, list[Tensor]]:
        walked = list(self.walk(image))
        return self._pool(*walked[-1]), [walked[number][0] for number in indices]

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features)

    def drop_head(self) -> None:
        self.norm, self.head = nn.Identity(), nn.Identity()

    def _pool(self, x: Tensor, token: Tensor | None) -> Tensor:
        if token is not None:
            return self.norm(token)[:, 0]
        return self.norm(x.flatten(2).transpose(1, 2)).mean(dim=1)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        init_linear(module)
    elif isinstance(module, Stage) and module.cls_token is not None:
        nn.init.trunc_normal_(module.cls_token, std=0.02)
