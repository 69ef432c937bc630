"""STTM, the spatial-temporal transformer module: a token looks at the same place and its
surroundings in all frames of the window.

The spatial half is the detector's encoder, frame by frame, so that its result can be kept; these
layers are the temporal half. How far a frame is away enters as a sinusoidal code.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TEMPERATURE = 10000


def time_code(offsets: Tensor, dim: int) -> Tensor:
    """(..., dim) sines of distances in frames."""
    scales = TEMPERATURE ** (2 * torch.arange(dim // 2, device=offsets.device) / dim)
    angle = offsets.float().unsqueeze(-1) / scales
    return torch.cat((angle.sin(), angle.cos()), -1)


def shifted(maps: Tensor, radius: int, fill: float = 0.0) -> Tensor:
    """(..., C, h, w) to ((2 radius + 1)^2, ..., C, h, w): the map seen from each neighbour."""
    side, shape = 2 * radius + 1, maps.shape
    padded = F.pad(maps, (radius,) * 4, value=fill)
    # One operation, where slices of each neighbour make a graph that exporters take minutes for
    views = F.unfold(padded.flatten(0, -4), side).view(-1, shape[-3], side**2, *shape[-2:])
    return views.permute(2, 0, 1, 3, 4).reshape(-1, *shape)


class TemporalLayer(nn.Module):
    """Attention over frames, then a feed-forward part; both start as the identity."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, radius: int):
        super().__init__()
        self.heads, self.radius = heads, radius
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.output = nn.Linear(dim, dim)
        self.place = nn.Parameter(torch.zeros(heads, (2 * radius + 1) ** 2))
        narrow = nn.Linear(mlp_dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp_dim), nn.ReLU(), narrow)
        for layer in (self.output, narrow):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Tensor, times: Tensor, padding: Tensor | None = None, timed: bool = True
    ) -> Tensor:
        """``x`` (B, N, C, h, w) of frames at ``times`` (N,), ``padding`` (B, N, h, w)."""
        batch, frames, dim, height, width = x.shape
        heads, places = self.heads, height * width
        tokens = self.norm1(x.permute(0, 1, 3, 4, 2))
        query = self.query(tokens).view(batch, frames, places, heads, -1)
        query = query / math.sqrt(dim // heads)
        key, value = (self._around(part(tokens)) for part in (self.key, self.value))
        # batch, place and head in front: a matrix of frames by (frames, neighbours) for each
        attention = query.permute(0, 2, 3, 1, 4) @ key.transpose(-1, -2)
        attention = attention.view(batch, places, heads, frames, frames, -1)
        attention = attention + self.place[:, None, None]
        if timed:
            code = self.key.weight @ time_code(times[None] - times[:, None], dim)[..., None]
            code = code.view(frames, frames, heads, -1)
            attention = attention + torch.einsum("btlhd,tnhd->blhtn", query, code)[..., None]
        attention = attention + self._outside(padding, x)
        attention = attention.flatten(-2).softmax(-1)
        mixed = (
            (attention @ value).permute(0, 3, 1, 2, 4).reshape(batch, frames, height, width, dim)
        )
        tokens = x.permute(0, 1, 3, 4, 2) + self.output(mixed)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.permute(0, 1, 4, 2, 3)

    def _around(self, tokens: Tensor) -> Tensor:
        """(B, N, h, w, C) to (B, L, heads, N * neighbours, C / heads)."""
        batch, frames, height, width, dim = tokens.shape
        views = shifted(tokens.permute(0, 1, 4, 2, 3), self.radius)
        views = views.view(-1, batch, frames, self.heads, dim // self.heads, height * width)
        return views.permute(1, 5, 3, 2, 0, 4).flatten(3, 4)

    def _outside(self, padding: Tensor | None, x: Tensor) -> Tensor:
        """(B or 1, L, 1, 1, N or 1, neighbours): what lies beside the map or is padding gets a
        very low value."""
        beside = torch.zeros_like(x[:1, :1, 0]) if padding is None else padding.to(x.dtype)
        hidden = shifted(beside, self.radius, 1.0).permute(1, 3, 4, 2, 0).flatten(1, 2)
        return hidden[:, :, None, None] * -1e4


class TemporalTransformer(nn.Module):
    def __init__(self, dim: int, heads: int, mlp_dim: int, radius: int, layers: int):
        super().__init__()
        made = (TemporalLayer(dim, heads, mlp_dim, radius) for _ in range(layers))
        self.layers = nn.ModuleList(made)

    def forward(
        self, x: Tensor, times: Tensor, padding: Tensor | None = None, timed: bool = True
    ) -> Tensor:
        for layer in self.layers:
            x = layer(x, times, padding, timed)
        return x
