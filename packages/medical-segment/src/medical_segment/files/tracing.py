"""Outlines of masks, halfway between the pixels inside and those outside."""

from collections.abc import Iterator

import numpy as np


def outlines(mask: np.ndarray) -> Iterator[np.ndarray]:
    """The closed outlines (n, 2) of a bool mask (A, B), in its own indices, the first point not
    repeated; those of holes too: who fills all of them by the even-odd rule has the mask again."""
    from skimage.measure import find_contours

    for line in find_contours(np.pad(mask, 1).astype(np.uint8), 0.5):
        yield line[:-1] - 1
