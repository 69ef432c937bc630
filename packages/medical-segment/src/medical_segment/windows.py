"""Overlapping windows over one image, and the one buffer in which what the network says of them is
added up.

The windows and the Gaussian weights are those of MONAI's SlidingWindowInferer, number for number (a
test compares them). They are walked through here because the runner fills its batches with windows
of several cases, because windows of mere background need no network, and because importing MONAI
takes a command longer than a small scan.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA = 0.125  # of the Gaussian, in sides of a window
LEAST = 1e-3  # weight
SURE = 10.0  # the logit of what was not computed


class Canvas:
    """An image (C, spatial…) of at least a window's size, and the weighted sum of the logits (K,
    spatial…)."""

    def __init__(self, image: Tensor, patch: Sequence[int], overlap: float, background: Tensor):
        """``background`` (K,) are the logits that a window gets which holds one value only."""
        self.grid, self.patch, self.background = tuple(image.shape[1:]), tuple(patch), background
        spare = [max(0, side - size) for side, size in zip(patch, self.grid, strict=True)]
        self.offset = [missing // 2 for missing in spare]
        padding = [
            n
            for before, missing in zip(self.offset, spare, strict=True)
            for n in (missing - before, before)
        ]
        self.image = F.pad(image, padding[::-1]) if any(spare) else image
        self.starts = window_starts(self.image.shape[1:], patch, overlap)
        self.weight = gaussian(patch)
        self.sum = torch.zeros(len(background), *self.image.shape[1:])
        self.total = torch.zeros(self.image.shape[1:])
        self.left = len(self.starts)
        self.skipped = 0

    def windows(self) -> Iterator[int]:
        """The numbers of the windows that need the network; the others are settled on the way."""
        for number in range(len(self.starts)):
            window = self.crop(number)
            if window.numel() and bool(
                (window == window.flatten(1)[:, :1].view(-1, *[1] * len(self.patch))).all()
            ):
                self.skipped += 1
                self.add(
                    number, self.background.view(-1, *[1] * len(self.patch)).expand(-1, *self.patch)
                )
            else:
                yield number

    def crop(self, number: int) -> Tensor:
        """The window's (C, *patch), a view."""
        return self.image[(slice(None), *self._place(number))]

    def add(self, number: int, logits: Tensor) -> None:
        """Adds a window's logits (K, *patch)."""
        place = self._place(number)
        if len(self.starts) == 1:
            self.sum, self.total = logits.clone(), torch.ones(())
        else:
            self.sum[(slice(None), *place)] += logits * self.weight
            self.total[place] += self.weight
        self.left -= 1

    def logits(self) -> Tensor:
        """(K, spatial…) on the image's grid, once all windows are in."""
        self.sum /= self.total
        inner = [
            slice(start, start + size) for start, size in zip(self.offset, self.grid, strict=True)
        ]
        return self.sum[(slice(None), *inner)]

    def _place(self, number: int) -> tuple[slice, ...]:
        return tuple(
            slice(start, start + side)
            for start, side in zip(self.starts[number], self.patch, strict=True)
        )


def window_starts(
    shape: Sequence[int], patch: Sequence[int], overlap: float
) -> list[tuple[int, ...]]:
    """The first corners of windows that cover ``shape``, each at most ``1 - overlap`` of a side
    after the last."""
    return list(
        itertools.product(
            *(_along(size, side, overlap) for size, side in zip(shape, patch, strict=True))
        )
    )


def _along(size: int, side: int, overlap: float) -> list[int]:
    if size <= side:
        return [0]
    step = max(1, int(side * (1 - overlap)))
    return [
        min(number * step, size - side) for number in range(math.ceil((size - side) / step) + 1)
    ]


def gaussian(patch: Sequence[int]) -> Tensor:
    """Weights (*patch), one in the middle, falling off to the borders."""
    weight = torch.ones(())
    for side in patch:
        middle = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
        weight = weight[..., None] * torch.exp(-(middle**2) / (2 * (SIGMA * side) ** 2))
    return weight.clamp_min(LEAST)
