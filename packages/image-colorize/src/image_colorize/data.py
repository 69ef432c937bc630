"""Photographs for training and measuring: read once, kept small in memory, cut and hinted anew for
each step."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from image_colorize.model import Config, planes
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files

STORED_SIDE = 256  # pixels of the short side; smaller photographs stay as they are
MIN_CHROMA = 3.0  # mean of an image worth learning colours from
NO_HINTS = 0.1  # share of samples without any
RATIOS = (0.66, 1.5)  # width to height of a crop, since whole photographs are squashed to squares


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn. ``area``: share of the photograph in a crop, from this to 1;
    ``turned``: share of samples with hints whose hues are all turned by one random angle, so that
    hints must be followed; ``hints``: the largest number of them, drawn ``log_uniform`` or uniform
    from 0.
    """

    area: float = 0.08
    turned: float = 0.5
    hints: int = 200
    log_uniform: bool = True


def read_photographs(folders: Sequence[tuple[Path, int]]) -> list[np.ndarray]:
    """Of each folder every n-th photograph as 8-bit Lab (H, W, 3), as OpenCV has it, without those
    that hold hardly any colour.

    InputError where nothing remains.
    """
    found = []
    for folder, every in folders:
        if not folder.is_dir():
            raise InputError(folder, "is not a folder", "see data in the recipe")
        for path in image_files(folder)[::every]:
            lab = _small_lab(read_image(path))
            if _mean_chroma(lab) >= MIN_CHROMA:
                found.append(lab)
    if not found:
        raise InputError(folders[0][0], "holds no colour photograph", "see data in the recipe")
    return found


def _small_lab(rgb: np.ndarray) -> np.ndarray:
    scale = STORED_SIDE / min(rgb.shape[:2])
    if scale < 1:
        size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)


def _mean_chroma(lab: np.ndarray) -> float:
    ab = lab[..., 1:].astype(np.float32) - 128
    return float(np.hypot(ab[..., 0], ab[..., 1]).mean())


class Crops:
    """Batches by their number: the same number gives the same batch, so that a run can go on."""

    def __init__(self, images: Sequence[np.ndarray], config: Config, drawn: Sampling, seed: int):
        self.images, self.config, self.drawn, self.seed = images, config, drawn, seed

    def batch(self, number: int, count: int, size: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """``count`` crops of ``size`` pixels a side: planes (B, 4, size, size), chroma
        (B, 2, size, size) in -1..1, and where in the network's grid they lie (row, column)."""
        rng = np.random.default_rng([self.seed, number])
        lab = normalised(np.stack([self._crop(rng, size) for _ in range(count)]))
        masks = np.stack([self._mask(rng, size) for _ in range(count)])
        # Without a hint nothing tells how they were turned: true colours are to be learned there.
        turned = (rng.random(count) < self.drawn.turned) & ~masks.all(1)
        lab[:, 1:] = _turned(lab[:, 1:], rng.uniform(0, 2 * np.pi, count) * turned)
        config = self.config
        free = (config.image_size - size) // config.patch_size + 1
        row, column = rng.integers(free, size=2)
        mask = torch.from_numpy(masks)
        made = planes(lab, mask, average=config.average_hints, centre=config.centre_mask)
        return made, lab[:, 1:], (int(row), int(column))

    def _crop(self, rng: np.random.Generator, size: int) -> np.ndarray:
        image = self.images[int(rng.integers(len(self.images)))]
        height, width = image.shape[:2]
        area = rng.uniform(self.drawn.area, 1) * height * width
        ratio = np.exp(rng.uniform(*np.log(RATIOS)))
        h = min(height, max(8, round((area / ratio) ** 0.5)))
        w = min(width, max(8, round((area * ratio) ** 0.5)))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        crop = image[top : top + h, left : left + w]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        shrinks = h * w > size * size
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=how)

    def _mask(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """bool (cells,), True where there is no hint; fewer hints where the crop is a part."""
        cells = (size // self.config.hint_size) ** 2
        share = cells / self.config.cells**2
        if self.drawn.log_uniform:
            count = (
                0.0 if rng.random() < NO_HINTS else np.exp(rng.uniform(0, np.log(self.drawn.hints)))
            )
        else:
            count = float(rng.integers(self.drawn.hints + 1))
        mask = np.ones(cells, bool)
        mask[rng.choice(cells, min(cells, round(count * share)), replace=False)] = False
        return mask


def normalised(lab: np.ndarray) -> Tensor:
    """OpenCV's 8-bit Lab (B, H, W, 3) as the network has it: float32 (B, 3, H, W)."""
    values = np.moveaxis(lab.astype(np.float32), -1, 1)
    values[:, 0] = values[:, 0] / 255 - 0.5
    values[:, 1:] = (values[:, 1:] - 128) / 110
    return torch.from_numpy(values)


def fixed_mask(config: Config, count: int, seed: int) -> np.ndarray:
    """bool (cells,), True where there is no hint: ``count`` hints, always the same ones."""
    rng = np.random.default_rng(seed)
    mask = np.ones(config.cells**2, bool)
    mask[rng.choice(mask.size, count, replace=False)] = False
    return mask


def squashed(images: Sequence[np.ndarray], size: int) -> Tensor:
    """Whole photographs at the network's size, without their aspect ratio: (N, 3, size, size)."""
    whole = [cv2.resize(lab, (size, size), interpolation=cv2.INTER_AREA) for lab in images]
    return normalised(np.stack(whole))


def _turned(chroma: Tensor, angle: np.ndarray) -> Tensor:
    """(B, 2, H, W) with all hues of each sample turned by its angle (B,)."""
    cos = torch.from_numpy(np.cos(angle)).float().view(-1, 1, 1)
    sin = torch.from_numpy(np.sin(angle)).float().view(-1, 1, 1)
    a, b = chroma[:, 0], chroma[:, 1]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=1)
