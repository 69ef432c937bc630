"""iColoriT: a plain vision transformer that spreads colour hints over a lightness plane (Yun et
al., "iColoriT: Towards Propagating Local Hint to the Right Region in Interactive Colorization by
Leveraging Vision Transformer", WACV 2023).

There is no decoder: every token predicts the two chroma channels of its own patch. Parameter names
are the release's.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.architectures import build
from vitrail.backbones.layers import Mlp
from vitrail.errors import UsageError

CHANNELS = 4  # lightness, the hints' a and b, and where there is a hint
LOCAL_HEADS = 8
MAX_SIDE, MAX_DIM, MAX_DEPTH = 2048, 8192, 96  # larger ones are damage in a file
UNSEEN = -100.0  # the logit of what a token of the local head does not look at
EPS = 1e-6


@dataclass(frozen=True)
class Config:
    """``image_size`` and ``patch_size`` in pixels. ``head`` is ``cnn``, the paper's local
    stabilizing layer, ``linear`` or ``locattn``; ``rel_pos`` gives each block a table of relative
    positions. ``centre_mask``: the indicator plane is -0.5 and 0.5 instead of 0 and 1.
    ``average_hints``: a cell holds the mean colour of its pixels, as all released models have it;
    ``hint_size`` is its side in pixels.
    """

    image_size: int = 224
    patch_size: int = 16
    hint_size: int = 2
    embed_dim: int = 192
    depth: int = 12
    num_heads: int = 3
    mlp_ratio: float = 4.0
    rel_pos: bool = True
    head: Literal["cnn", "linear", "locattn"] = "cnn"
    centre_mask: bool = False
    average_hints: bool = True

    def __post_init__(self):
        """Raises UsageError for sizes that are none, or do not go together."""
        limits = {
            "image_size": MAX_SIDE,
            "patch_size": MAX_SIDE,
            "hint_size": MAX_SIDE,
            "embed_dim": MAX_DIM,
            "depth": MAX_DEPTH,
            "num_heads": MAX_DIM,
        }
        for name, most in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= most:
                raise UsageError("icolorit", f"{name} {value!r:.20} is not in 1..{most}")
        faults = {
            "image_size does not divide by patch_size": self.image_size % self.patch_size,
            "image_size does not divide by hint_size": self.image_size % self.hint_size,
            "embed_dim does not divide by num_heads": self.embed_dim % self.num_heads,
            f"head {self.head!r:.20} is none of {', '.join(HEADS)}": self.head not in HEADS,
            "mlp_ratio is not in 0..64": not 0 < self.mlp_ratio <= 64,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("icolorit", fault)

    @property
    def grid(self) -> int:
        """Tokens along one side."""
        return self.image_size // self.patch_size

    @property
    def cells(self) -> int:
        """Cells for hints along one side."""
        return self.image_size // self.hint_size


class Attention(nn.Module):
    """Self-attention over (B, N, dim) with biases for queries and values but none for keys, and
    one learned number for each head and relative position."""

    rel_index: Tensor

    def __init__(self, config: Config):
        super().__init__()
        dim, self.heads = config.embed_dim, config.num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)
        self.rpb_table = None
        if config.rel_pos:
            self.rpb_table = nn.Parameter(torch.zeros((2 * config.grid - 1) ** 2, self.heads))
            self.register_buffer("rel_index", relative_index(config.grid), persistent=False)

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """``places`` are the numbers of the tokens in the whole grid where x holds only a part."""
        q, k, v = self._heads(x)
        # Written out, since exporters disagree about the memory layout of the fused attention.
        mixed = self._look(q, k, places) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """The attention (B, heads, N, N) of each query over all keys."""
        q, k, _ = self._heads(x)
        return self._look(q, k, None)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (B, heads, N, head dim)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(2, (3, self.heads, -1))
        return qkv.permute(2, 0, 3, 1, 4).unbind()

    def _look(self, q: Tensor, k: Tensor, places: Tensor | None) -> Tensor:
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        bias = self._bias(places, q)
        return (logits if bias is None else logits + bias).softmax(-1)

    def _bias(self, places: Tensor | None, like: Tensor) -> Tensor | None:
        if self.rpb_table is None:
            return None
        index = self.rel_index
        if places is not None:
            index = index[places[:, None], places[None]]
        return self.rpb_table[index].permute(2, 0, 1)[None].to(like.dtype)


class Block(nn.Module):
    """Pre-norm attention and MLP with residual connections: (B, N, dim) to the same shape."""

    def __init__(self, config: Config):
        super().__init__()
        dim = config.embed_dim
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attn = Attention(config)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = Mlp(dim, int(dim * config.mlp_ratio))

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.norm1(x), places)
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Planes (B, 4, H, W) to tokens (B, N, dim), row by row."""

    def __init__(self, config: Config):
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(CHANNELS, config.embed_dim, size, stride=size)

    def forward(self, planes: Tensor) -> Tensor:
        return self.proj(planes).flatten(2).transpose(1, 2)


