"""Joint-aware global-local attention: windows look around, joint tokens carry what is far away."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.backbones.layers import DropPath, Mlp
from vitrail.backbones.vit import Attention

Size = tuple[int, int]


class CrossAttention(nn.Module):
    """Queries (B, M, C) look at keys (B, N, C): (B, M, C)."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q, self.kv, self.proj = (
            nn.Linear(dim, dim),
            nn.Linear(dim, 2 * dim),
            nn.Linear(dim, dim),
        )

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        q = self.q(queries).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        kv = self.kv(keys).unflatten(2, (2, self.num_heads, -1))
        k, v = kv.permute(2, 0, 3, 1, 4).unbind()
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).flatten(2))


class WindowAttention(Attention):
    """Self-attention inside windows of a map given as tokens (B, H * W, C).

    Maps that the window does not divide are filled up, and what was filled up is not looked at; so
    is what a shift brings together from opposite borders.
    """

    def __init__(self, dim: int, num_heads: int, window: Sequence[int], shifted: bool = False):
        super().__init__(dim, num_heads)
        rows, columns = window
        self.window = (rows, columns)
        self.shift = (rows // 2, columns // 2) if shifted else (0, 0)

    def forward(self, x: Tensor, size: Size | None = None) -> Tensor:
        assert size is not None
        maps = x.unflatten(1, size)
        whole = tuple(-(-side // step) * step for side, step in zip(size, self.window, strict=True))
        maps = F.pad(maps, (0, 0, 0, whole[1] - size[1], 0, whole[0] - size[0]))
        if any(self.shift):
            maps = maps.roll((-self.shift[0], -self.shift[1]), (1, 2))
        x = windows(self.qkv(maps), self.window)  # B * windows, tokens, 3 C
        q, k, v = x.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()
        mask = self._mask(size, (whole[0], whole[1]), x.device)
        if mask is not None:
            mask = mask.repeat(x.shape[0] // mask.shape[0], 1, 1).unsqueeze(1)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        maps = merged(self.proj(x.transpose(1, 2).flatten(2)), self.window, (whole[0], whole[1]))
        if any(self.shift):
            maps = maps.roll(self.shift, (1, 2))
        return maps[:, : size[0], : size[1]].flatten(1, 2)

    def _mask(self, size: Size, whole: Size, device: torch.device) -> Tensor | None:
        """Whether tokens of a window (windows, tokens, tokens) may look at each other; None where
        all may."""
        if size == whole and not any(self.shift):
            return None
        regions = torch.zeros(1, *whole, 1, device=device)
        regions[:, : size[0], : size[1]] = 1
        rows, columns = (
            torch.arange(side, device=device) < shift
            for side, shift in zip(whole, self.shift, strict=True)
        )
        regions[:, rows] += 2
        regions[:, :, columns] += 4
        if any(self.shift):
            regions = regions.roll((-self.shift[0], -self.shift[1]), (1, 2))
        parts = windows(regions, self.window).squeeze(2)
        return parts.unsqueeze(2) == parts.unsqueeze(1)


class JAGLBlock(nn.Module):
    """Patches (B, H * W, C) and joints (B, K, C) to the same shapes; linear in the number of
    patches. ``gate`` is a scale per channel on what the joints give back."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: Sequence[int],
        *,
        shifted: bool = False,
        mlp_ratio: float = 4.0,
        joint_mlp_ratio: float = 4.0,
        gate: float = 1e-2,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm_local, self.local = (
            nn.LayerNorm(dim),
            WindowAttention(dim, num_heads, window, shifted),
        )
        self.norm_gather_joints, self.norm_gather = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.gather = CrossAttention(dim, num_heads)  # patch to joint
        self.norm_mix, self.mix = nn.LayerNorm(dim), Attention(dim, num_heads)  # joint to joint
        self.norm_scatter, self.norm_scatter_joints = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.scatter = CrossAttention(dim, num_heads)  # joint to patch
        self.gate = nn.Parameter(torch.full((dim,), gate))
        self.norm_mlp, self.mlp = nn.LayerNorm(dim), Mlp(dim, int(dim * mlp_ratio))
        self.norm_joint_mlp = nn.LayerNorm(dim)
        self.joint_mlp = Mlp(dim, int(dim * joint_mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, joints: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        drop = self.drop_path
        x = x + drop(self.local(self.norm_local(x), size))
        joints = joints + drop(self.gather(self.norm_gather_joints(joints), self.norm_gather(x)))
        joints = joints + drop(self.mix(self.norm_mix(joints)))
        given = self.scatter(self.norm_scatter(x), self.norm_scatter_joints(joints))
        x = x + drop(self.gate * given)
        x = x + drop(self.mlp(self.norm_mlp(x)))
        return x, joints + drop(self.joint_mlp(self.norm_joint_mlp(joints)))


def windows(maps: Tensor, window: Size) -> Tensor:
    """(B, H, W, C) into (B * windows, rows * columns, C), row by row; H and W divide by the
    window."""
    batch, height, width, dim = maps.shape
    rows, columns = window
    parts = maps.reshape(batch, height // rows, rows, width // columns, columns, dim)
    return parts.transpose(2, 3).reshape(-1, rows * columns, dim)


def merged(parts: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of ``windows``, to maps of ``size`` (H, W)."""
    rows, columns = window
    grid = (size[0] // rows, size[1] // columns)
    parts = parts.reshape(-1, *grid, rows, columns, parts.shape[2])
    return parts.transpose(2, 3).reshape(-1, *size, parts.shape[5])
