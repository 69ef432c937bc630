"""What is done at the hints after the network has answered: it is made up for what it missed, and a
pinned colour stands exactly."""

from collections.abc import Sequence

import numpy as np

from image_colorize.seen import Placed, Shape, cell_of

# Chosen on the validation photographs.
REACHES = (1.4, 0.7, 0.35)  # of the mean distance between hints: how far a pass carries an error
LARGEST = 0.35  # of the image's side: the farthest
ALIKE = 6.0  # of L: how like the hint's place another one must be
TRUST = 0.1  # the weight of a place's own answer against that of the hints around
# The last pass sees to the hint's own place, however unlike its surroundings it is wished.
LAST_REACH, LAST_ALIKE, LAST_TRUST = 0.04, 30.0, 0.01
PASSES = (*((reach, ALIKE, TRUST) for reach in REACHES), (LAST_REACH, LAST_ALIKE, LAST_TRUST))
PIN = 0.012  # of the image's side: how far a pinned colour fades out


def settle(
    chroma: np.ndarray, lightness: np.ndarray, placed: Sequence[Placed], shape: Shape
) -> np.ndarray:
    """The network's chroma (S, S, 2), unscaled, corrected by what it missed at the hints.

    The error at each hint is carried to its neighbourhood, as far as that is about as light
    (S, S, 0..100); first far, then what is left of it ever nearer.
    """
    if not placed:
        return chroma
    cells = [cell_of(one, shape) for one in placed]
    wished = np.array([one.ab for one in placed], np.float32)
    light = np.array([lightness[cell].mean() for cell in cells], np.float32)
    unlike = -0.5 * (lightness[None] - light[:, None, None]) ** 2
    for reach, alike, trust in PASSES:
        width = min(LARGEST, reach / len(placed) ** 0.5)
        near = np.exp(unlike / alike**2) * _bells(placed, chroma.shape[0], shape, width)
        missed = wished - np.array([chroma[cell].mean((0, 1)) for cell in cells], np.float32)
        carried = np.tensordot(near, missed, axes=(0, 0))
        chroma = chroma + carried / (near.sum(0) + trust)[..., None]
    return chroma


def _bells(placed: Sequence[Placed], size: int, shape: Shape, width: float) -> np.ndarray:
    """float32 (hints, S, S): a Gaussian round each hint, its width a share of the side."""
    across = (np.arange(size, dtype=np.float32) + 0.5) / size
    middle = np.array([(one.row + 0.5, one.column + 0.5) for one in placed], np.float32)
    away = across - (middle * shape.hint_size / size)[..., None]  # (hints, 2, S)
    bell = np.exp(-0.5 * (away / width) ** 2)
    return bell[:, 0, :, None] * bell[:, 1, None, :]


def pin(chroma: np.ndarray, placed: Sequence[Placed], shape: Shape) -> np.ndarray:
    """The chroma (S, S, 2) with each hint's own colour in its cell, fading out round it."""
    made = chroma.copy()
    for one, bell in zip(placed, _bells(placed, chroma.shape[0], shape, PIN), strict=True):
        share = (bell / bell.max())[..., None]
        made = made * (1 - share) + np.array(one.ab, np.float32) * share
        made[cell_of(one, shape)] = one.ab
    return made
