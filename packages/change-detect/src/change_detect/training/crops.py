"""Crops of labelled pairs, each drawn and changed from its number alone."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from change_detect.data import Pair
from change_detect.scene.pixels import normalise
from change_detect.training.augment import Augment, Crop, augmented

TRIES = 12  # to find a crop with a change in it
MIN_CHANGED = 0.01  # of such a crop


class Crops(Dataset):
    """``side``-sized crops: half of them are looked for where something changed.

    A pair is drawn in proportion to the root of its area, so that large tiles do not drown the
    others. An item is two normalised images (3, side, side) and the target (1, side, side).
    """

    def __init__(self, pairs: Sequence[Pair], side: int, count: int, augment: Augment, seed: int):
        self.pairs, self.side, self.count = list(pairs), side, count
        self.augment, self.seed = augment, seed
        areas = np.array([pair.changed.size for pair in self.pairs], float)
        self.odds = np.sqrt(areas) / np.sqrt(areas).sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        crop = self._drawn(rng, rng.random() < 0.5)
        donor = self._drawn(rng, True) if rng.random() < 2 * self.augment.paste else None
        before, after, changed = augmented(crop, donor, self.augment, rng)
        return as_tensors(before, after, changed)

    def _drawn(self, rng: np.random.Generator, wanted: bool) -> Crop:
        side = round(self.side * np.exp(rng.uniform(-1, 1) * self.augment.scale))
        for _ in range(TRIES if wanted else 1):
            pair = self.pairs[rng.choice(len(self.pairs), p=self.odds)]
            before, after = pair.images
            rows, columns = pair.changed.shape
            size = min(side, rows, columns)
            top, left = rng.integers(rows - size + 1), rng.integers(columns - size + 1)
            part = (slice(top, top + size), slice(left, left + size))
            if pair.changed[part].mean() >= MIN_CHANGED:
                break
        crop = before[part], after[part], pair.changed[part]
        return crop if size == self.side else _resized(crop, self.side)


def _resized(crop: Crop, side: int) -> Crop:
    dates = [
        np.asarray(Image.fromarray(c).resize((side, side), Image.Resampling.BILINEAR))
        for c in crop[:2]
    ]
    changed = Image.fromarray(crop[2]).resize((side, side), Image.Resampling.NEAREST)
    return dates[0], dates[1], np.asarray(changed)


def as_tensors(
    before: np.ndarray, after: np.ndarray, changed: np.ndarray
) -> tuple[Tensor, Tensor, Tensor]:
    """Images (S, S, 3) uint8 and a label (S, S) as a network's input and target."""
    images = [torch.from_numpy(normalise(np.moveaxis(i, -1, 0))) for i in (before, after)]
    return images[0], images[1], torch.from_numpy(changed.astype(np.float32))[None]
