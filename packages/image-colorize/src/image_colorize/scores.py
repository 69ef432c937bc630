"""How good colours are: the release's figures, over images (H, W, 3) in 0..1, and the colourings
without a network that stand beside them."""

import numpy as np

NOTICEABLE = 2.3  # distance in Lab from which two colours differ to the eye
FLOOR = 1e-5  # of the squared error: at most 50 dB


def psnr(made: np.ndarray, truth: np.ndarray) -> float:
    """dB of one image."""
    return _decibels(np.square(np.subtract(made, truth, dtype=np.float64)).mean())


def boundary_psnr(made: np.ndarray, truth: np.ndarray, patch: int) -> float:
    """PSNR of the pixels on either side of the inner borders between patches alone."""
    error = np.square(np.subtract(made, truth, dtype=np.float64)).mean(-1)
    return _decibels(error[boundary(error.shape, patch)].mean())


def boundary(shape: tuple[int, ...], patch: int) -> np.ndarray:
    """bool (H, W): the two rows or columns that meet at an inner border of patches."""
    sides = []
    for length in shape[:2]:
        place = np.arange(length)
        last, first = place % patch == patch - 1, place % patch == 0
        sides.append((last & (place < length - 1)) | (first & (place > 0)))
    return sides[0][:, None] | sides[1][None]


def patch_error_variance(made: np.ndarray, truth: np.ndarray, patch: int) -> float:
    """The variance over patches of their root mean squared error, in 8-bit levels."""
    error = np.square(np.subtract(made, truth, dtype=np.float64)).mean(-1) * 255**2
    rows, columns = (length // patch for length in error.shape)
    tiles = error[: rows * patch, : columns * patch].reshape(rows, patch, columns, patch)
    return float(np.sqrt(tiles.mean((1, 3))).var(ddof=1))


def propagation(before: np.ndarray, after: np.ndarray, hint: tuple[float, float]) -> np.ndarray:
    """Distances (N,) in pixels from a hint (row, column) to every pixel that it changed noticeably;
    ``before`` and ``after`` are Lab (H, W, 3)."""
    changed = np.sqrt(np.square(after - before).sum(-1)) > NOTICEABLE
    rows, columns = np.nonzero(changed)
    return np.hypot(rows - hint[0], columns - hint[1])


def _decibels(error: float) -> float:
    return float(-10 * np.log10(max(error, FLOOR)))
