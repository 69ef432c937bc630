"""LoLA-SpecViT (arXiv 2506.17759): a patch of principal components to the class of its centre.

Three-dimensional convolutions over components and places, squeeze and excitation, the mean over
depth; then three levels of attention, each within one window of 7 x 7 tokens, and adapted linear
layers throughout. Where paper and release differ, the release's way is the default of the options,
as its checkpoints were trained that way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hsi_classify.models.layers import (
    AdaptedLinear,
    BandDropout,
    SqueezeExcitation,
    SwiGLU,
    WindowAttention,
)
from vitrail.backbones.layers import DropPath, drop_path_rates
from vitrail.errors import UsageError


@dataclass(frozen=True)
class SpecViTConfig:
    """``components`` of a pixel, ``patch`` pixels on a side, of which the tokens are half; ``rank``
    0 has no adapters. ``spectral_widths`` are the channels of the first two convolutions.

    The release takes the mean over depth, after which no channel knows of which component it
    speaks. With ``shortcut`` a 1 x 1 convolution of the components themselves is added to it.
    """

    components: int = 15
    num_classes: int = 16
    patch: int = 15
    embed_dim: int = 96
    depths: Sequence[int] = (3, 4, 19)
    num_heads: Sequence[int] = (4, 8, 16)
    window: int = 7
    mlp_ratio: float = 4.0
    rank: int = 16
    alpha: float = 32.0
    spectral_widths: Sequence[int] = (32, 64)
    band_dropout: float = 0.1
    dropout: float = 0.1
    drop_path: float = 0.2
    shortcut: bool = False

    def __post_init__(self):
        if self.patch < 4 or self.patch // 2 > self.window:
            problem = f"gives {self.patch // 2} tokens a side in a window of {self.window}"
            raise UsageError(f"patch {self.patch}", problem, "take a patch of 5 to 15")
        if len(self.depths) != len(self.num_heads):
            raise UsageError("depths", "are not as many as num_heads", "give one a level")

    @property
    def sides(self) -> tuple[int, ...]:
        """Tokens on a side at each level: halved, and rounded up."""
        sides = [self.patch // 2]
        for _ in self.depths[1:]:
            sides.append((sides[-1] + 1) // 2)
        return tuple(sides)


class Block(nn.Module):
    """Attention and a gated MLP, each with a norm before and a residual around it."""

    def __init__(self, dim: int, heads: int, side: int, config: SpecViTConfig, drop_path: float):
        super().__init__()
        hidden, rank, alpha = int(dim * config.mlp_ratio), config.rank, config.alpha
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, side, config.window, rank, alpha)
        self.mlp = nn.Sequential(
            AdaptedLinear(dim, hidden, rank, alpha),
            SwiGLU(hidden),
            nn.Identity(),
            AdaptedLinear(hidden, dim, rank, alpha),
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, dim) -> the same."""
        tokens = self.norm1(x).flatten(1, 2)
        x = x + self.drop_path(self.attn(tokens)).view_as(x)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Reduction(nn.Module):
    """Half the side, twice the channels."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False),
            nn.SiLU(),
            SqueezeExcitation(dim),
            nn.Conv2d(dim, 2 * dim, 1, bias=False),
        )
        self.norm = nn.BatchNorm2d(2 * dim)
        self.reduction = nn.Conv2d(2 * dim, 2 * dim, 3, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, side, side, dim) -> (B, side / 2, side / 2, 2 dim), rounded up."""
        halved = self.reduction(self.norm(self.conv(x.permute(0, 3, 1, 2))))
        return halved.permute(0, 2, 3, 1)


class SpecViT(nn.Module):
    """(B, components, patch, patch) float32 -> logits (B, num_classes) of the centre pixel."""

    def __init__(self, config: SpecViTConfig):
        super().__init__()
        self.config = config
        dim, (first, second), sides = config.embed_dim, config.spectral_widths, config.sides
        self.spectral_conv = nn.Sequential(
            *_spectral(1, first, (7, 3, 3)),
            *_spectral(first, second, (5, 3, 3)),
            *_spectral(second, dim, (3, 3, 3)),
        )
        self.band_dropout = BandDropout(config.band_dropout)
        self.spectral_attention = SqueezeExcitation(dim)
        self.shortcut = nn.Conv2d(config.components, dim, 1) if config.shortcut else None
        self.patch_embed = nn.Sequential(
            nn.Conv2d(dim, dim, 4, stride=2, padding=1), nn.BatchNorm2d(dim), nn.SiLU()
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, sides[0], sides[0], dim))
        self.pos_drop = nn.Dropout(config.dropout)
        rates = iter(drop_path_rates(config.drop_path, sum(config.depths)))
        self.levels = nn.ModuleList()
        for level, (depth, heads, side) in enumerate(
            zip(config.depths, config.num_heads, sides, strict=True)
        ):
            width, is_last = dim * 2**level, level == len(sides) - 1
            blocks: list[nn.Module] = [
                Block(width, heads, side, config, next(rates)) for _ in range(depth)
            ]
            self.levels.append(nn.ModuleList(blocks if is_last else [*blocks, Reduction(width)]))
        width = dim * 2 ** (len(sides) - 1)
        self.norm = nn.LayerNorm(width)
        self.head = AdaptedLinear(width, config.num_classes, config.rank, config.alpha, gated=False)
        self.apply(_start)

    def embed(self, patches: Tensor) -> Tensor:
        """(B, components, patch, patch) -> tokens (B, side, side, embed_dim)."""
        x = self.spectral_conv(patches[:, None])
        # Dropout, excitation and the mean over depth as one sum: large tensors pass once.
        factors = self.band_dropout(x)
        excited = self.spectral_attention.fc((x.mean((3, 4)) * factors).mean(2))
        shares = excited[:, :, None] * factors / x.shape[2]
        x = (x * shares[..., None, None]).sum(2)
        if self.shortcut is not None:
            x = x + self.shortcut(patches)
        x = self.patch_embed(x)
        return self.pos_drop(x.permute(0, 2, 3, 1) + self.pos_embed)

    def forward_features(self, patches: Tensor) -> Tensor:
        """(B, components, patch, patch) -> the mean token after the last norm (B, width)."""
        x = self.embed(patches)
        for level in self.levels:
            assert isinstance(level, nn.ModuleList)
            for block in level:
                x = block(x)
        return self.norm(x.flatten(1, 2)).mean(1)

    def forward(self, patches: Tensor) -> Tensor:
        return self.head(self.forward_features(patches))


def streamline(model: SpecViT) -> SpecViT:
    """The same function with fewer products, in place: residuals folded, SwiGLU's first two
    matrices as one. For inference: what is folded cannot be trained apart again."""
    for module in model.modules():
        if isinstance(module, AdaptedLinear):
            module.fold()
        if isinstance(module, Block):
            hidden = module.mlp[1]
            if isinstance(hidden, SwiGLU):
                module.mlp[1] = hidden.fused()
    return model


def set_adapter_scale(model: nn.Module, scale: float) -> None:
    """The paper's cyclical s(t), for a training that cycles it; 1 is what inference takes."""
    for module in model.modules():
        if isinstance(module, AdaptedLinear):
            module.scale = scale


def _spectral(inputs: int, outputs: int, kernel: tuple[int, int, int]) -> list[nn.Module]:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    conv = nn.Conv3d(inputs, outputs, kernel, padding=padding)
    return [conv, nn.BatchNorm3d(outputs), nn.SiLU()]


def _start(module: nn.Module) -> None:
    """Truncated normal weights in every linear layer, ``lora_up`` too: the release overwrites its
    zeros."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
