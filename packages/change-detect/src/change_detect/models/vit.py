"""The plain ViT of ChangeViT: no class token, no registers, positions for any size."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from change_detect.models.config import PATCH, ChangeViTConfig
from vitrail.backbones.layers import drop_path_rates, init_linear
from vitrail.backbones.vit import Block

OFFSET = 0.1  # of a patch, which the release adds before it divides by the stored size
SCALE_START = 1e-5  # DINOv2's


class LayerScale(nn.Module):
    """A learned factor per channel of (B, N, dim)."""

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), SCALE_START))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class ScaledBlock(Block):
    """The block with DINOv2's factors on both branches."""

    def __init__(self, dim: int, num_heads: int, **options: Any):
        super().__init__(dim, num_heads, **options)
        self.ls1, self.ls2 = LayerScale(dim), LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path(self.ls2(self.mlp(self.norm2(x))))


class PatchEmbed(nn.Module):
    """An image (B, 3, H, W), or a map at 1/16 of it, to tokens as a map (B, dim, H/16, W/16)."""

    def __init__(self, in_chans: int, dim: int, side: int):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, side, side)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class ViT(nn.Module):
    """``in_chans`` channels at 1/``side`` of a patch to tokens (B, N, dim) in rows."""

    def __init__(self, config: ChangeViTConfig, in_chans: int = 3, side: int = PATCH):
        super().__init__()
        dim, self.grid, self.positions = config.embed_dim, tuple(config.grid), config.positions
        self.patch_embed = PatchEmbed(in_chans, dim, side)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], dim))
        block = ScaledBlock if config.layer_scale else Block
        options = {"mlp_ratio": config.mlp_ratio, "norm_eps": config.norm_eps}
        self.blocks = nn.ModuleList(
            block(dim, config.num_heads, drop_path=rate, **options)
            for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=config.norm_eps)
        self.apply(init_linear)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def embed(self, x: Tensor) -> Tensor:
        """The tokens (B, N, dim) that enter the first block."""
        patches = self.patch_embed(x)
        rows, columns = patches.shape[2], patches.shape[3]
        return patches.flatten(2).transpose(1, 2) + self.position_table(rows, columns)

    def position_table(self, rows: int, columns: int) -> Tensor:
        """Positions (1, rows * columns, dim), resampled bicubically from the stored ones."""
        if self.positions == "sized" and (rows, columns) == self.grid:
            return self.pos_embed
        table = self.pos_embed.unflatten(1, self.grid).permute(0, 3, 1, 2)
        if self.positions == "sized":
            table = F.interpolate(table, (rows, columns), mode="bicubic", align_corners=False)
        else:
            factors = ((rows + OFFSET) / self.grid[0], (columns + OFFSET) / self.grid[1])
            table = F.interpolate(table, scale_factor=factors, mode="bicubic", align_corners=False)
        return table.flatten(2).transpose(1, 2)
