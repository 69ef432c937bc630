"""Colours from another photograph: hints where it is alike in lightness and place."""

import numpy as np

from image_colorize.color import lab_to_rgb, rgb_to_lab
from image_colorize.hints import Hint
from image_colorize.seen import shrink

GRID = 6  # hints along a side
SIDE = 64  # pixels along a side, at which both are compared
ALIKE = 8.0  # of L: a difference that counts as much as
NEAR = 0.3  # this share of the side
BEST = 24  # pixels of the reference that a hint's colour is the mean of


def hints_from(reference: np.ndarray, levels: np.ndarray) -> tuple[Hint, ...]:
    """Hints on a grid for an image's levels (H, W) or (H, W, 3), each with the mean chroma of those
    places of ``reference`` (H, W, 3) uint8 that are most like it."""
    source = _lab(reference)
    lightness = _lab(levels)[..., 0]
    y, x = (np.indices((SIDE, SIDE), np.float32) + 0.5) / SIDE
    found = []
    for row in range(GRID):
        for column in range(GRID):
            at_y, at_x = (row + 0.5) / GRID, (column + 0.5) / GRID
            light = lightness[int(at_y * SIDE), int(at_x * SIDE)]
            away = ((source[..., 0] - light) / ALIKE) ** 2
            away += ((y - at_y) / NEAR) ** 2 + ((x - at_x) / NEAR) ** 2
            best = np.argpartition(away, BEST, axis=None)[:BEST]
            a, b = source[..., 1:].reshape(-1, 2)[best].mean(0)
            rgb = lab_to_rgb(np.array([light, a, b], np.float64)).clip(0, 1)
            red, green, blue = np.rint(rgb * 255).astype(int).tolist()
            found.append(Hint(at_x, at_y, (red, green, blue)))
    return tuple(found)


def _lab(levels: np.ndarray) -> np.ndarray:
    small = shrink(levels, SIDE).astype(np.float32) / np.iinfo(levels.dtype).max
    return rgb_to_lab(small if small.ndim == 3 else np.repeat(small[..., None], 3, axis=2))
