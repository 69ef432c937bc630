"""The Vision-LSTM block: an mLSTM over the pixels or voxels of a map.

Alkin et al., "Vision-LSTM: xLSTM as Generic Vision Backbone" (arXiv 2406.04303), version 1.
Parameters bear the names of the published checkpoints. It computes in float32 whatever surrounds
it.
"""

import math
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medical_segment.models.mlstm import mlstm

EPS = 1e-5
EXPANSION = 2
KERNEL = 4


class ScaleNorm(nn.Module):
    """LayerNorm over the last axis, in ``groups`` equal parts, with weights that are stored less
    one and no bias."""

    def __init__(self, dim: int, groups: int = 1):
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(…, dim) -> the same shape."""
        parts = x.unflatten(-1, (self.groups, -1))
        return F.layer_norm(parts, parts.shape[-1:], eps=EPS).flatten(-2) * (1 + self.weight)


class BlockDiagonal(nn.Module):
    """A linear map whose matrix is zero but for blocks of ``size`` on its diagonal."""

    def __init__(self, dim: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim // size, size, size))

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, dim) -> the same shape."""
        parts = x.unflatten(-1, self.weight.shape[:2])
        # As many products as a block is wide: far faster on the CPU than thousands of tiny matrix
        # products.
        width = range(self.weight.shape[-1])
        products = (parts[..., d : d + 1] * self.weight[:, :, d] for d in width)
        return reduce(torch.add, products).flatten(-2)


class CausalConv(nn.Module):
    """Each channel's mean of the latest ``KERNEL`` tokens by learned weights."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, KERNEL, padding=KERNEL - 1, groups=dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, dim) -> the same shape."""
        # transpose, not mT: OpenVINO's reader of traces does not know that.
        return self.conv(x.transpose(-1, -2))[..., : x.shape[1]].transpose(-1, -2)


class Cell(nn.Module):
    """The mLSTM with its gates and the norm of each head."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.igate = nn.Linear(3 * dim, num_heads)
        self.fgate = nn.Linear(3 * dim, num_heads)
        self.outnorm = ScaleNorm(dim, num_heads)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Three times (B, S, dim) -> (B, S, dim)."""
        together = torch.cat([q, k, v], dim=-1)
        igate, fgate = (gate(together).transpose(-1, -2) for gate in (self.igate, self.fgate))
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (q, k, v))
        return self.outnorm(mlstm(q, k, v, igate, fgate).transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """The mLSTM between two projections, with a gate and a learned shortcut."""

    def __init__(self, dim: int, reverse: bool):
        super().__init__()
        self.reverse = reverse
        inner, block = EXPANSION * dim, 4 if dim % 4 == 0 else 2
        self.proj_up = nn.Linear(dim, 2 * inner, bias=False)
        self.conv1d = CausalConv(inner)
        self.q_proj, self.k_proj, self.v_proj = (BlockDiagonal(inner, block) for _ in range(3))
        self.mlstm_cell = Cell(inner, block)
        self.learnable_skip = nn.Parameter(torch.ones(inner))
        self.proj_down = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, dim) -> the same shape."""
        if self.reverse:
            x = x.flip(1)
        u, z = self.proj_up(x).chunk(2, dim=-1)
        a = F.silu(self.conv1d(u))
        h = self.mlstm_cell(self.q_proj(a), self.k_proj(a), self.v_proj(u))
        out = self.proj_down((h + self.learnable_skip * a) * F.silu(z))
        return out.flip(1) if self.reverse else out


class ViLBlock(nn.Module):
    """``x + Layer(norm(x))`` over tokens (B, S, dim), from the first to the last or, with
    ``reverse``, back."""

    def __init__(self, dim: int, reverse: bool = False):
        super().__init__()
        self.norm = ScaleNorm(dim)
        self.layer = Layer(dim, reverse)
        self._initialise(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, dim) -> the same shape, float32."""
        # Exponentials of gates overflow in half precision.
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32))
            return x + self.layer(self.norm(x))

    def _initialise(self, dim: int) -> None:
        layer = self.layer
        for weight in (layer.proj_up, layer.q_proj, layer.k_proj, layer.v_proj):
            nn.init.normal_(weight.weight, std=math.sqrt(2 / (5 * dim)))
        nn.init.normal_(layer.proj_down.weight, std=2 / math.sqrt(dim))
        cell = layer.mlstm_cell
        for gate in (cell.igate, cell.fgate):
            nn.init.zeros_(gate.weight)
        nn.init.normal_(cell.igate.bias, std=0.1)
        with torch.no_grad():
            # Gates begin nearly open, so that early steps remember (as released).
            cell.fgate.bias.copy_(torch.linspace(3, 6, cell.num_heads))


class ViLLayer(nn.Module):
    """A ViL block over a map: its places are the tokens or, with ``channel_tokens``, its channels
    are.

    With ``bidirectional`` (ours) a second block follows that goes the other way, so that every
    place sees every other.
    """

    def __init__(self, dim: int, channel_tokens: bool = False, bidirectional: bool = False):
        super().__init__()
        self.channel_tokens = channel_tokens
        self.norm = nn.LayerNorm(dim)  # unused, as in the release: its checkpoints hold it
        self.vil = ViLBlock(dim)
        self.vil_reverse = ViLBlock(dim, reverse=True) if bidirectional else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, spatial…) -> the same shape and dtype."""
        tokens = x.flatten(2)
        if not self.channel_tokens:
            tokens = tokens.transpose(-1, -2)
        mixed = self.vil(tokens)
        if self.vil_reverse is not None:
            mixed = self.vil_reverse(mixed)
        if not self.channel_tokens:
            mixed = mixed.transpose(-1, -2)
        return mixed.reshape(x.shape).to(x.dtype)
