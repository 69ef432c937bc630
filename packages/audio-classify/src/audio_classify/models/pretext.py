"""Masked spectrogram patch modelling: the pre-training that needs no labels.

Of each clip many patches are hidden. The network says which hidden patch is which (InfoNCE among
the hidden patches of the same clip), and draws them (mean squared error). SSAST, section 2.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio_classify.models.config import SSASTConfig
from audio_classify.models.ssast import Trunk

GENERATIVE_WEIGHT = 10.0
MIN_BLOCK, MAX_BLOCK = 3, 5


@dataclass(frozen=True)
class PretextLoss:
    """``total`` is ``discriminative + 10 * generative``; ``accuracy`` that of telling the hidden
    patches apart."""

    total: Tensor
    discriminative: Tensor
    generative: Tensor
    accuracy: Tensor


class MaskedModel(nn.Module):
    """A trunk of patches that do not overlap, the token that stands for a hidden patch, and the two
    heads."""

    def __init__(self, config: SSASTConfig):
        super().__init__()
        self.config = config
        self.trunk = Trunk(config)
        self.mask_embed = nn.Parameter(nn.init.xavier_normal_(torch.empty(1, 1, config.embed_dim)))
        area = config.patch[0] * config.patch[1]
        self.discriminative = _head(config.embed_dim, area)
        self.generative = _head(config.embed_dim, area)

    def forward(self, spectrogram: Tensor, masked: Tensor) -> PretextLoss:
        """The losses of (B, frames, bins) with the patches ``masked`` (B, n) hidden, one pass for
        both."""
        targets = pick(self.targets(spectrogram), masked)
        hidden = pick(self.tokens(spectrogram, masked)[:, self.config.class_tokens :], masked)
        discriminative, accuracy = matching_loss(targets, self.discriminative(hidden))
        generative = F.mse_loss(self.generative(hidden), targets)
        total = discriminative + GENERATIVE_WEIGHT * generative
        return PretextLoss(total, discriminative, generative, accuracy)

    def targets(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> the values of each patch (B, patches, area)."""
        image = spectrogram.transpose(1, 2).unsqueeze(1)
        return F.unfold(
            image, tuple(self.config.patch), stride=tuple(self.config.stride)
        ).transpose(1, 2)

    def tokens(self, spectrogram: Tensor, masked: Tensor) -> Tensor:
        """The trunk's tokens (B, class tokens + patches, dim) of a spectrogram with hidden
        patches."""
        grid = self.config.grid(spectrogram.shape[1])
        hidden = torch.zeros(
            len(spectrogram), grid[0] * grid[1], 1, dtype=torch.bool, device=spectrogram.device
        )
        hidden = hidden.scatter(1, masked.unsqueeze(-1), True).unflatten(
            1, grid
        )  # (B, rows, columns, 1)
        if self.config.stem == "conv":  # its overlapping kernels would show what is hidden
            spectrogram = _blank(spectrogram, hidden[..., 0], self.config.patch)
        patches = torch.where(hidden, self.mask_embed.unsqueeze(0), self.trunk.embed(spectrogram))
        return self.trunk.encode(patches)


def joined(discriminative: PretextLoss, generative: PretextLoss) -> PretextLoss:
    """The first loss of one pass with the second of another, as the release adds them."""
    total = discriminative.discriminative + GENERATIVE_WEIGHT * generative.generative
    return replace(discriminative, total=total, generative=generative.generative)


def matching_loss(targets: Tensor, predictions: Tensor) -> tuple[Tensor, Tensor]:
    """InfoNCE of hidden patches (B, n, area) with what was predicted for them, and the accuracy.

    The softmax runs over the predictions for each patch, as in the official code; the paper's
    formula runs over the patches for each prediction.
    """
    scores = (targets @ predictions.transpose(1, 2)).log_softmax(dim=2)  # (B, patches, predictions)
    right = torch.arange(scores.shape[1], device=scores.device)
    accuracy = (scores.argmax(dim=1) == right).float().mean()
    return -scores.diagonal(dim1=1, dim2=2).mean(), accuracy


def clustered_mask(grid: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """``count`` patches (count,) of a grid of (rows, columns), hidden in blocks of 3 to 5 per side.

    Blocks may reach over the border, so that every patch is hidden equally often; of what is too
    much, patches at random are shown again. A grid of one row is hidden patch by patch.
    """
    rows, columns = grid
    if rows == 1:
        return torch.randperm(columns, generator=generator)[:count]
    side = _below(MAX_BLOCK + 1 - MIN_BLOCK, generator) + MIN_BLOCK
    hidden = torch.zeros(rows, columns, dtype=torch.bool)
    while hidden.sum() < count:
        top, left = (_below(size + side - 1, generator) + 1 - side for size in grid)
        hidden[max(0, top) : top + side, max(0, left) : left + side] = True
    chosen = hidden.flatten().nonzero().flatten()
    return chosen[torch.randperm(len(chosen), generator=generator)[:count]]


def official_mask(grid: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """``count`` patches (count,) as the release draws them.

    Blocks start anywhere and run on into the next row at the right border. The first patch is never
    hidden, low frequencies seldom: kept for reproduction only.
    """
    rows, columns = grid
    if rows == 1:
        return torch.randperm(columns, generator=generator)[:count]
    side = _below(MAX_BLOCK + 1 - MIN_BLOCK, generator) + MIN_BLOCK
    hidden: set[int] = set()
    while len(hidden) <= count:
        start = _below(rows * columns, generator)
        block = {start + columns * row + column for row in range(side) for column in range(side)}
        hidden |= {patch for patch in block if 0 < patch < rows * columns}
    return torch.tensor(list(hidden)[:count])


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (), generator=generator))


def _head(dim: int, area: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, area))


def pick(tokens: Tensor, places: Tensor) -> Tensor:
    """(B, patches, C) at ``places`` (B, n) -> (B, n, C)."""
    return tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def _blank(spectrogram: Tensor, hidden: Tensor, patch: Sequence[int]) -> Tensor:
    """The spectrogram with the hidden patches set to zero, the mean of all normalised ones."""
    cells = hidden.repeat_interleave(patch[0], dim=1).repeat_interleave(
        patch[1], dim=2
    )  # (B, bins, frames)
    visible = spectrogram[:, : cells.shape[2], : cells.shape[1]]
    return visible.masked_fill(cells.transpose(1, 2), 0.0)
