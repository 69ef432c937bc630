"""Windows around pixels, cut only when they are asked for: nothing stores one per pixel."""

from collections.abc import Iterator

import numpy as np

STD_EPS = 1e-8


def windows(block: np.ndarray, size: int) -> np.ndarray:
    """(C, rows + size - 1, columns + size - 1) -> a view (rows, columns, C, size, size)."""
    view = np.lib.stride_tricks.sliding_window_view(block, (size, size), (1, 2))
    return view.transpose(1, 2, 0, 3, 4)


def padded(image: np.ndarray, size: int) -> np.ndarray:
    """(C, rows, columns) with zeros around it, so that each pixel is the centre of a window."""
    reach = size // 2
    return np.pad(image, ((0, 0), (reach, reach), (reach, reach)))


def standardised(patches: np.ndarray) -> np.ndarray:
    """(N, C, rows, columns) -> each patch's components less their mean over the patch, by their
    standard deviation there (ddof 1), as the release has it: absolute levels are gone, only texture
    is left."""
    mean = patches.mean((2, 3), keepdims=True)
    std = patches.std((2, 3), ddof=1, keepdims=True)
    return (patches - mean) / (std + STD_EPS)


def at_pixels(image: np.ndarray, pixels: np.ndarray, size: int) -> np.ndarray:
    """(C, rows, columns) and flat pixel numbers (N,) -> patches (N, C, size, size), a copy."""
    rows, columns = np.unravel_index(pixels, image.shape[1:])
    return np.ascontiguousarray(windows(padded(image, size), size)[rows, columns])


def in_chunks(pixels: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]
