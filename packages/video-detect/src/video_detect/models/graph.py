"""STGM, the spatial-temporal GraphFormer: a token gathers from those most like it near by, in its
own frame and then in the frames beside it.

Of the graph convolution the formula is that of the authors' later detectors (knn golden):
neighbours by cosine, weights by degree, layers with one list, summed by a softmax.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from video_detect.models.temporal import shifted

SLOPE = 0.2
START = 0.1  # of the residual branches
HIDDEN = -2.0  # below any cosine


def nearest(features: Tensor, k: int, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The ``k`` tokens most like each of (B, L, C) by cosine, itself among them: indices (B, L, k)
    and whether each is one (with fewer than ``k`` tokens there are none left). Padding is never
    one; as in the published formula it still chooses, which counts in the weights of others."""
    unit = F.normalize(features, dim=-1)
    likeness = unit @ unit.transpose(1, 2)
    if padding is not None:
        likeness = likeness.masked_fill(padding[:, None], HIDDEN)
    own = torch.eye(likeness.shape[1], dtype=torch.bool, device=features.device)
    if padding is not None:
        own = own & ~padding[:, None]
    likeness = likeness.masked_fill(own, 2.0)
    best = likeness.topk(min(k, likeness.shape[1]), dim=-1)
    return best.indices, best.values > HIDDEN + 0.5