class LocalStabilizer(nn.Module):
    """The paper's last layer: a 3x3 convolution over the tokens' grid, against edges between
    patches. The border is mirrored."""

    def __init__(self, config: Config):
        super().__init__()
        outputs = 2 * config.patch_size**2
        self.head = nn.Conv2d(config.embed_dim, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        maps = x.transpose(1, 2).unflatten(2, grid)
        return self.head(maps).flatten(2).transpose(1, 2)


class LocalAttention(nn.Module):
    """The alternative last layer: attention of each token to the 3x3 tokens around it.

    ``mask`` (N, N) is stored with the weights; where it is not 0, hardly anything is looked at.
    """

    mask: Tensor

    def __init__(self, config: Config):
        super().__init__()
        dim = config.embed_dim
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, 2 * config.patch_size**2)
        self.register_buffer("mask", far_apart(config.grid))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        qkv = self.qkv(x).unflatten(2, (3, LOCAL_HEADS, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        mixed = logits.masked_fill(self.mask != 0, UNSEEN).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))


class LinearHead(nn.Linear):
    """The simplest last layer: each token alone."""

    def __init__(self, config: Config):
        super().__init__(config.embed_dim, 2 * config.patch_size**2)

    def forward(self, input: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        return super().forward(input)


HEADS = {"cnn": LocalStabilizer, "linear": LinearHead, "locattn": LocalAttention}


class IColoriT(nn.Module):
    """Planes (B, 4, H, W), as ``planes`` makes them, to chroma (B, 2, H, W) in -1..1.

    Smaller planes than ``image_size`` are a part of the whole: they take the positions from
    ``origin`` (row, column of tokens) on, so that it can be trained on crops.
    """

    positions: Tensor

    def __init__(self, config: Config = Config()):
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        table = sinusoids(config.grid**2, config.embed_dim)
        self.register_buffer("positions", table, persistent=False)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.depth)])
        self.norm = nn.LayerNorm(config.embed_dim, eps=EPS)
        self.head = HEADS[config.head](config)
        self.apply(_initialise)

    def forward(self, planes: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        size = self.config.patch_size
        grid = planes.shape[2] // size, planes.shape[3] // size
        return unpatch(self.patches(planes, origin), grid, size)

    def patches(self, planes: Tensor, origin: tuple[int, int] = (0, 0)) -> Tensor:
        """The chroma as tokens (B, N, 2 P P); the last axis is row, column, channel."""
        size, whole = self.config.patch_size, self.config.grid
        grid = planes.shape[2] // size, planes.shape[3] // size
        tokens = self.features(planes, origin if grid != (whole, whole) else None)
        return self.head(tokens, grid).tanh()

    def features(self, planes: Tensor, origin: tuple[int, int] | None = None) -> Tensor:
        """The tokens (B, N, dim) after the last norm."""
        size, whole = self.config.patch_size, self.config.grid
        places = None
        positions = self.positions
        if origin is not None:
            rows = torch.arange(planes.shape[2] // size, device=planes.device) + origin[0]
            columns = torch.arange(planes.shape[3] // size, device=planes.device) + origin[1]
            places = (rows[:, None] * whole + columns).flatten()
            positions = positions[:, places]
        x = self.patch_embed(planes) + positions
        for block in self.blocks:
            x = block(x, places)
        return self.norm(x)

    def rollout(self, planes: Tensor) -> Tensor:
        """How much each token's answer (B, N, N: query, key) drew on each other one: attention,
        mean of the heads, with the residual connection, multiplied through the blocks (Abnar and
        Zuidema, "Quantifying Attention Flow in Transformers", 2020)."""
        x = self.patch_embed(planes) + self.positions
        flow = torch.eye(x.shape[1], device=x.device).expand(x.shape[0], -1, -1)
        for block in self.blocks:
            assert isinstance(block, Block)
            seen = block.attn.weights(block.norm1(x)).mean(1)
            flow = (0.5 * seen + 0.5 * torch.eye(x.shape[1], device=x.device)) @ flow
            x = block(x)
        return flow


def planes(lab: Tensor, mask: Tensor, *, average: bool = True, centre: bool = False) -> Tensor:
    """What the network sees (B, 4, H, W) of a coloured picture: L, the chroma of the hints, zero
    elsewhere, and 1 where there is a hint.

    ``lab`` (B, 3, H, W) is normalised, ``mask`` (B, cells) is True where there is *no* hint; the
    side of a cell follows from their sizes. With ``average`` a cell has one colour: the bilinear
    one of its middle, which for 2x2 pixels is their mean.
    """
    height, width = lab.shape[2:]
    cell = round(math.sqrt(height * width / mask.shape[1]))
    rows, columns = height // cell, width // cell
    hinted = (~mask).to(lab.dtype).reshape(-1, 1, rows, columns)
    indicator = hinted.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    chroma = lab[:, 1:]
    if average:
        chroma = F.interpolate(chroma, (rows, columns), mode="bilinear") * hinted
        chroma = chroma.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    else:
        chroma = chroma * indicator
    return torch.cat([lab[:, :1], chroma, indicator - 0.5 if centre else indicator], dim=1)


def unpatch(patches: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Tokens (B, N, 2 P P) to (B, 2, H, W)."""
    tiles = patches.unflatten(2, (size, size, 2)).unflatten(1, grid)
    return tiles.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def sinusoids(count: int, dim: int) -> Tensor:
    """The fixed table of positions (1, count, dim): sines on even, cosines on odd channels."""
    channel = torch.arange(dim, dtype=torch.float64)
    angle = torch.arange(count, dtype=torch.float64)[:, None] / 10000 ** (2 * (channel // 2) / dim)
    table = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return table.float()[None]


def relative_index(grid: int) -> Tensor:
    """For each pair of tokens (query, key) the row of the table for their distance: (N, N)."""
    place = torch.arange(grid**2)
    row, column = place // grid, place % grid
    dy = row[:, None] - row[None] + grid - 1
    dx = column[:, None] - column[None] + grid - 1
    return dy * (2 * grid - 1) + dx


def far_apart(grid: int) -> Tensor:
    """float (N, N): 0 for tokens that touch, themselves among them, else 1."""
    place = torch.arange(grid**2)
    row, column = place // grid, place % grid
    near = ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)
    return (~near).float()


def huber(predicted: Tensor, target: Tensor, delta: float = 0.01) -> Tensor:
    """Over chroma (B, 2, ...): e^2 / (2 delta) below ``delta``, else |e| - delta / 2, summed over a
    and b, mean over pixels and batch."""
    error = (predicted - target).abs()
    each = torch.where(error < delta, error**2 / (2 * delta), error - delta / 2)
    return each.sum(1).mean()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Attention) and module.rpb_table is not None:
        nn.init.trunc_normal_(module.rpb_table, std=0.02)


ARCHITECTURES = {"icolorit": (IColoriT, Config)}


def build_model(options: dict) -> IColoriT:
    """The network with fresh weights; options left out are the tiny model's."""
    return build(ARCHITECTURES, "icolorit", options)
