"""Deformable DETR (Zhu et al. 2021): attention to a few sampled places, its encoder and its
decoder.

Tokens are maps laid out row by row, (B, L, C), level after level; ``Shapes`` are the levels'
heights and widths. A padding mask (B, L) is True where there is no image.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = Sequence[tuple[int, int]]
EPS = 1e-5  # of the inverse sigmoid
PROPOSAL_SIDE = 0.1  # of the image: the box from which a place's proposal departs
TEMPERATURE = 10000


def inverse_sigmoid(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=EPS) / (1 - x).clamp(min=EPS))


def sine_position(padding: Tensor, dim: int) -> Tensor:
    """(B, H, W) mask to (B, H, W, dim): sines of the row, then of the column, both counted over
    what is not padding and scaled to 2 pi."""
    inside = (~padding).float()
    half = dim // 2
    scales = TEMPERATURE ** (2 * (torch.arange(half, device=padding.device) // 2) / half)
    parts = []
    for axis in (1, 2):
        count = inside.cumsum(axis)
        last = count[:, -1:] if axis == 1 else count[:, :, -1:]
        angle = ((count - 0.5) / (last + 1e-6) * 2 * math.pi).unsqueeze(-1) / scales
        parts.append(torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), -1).flatten(-2))
    return torch.cat(parts, dim=-1)


def sine_boxes(boxes: Tensor, dim: int) -> Tensor:
    """Boxes (..., 4) in 0..1 to (..., 4 * dim) sines."""
    scales = TEMPERATURE ** (2 * (torch.arange(dim, device=boxes.device) // 2) / dim)
    angle = (boxes * 2 * math.pi).unsqueeze(-1) / scales
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), -1).flatten(-3)


class DeformableAttention(nn.Module):
    """Each query looks at ``points`` places per head and level around its reference."""

    def __init__(self, dim: int, heads: int, levels: int, points: int):
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._start()

    def _start(self) -> None:
        """Points go out from the reference, each head in a direction of its own."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), -1)
        direction = direction / direction.abs().max(-1, keepdim=True).values
        steps = torch.arange(1, self.points + 1).view(1, 1, -1, 1)
        grid = direction.view(-1, 1, 1, 2).repeat(1, self.levels, 1, 1) * steps
        nn.init.zeros_(self.sampling_offsets.weight)
        self.sampling_offsets.bias.data = grid.flatten().float()
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        tokens: Tensor,
        shapes: Shapes,
        padding: Tensor | None = None,
    ) -> Tensor:
        """``query`` (B, Q, C) with ``reference`` (B, Q, levels, 2 or 4): points or boxes, 0..1."""
        batch, count, dim = query.shape
        heads, levels, points = self.heads, self.levels, self.points
        value = self.value_proj(tokens)
        if padding is not None:
            value = value.masked_fill(padding[..., None], 0.0)
        value = value.view(batch, -1, heads, dim // heads)
        offsets = self.sampling_offsets(query).view(batch, count, heads, levels, points, 2)
        weights = self.attention_weights(query).view(batch, count, heads, levels * points)
        weights = weights.softmax(-1).view(batch, count, heads, levels, points)
        centre = reference[:, :, None, :, None, :2]
        if reference.shape[-1] == 2:
            sizes = torch.tensor([[w, h] for h, w in shapes], dtype=query.dtype).to(query.device)
            places = centre + offsets / sizes[:, None]
        else:
            places = centre + offsets / points * reference[:, :, None, :, None, 2:] * 0.5
        places = places.permute(0, 2, 1, 3, 4, 5) * 2 - 1
        sampled, at = [], 0
        for level, (height, width) in enumerate(shapes):
            part = value[:, at : at + height * width].permute(0, 2, 3, 1)
            at += height * width
            part = part.reshape(-1, dim // heads, height, width)
            grid = places[:, :, :, level].reshape(-1, count, points, 2)
            sampled.append(F.grid_sample(part, grid, align_corners=False))
        shares = weights.permute(0, 2, 1, 3, 4).reshape(-1, 1, count, levels * points)
        mixed = (torch.cat(sampled, -1) * shares).sum(-1)
        mixed = mixed.view(batch, dim, count).transpose(1, 2)
        return self.output_proj(mixed)


class EncoderLayer(nn.Module):
    def __init__(self, dim: int, heads: int, levels: int, points: int, mlp_dim: int):
        super().__init__()
        self.self_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1, self.linear2 = nn.Linear(dim, mlp_dim), nn.Linear(mlp_dim, dim)
        self.norm2 = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        reference: Tensor,
        shapes: Shapes,
        padding: Tensor | None,
    ) -> Tensor:
        x = self.norm1(x + self.self_attn(x + position, reference, x, shapes, padding))
        return self.norm2(x + self.linear2(self.linear1(x).relu()))


class DecoderLayer(nn.Module):
    def __init__(self, dim: int, heads: int, levels: int, points: int, mlp_dim: int):
        super().__init__()
        self.cross_attn = DeformableAttention(dim, heads, levels, points)
        self.norm1 = nn.LayerNorm(dim)
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.linear1, self.linear2 = nn.Linear(dim, mlp_dim), nn.Linear(mlp_dim, dim)
        self.norm3 = nn.LayerNorm(dim)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        reference: Tensor,
        tokens: Tensor,
        shapes: Shapes,
        padding: Tensor | None,
    ) -> Tensor:
        placed = x + position
        x = self.norm2(x + self.self_attn(placed, placed, x, need_weights=False)[0])
        x = self.norm1(x + self.cross_attn(x + position, reference, tokens, shapes, padding))
        return self.norm3(x + self.linear2(self.linear1(x).relu()))


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *dims: int):
        super().__init__()
        pairs = itertools.pairwise(dims)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)

    @property
    def last(self) -> nn.Linear:
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


def valid_ratios(paddings: Sequence[Tensor]) -> Tensor:
    """(B, levels, 2): the share of columns and of rows that are no padding."""
    shares = [torch.stack(((~p[:, 0]).float().mean(1), (~p[:, :, 0]).float().mean(1)), -1)
              for p in paddings]  # fmt: skip
    return torch.stack(shares, 1)


def token_centres(shapes: Shapes, ratios: Tensor) -> Tensor:
    """(B, L, levels, 2): where each token lies, in 0..1 of the image, as each level sees it."""
    parts = []
    for level, (height, width) in enumerate(shapes):
        y = (torch.arange(height, device=ratios.device) + 0.5) / height
        x = (torch.arange(width, device=ratios.device) + 0.5) / width
        grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)
        parts.append(grid.reshape(1, -1, 2) / ratios[:, level, None])
    return torch.cat(parts, 1)[:, :, None] * ratios[:, None]


def proposal_boxes(shapes: Shapes, ratios: Tensor) -> Tensor:
    """(B, L, 4): a box of ``PROPOSAL_SIDE`` (of twice that a level further) around each token."""
    centres = token_centres(shapes, ratios)[:, :, 0] / ratios[:, None, 0]
    sides = [
        torch.full((height * width, 2), PROPOSAL_SIDE * 2.0**level, device=ratios.device)
        for level, (height, width) in enumerate(shapes)
    ]
    return torch.cat((centres, torch.cat(sides).expand(centres.shape)), -1)