@torch.no_grad()
def near_window(
    maps: Tensor, k: int, window: int, reach: int, padding: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """As ``nearest`` over all tokens of a clip (B, N, C, h, w), from the ``window`` tokens a side
    around each: in its own frame where ``reach`` is 0, else itself and the frames within ``reach``
    of it. Indices (B, N * h * w, k) count through the clip."""
    frames, height, width = maps.shape[1], maps.shape[3], maps.shape[4]
    radius, count = window // 2, height * width
    unit = F.normalize(maps, dim=2)
    hidden = torch.zeros_like(maps[:, :, 0]) if padding is None else padding.to(maps.dtype)
    places = torch.arange(count, device=maps.device).view(1, height, width).float()
    spots = shifted(places[:, None], radius, -1.0).view(-1, 1, 1, height, width).long()
    steps = [0] if reach == 0 else [0, *(s for d in range(1, reach + 1) for s in (-d, d))]
    values, indices = [], []
    for step in steps:
        seen, veil = _frames_at(unit, step, 0.0), _frames_at(hidden, step, 1.0)
        own = step == 0 and reach > 0  # of the own frame the temporal graph takes the token alone
        span = 0 if own else radius
        views = shifted(seen, span)
        likeness = torch.stack([(unit * view).sum(2) for view in views])
        likeness = torch.where(shifted(veil, span, 1.0) > 0.5, HIDDEN, likeness)
        if step == 0:
            middle = views.shape[0] // 2
            likeness = torch.cat((likeness[:middle], torch.full_like(likeness[:1], 2.0),
                                  likeness[middle + 1 :]))  # fmt: skip
        number = torch.arange(frames, device=maps.device).view(1, 1, frames, 1, 1) + step
        where = (places.long().view(1, 1, 1, height, width) if own else spots) + number * count
        values.append(likeness)
        indices.append(where.expand(likeness.shape))
    likeness = torch.cat(values).flatten(2).permute(1, 2, 0)
    candidates = torch.cat(indices).flatten(2).permute(1, 2, 0)
    best = likeness.topk(min(k, likeness.shape[-1]), dim=-1)
    valid = best.values > HIDDEN + 0.5
    if padding is not None:
        valid = valid & ~padding.flatten(1)[..., None]
    chosen = candidates.gather(2, best.indices)
    itself = torch.arange(frames * count, device=maps.device).view(1, -1, 1)
    return torch.where(valid, chosen, itself), valid


def _frames_at(maps: Tensor, step: int, fill: float) -> Tensor:
    """The clip (B, N, ...) with each frame replaced by that ``step`` further; ``fill`` beyond."""
    if step == 0:
        return maps
    beyond = torch.full_like(maps[:, :1], fill).repeat_interleave(abs(step), 1)
    if abs(step) >= maps.shape[1]:
        return torch.full_like(maps, fill)
    return (
        torch.cat((maps[:, step:], beyond), 1)
        if step > 0
        else torch.cat((beyond, maps[:, :step]), 1)
    )


class GraphConvolution(nn.Module):
    """``g' = LeakyReLU(W sum_j w_ij g_j) + g`` over ``layers`` with one list of neighbours;
    ``w_ij = 1 / sqrt(d_i d_j)``: how many i has, and how many chose j."""

    def __init__(self, dim: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(layers))
        self.coef = nn.Parameter(torch.zeros(layers))

    def forward(
        self, x: Tensor, indices: Tensor, valid: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """(B, L, C) with the neighbours (B, L, k) of each; padding (B, L) keeps its value."""
        batch, count, dim = x.shape
        shares = edge_weights(indices, valid)
        flat = indices.flatten(1)[..., None].expand(-1, -1, dim)
        total = torch.zeros_like(x)
        shown = valid.any(-1, keepdim=True)
        if padding is not None:
            shown = shown & ~padding[..., None]
        for layer, part in zip(self.layers, self.coef.softmax(0), strict=True):
            near = x.gather(1, flat).view(batch, count, -1, dim)
            step = F.leaky_relu(layer((near * shares[..., None]).sum(2)), SLOPE) + x
            x = torch.where(shown, step, x)
            total = total + part * x
        return total


def edge_weights(indices: Tensor, valid: Tensor) -> Tensor:
    """(B, L, k): 0 where there is no neighbour."""
    count = valid.to(torch.float32)
    rows = count.sum(-1, keepdim=True).clamp(min=1)
    chosen = torch.zeros_like(count[..., 0]).scatter_add(1, indices.flatten(1), count.flatten(1))
    columns = chosen.gather(1, indices.flatten(1)).view(indices.shape).clamp(min=1)
    return count / (rows * columns).sqrt()


class GraphFormerBlock(nn.Module):
    """Graph convolution, then a feed-forward part, each after a norm and scaled into the sum."""

    def __init__(self, dim: int, layers: int, mlp_ratio: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.convolution = GraphConvolution(dim, layers)
        hidden = mlp_ratio * dim
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.scale1 = nn.Parameter(torch.full((dim,), START))
        self.scale2 = nn.Parameter(torch.full((dim,), START))

    def forward(self, x: Tensor, indices: Tensor, valid: Tensor) -> Tensor:
        normed = self.norm1(x)
        # The convolution carries its input along; the residual sum needs what it adds.
        x = x + self.scale1 * (self.convolution(normed, indices, valid) - normed)
        return x + self.scale2 * self.mlp(self.norm2(x))


class GraphFormer(nn.Module):
    """Pairs of a spatial and a temporal block over a clip (B, N, C, h, w)."""

    def __init__(
        self, dim: int, pairs: int, layers: int, k: int, window: int | None, mlp_ratio: int
    ):
        super().__init__()
        self.k, self.window = k, window
        self.spatial = nn.ModuleList(GraphFormerBlock(dim, layers, mlp_ratio) for _ in range(pairs))
        self.temporal = nn.ModuleList(
            GraphFormerBlock(dim, layers, mlp_ratio) for _ in range(pairs)
        )

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        batch, frames, dim, height, width = x.shape
        for spatial, temporal in zip(self.spatial, self.temporal, strict=True):
            for block, reach in ((spatial, 0), (temporal, 1)):
                lists = self.neighbours(x, reach, padding)
                tokens = x.permute(0, 1, 3, 4, 2).reshape(batch, -1, dim)
                tokens = block(tokens, *lists)
                x = tokens.view(batch, frames, height, width, dim).permute(0, 1, 4, 2, 3)
        return x

    def neighbours(self, x: Tensor, reach: int, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """Indices and validity (B, N * h * w, k); without a window from whole frames."""
        side = 2 * max(x.shape[3], x.shape[4]) - 1 if self.window is None else self.window
        return near_window(x, self.k, side, reach, padding)
