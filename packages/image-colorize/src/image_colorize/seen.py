"""What the network sees of an image, what it should say where, and what it says, made one: the
steps between an image in memory and its chroma."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from image_colorize.color import CHROMA_SCALE, displayable, rgb_to_lab
from image_colorize.hints import Hint

# Distance of an image's colours from a toned one's, above which it has colours; between those of
# photographs and those of toned, stained and compressed copies of them (README).
COLOURED = 3.0
TONE_BINS = 32  # of lightness, in each of which a toned image has one chroma


@dataclass(frozen=True)
class Shape:
    """What must be known of a network before it is built."""

    image_size: int
    hint_size: int
    centre_mask: bool

    @property
    def cells(self) -> int:
        """Cells for hints along one side."""
        return self.image_size // self.hint_size


@dataclass(frozen=True)
class Seen:
    """An image at the network's size. ``lightness`` (S, S) in 0..100; ``tone`` (32, 2) is the mean
    chroma of the image's own colours at each lightness, ``toning`` that of the whole image, and
    ``own_colour`` how far the colours are from the tone on average: a toned scan's colour follows
    from its lightness, a colour photograph's does not.
    """

    lightness: np.ndarray
    tone: np.ndarray
    toning: float
    own_colour: float


def look(levels: np.ndarray, size: int) -> Seen:
    """uint8 or uint16 levels (H, W) or (H, W, 3), sRGB, squashed to ``size`` pixels a side."""
    small = shrink(levels, size).astype(np.float32) / np.iinfo(levels.dtype).max
    if small.ndim == 2:
        small = np.repeat(small[..., None], 3, axis=2)
    lab = rgb_to_lab(small)
    if levels.ndim == 2:
        return Seen(lab[..., 0], np.zeros((TONE_BINS, 2), np.float32), 0.0, 0.0)
    tone = _tone(lab)
    own = toned(lab[..., 0], tone)
    return Seen(lab[..., 0], tone, mean_chroma(own), mean_chroma(lab[..., 1:] - own))


def mean_chroma(ab: np.ndarray) -> float:
    """The mean distance of a and b (..., 2) from grey."""
    return float(np.hypot(ab[..., 0], ab[..., 1]).mean())


def shrink(levels: np.ndarray, size: int) -> np.ndarray:
    """Squashed to a square, each new pixel the mean of what it covers."""
    large = min(levels.shape[:2]) >= size
    how = cv2.INTER_AREA if large else cv2.INTER_LINEAR
    if levels.shape[0] > 4 * size and levels.shape[1] > 4 * size:
        # Whole blocks first, which OpenCV sums many times faster than fractions of pixels.
        height, width = (levels.shape[axis] // (2 * size) * (2 * size) for axis in (0, 1))
        exact = (height, width) == levels.shape[:2]
        if exact:
            levels = cv2.resize(levels, (2 * size, 2 * size), interpolation=cv2.INTER_AREA)
    return cv2.resize(levels, (size, size), interpolation=how)


def _tone(lab: np.ndarray) -> np.ndarray:
    """The mean chroma (bins, 2) of Lab (S, S, 3) at each lightness; where there is none of it, that
    of the nearest."""
    place = np.clip(lab[..., 0] / 100 * TONE_BINS, 0, TONE_BINS - 1).astype(int).ravel()
    count = np.bincount(place, minlength=TONE_BINS)
    known = np.flatnonzero(count)
    table = np.empty((TONE_BINS, 2), np.float32)
    for channel in (0, 1):
        total = np.bincount(place, lab[..., 1 + channel].ravel(), minlength=TONE_BINS)
        table[:, channel] = np.interp(np.arange(TONE_BINS), known, total[known] / count[known])
    return table


def toned(lightness: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """The chroma (..., 2) that a toned image has at each lightness in 0..100."""
    place = np.clip(lightness / 100 * TONE_BINS - 0.5, 0, TONE_BINS - 1)
    bins = np.arange(TONE_BINS)
    parts = [np.interp(place, bins, tone[:, channel]) for channel in (0, 1)]
    return np.stack(parts, axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Placed:
    """A hint in its cell: ``row`` and ``column`` of cells, ``lightness`` there, the colour that can
    be displayed with it (``shown``) and its chroma ``ab``, unscaled."""

    hint: Hint
    row: int
    column: int
    shown: tuple[int, int, int]
    ab: tuple[float, float]


def place(hints: Sequence[Hint], lightness: np.ndarray, shape: Shape) -> list[Placed]:
    """The hints in their cells, in order; of two in one cell the last."""
    cells, size = shape.cells, shape.hint_size
    placed: dict[tuple[int, int], Placed] = {}
    for hint in hints:
        row, column = (min(cells - 1, int(part * cells)) for part in (hint.y, hint.x))
        inside = lightness[row * size : (row + 1) * size, column * size : (column + 1) * size]
        shown = displayable(float(inside.mean()), np.array(hint.rgb, np.uint8))
        _, a, b = rgb_to_lab(shown.astype(np.float64) / 255).tolist()
        placed.pop((row, column), None)  # so that the order is that of the last ones
        red, green, blue = shown.tolist()
        placed[row, column] = Placed(hint, row, column, (red, green, blue), (a, b))
    return list(placed.values())


def cell_of(one: Placed, shape: Shape) -> tuple[slice, slice]:
    """The pixels of a hint's cell."""
    rows, columns = (part * shape.hint_size for part in (one.row, one.column))
    return slice(rows, rows + shape.hint_size), slice(columns, columns + shape.hint_size)


def network_input(lightness: np.ndarray, placed: Sequence[Placed], shape: Shape) -> np.ndarray:
    """float32 (4, S, S): L, a and b of the hints, and 1 where there is one."""
    planes = np.zeros((4, *lightness.shape), np.float32)
    planes[0] = (lightness - 50) / 100
    for one in placed:
        cell = cell_of(one, shape)
        planes[1][cell], planes[2][cell] = (part / CHROMA_SCALE for part in one.ab)
        planes[3][cell] = 1
    if shape.centre_mask:
        planes[3] -= 0.5
    return planes
