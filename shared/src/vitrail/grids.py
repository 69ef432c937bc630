"""Overlapping windows over an image of any size in n dimensions, and the canvas in which what a
network says of them is blended.

The windows and the Gaussian weights are those of MONAI's SlidingWindowInferer, number for number (a
test compares them). They are walked through here because the runner fills its batches with windows
of several sources, because a scene may be larger than memory, and because importing MONAI takes a
command longer than a small scan. A job uses them so::

    grid = Grid(raster.shape, (256, 256), overlap=0.5)
    canvas = Canvas(grid, channels=2)
    for first in range(0, len(grid), 16):
        numbers = range(first, min(first + 16, len(grid)))
        crops = [grid.crop(raster, number) for number in numbers]
        rows = yield Ask(network, crops)
        for number, row in zip(numbers, rows, strict=True):
            canvas.add(number, row)
        for top, logits in canvas.strips():      # a large scene: written, and kept no longer
            writer.write(logits.argmax(0))
    return canvas.logits()                       # or, where it fits in memory, the whole at the end

A window for which no network is needed gets its logits at once: ``canvas.add(number, background)``
where ``is_flat(crop)``.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

SIGMA = 0.125  # of the Gaussian, in sides of a window
MIN_WEIGHT = 1e-3

Window = tuple[slice, ...]  # one slice per spatial axis, with start and stop inside the image


class Readable(Protocol):
    """An image that is read in parts, such as a raster."""

    def read(self, window: Window) -> np.ndarray:
        """The window's (C, *sides), plain or masked."""
        ...


@dataclass(frozen=True)
class Grid:
    """The windows that cover an image, numbered along the last axis first.

    ``shape`` are the image's spatial sides and ``patch`` those of a window; windows follow each
    other by at most ``1 - overlap`` of a side (0 <= overlap < 1), and the last of an axis ends with
    the image. Where the image is smaller than a window it lies in the window's middle. Raises
    ValueError for sides below one, another number of axes and an overlap out of range.
    """

    shape: tuple[int, ...]
    patch: tuple[int, ...]
    overlap: float = 0.5
    axes: tuple[tuple[int, ...], ...] = field(init=False, repr=False)  # the starts per axis
    before: tuple[int, ...] = field(init=False, repr=False)  # padding in front, per axis

    def __post_init__(self):
        shape, patch = tuple(map(int, self.shape)), tuple(map(int, self.patch))
        if len(shape) != len(patch) or min(shape + patch, default=0) < 1:
            raise ValueError(f"windows of {patch} in an image of {shape}")
        if not 0 <= self.overlap < 1:
            raise ValueError(f"an overlap of {self.overlap:g} is not in 0..1")
        pairs = list(zip(shape, patch, strict=True))
        fixed = {
            "shape": shape,
            "patch": patch,
            "axes": tuple(axis_starts(size, side, self.overlap) for size, side in pairs),
            "before": tuple(max(0, side - size) // 2 for size, side in pairs),
        }
        for name, value in fixed.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return math.prod(map(len, self.axes))

    def start(self, number: int) -> tuple[int, ...]:
        """The window's first corner in the image with its padding."""
        if not 0 <= number < len(self):
            raise IndexError(f"window {number} of {len(self)}")
        places = np.unravel_index(number, [len(starts) for starts in self.axes])
        return tuple(starts[place] for starts, place in zip(self.axes, places, strict=True))

    def window(self, number: int) -> Window:
        """The part of the window that lies in the image."""
        corners = zip(self.start(number), self.before, self.patch, self.shape, strict=True)
        return tuple(
            slice(max(0, start - before), min(size, start - before + side))
            for start, before, side, size in corners
        )

    def crop(self, image: np.ndarray | Readable, number: int, fill: float = 0) -> np.ndarray:
        """The window's (C, *patch) out of an array or a memory map (C, *shape), as a view, or out
        of anything with ``read(window)``.

        What lies beside the image is ``fill``, and masked where the image is a masked array.
        """
        window = self.window(number)
        if isinstance(image, np.ndarray):
            part = image[(slice(None), *window)]
        else:
            part = image.read(window)
        if part.shape[1:] == self.patch:
            return part
        if isinstance(part, np.ma.MaskedArray):
            mask = self._padded(np.ma.getmaskarray(part), True)
            return np.ma.MaskedArray(self._padded(part.data, fill), mask)
        return self._padded(part, fill)

    def _padded(self, part: np.ndarray, fill: float) -> np.ndarray:
        whole = np.full((len(part), *self.patch), fill, part.dtype)
        inner = zip(self.before, part.shape[1:], strict=True)
        whole[(slice(None), *(slice(start, start + size) for start, size in inner))] = part
        return whole


class Canvas:
    """The weighted mean of the logits (K, *patch) of a grid's windows, K being ``channels``.

    Held in strips along the first axis: one comes into being with the first window that touches it
    and goes when ``strips`` gives it out, so that windows added in their order need about one row
    of windows of memory, whatever the length of the scene. ``weight`` gives a window's weights from
    its sides, ``gaussian`` or ``cosine``.
    """

    def __init__(
        self,
        grid: Grid,
        channels: int,
        weight: Callable[[Sequence[int]], np.ndarray] | None = None,
    ):
        self.grid, self.channels = grid, channels
        self.left = len(grid)
        blend = weight or gaussian
        self._weight = blend(grid.patch) if len(grid) > 1 else np.ones(grid.patch, np.float32)
        self._sides = tuple(map(max, grid.shape, grid.patch))[1:]
        self._edges = (*grid.axes[0], max(grid.shape[0], grid.patch[0]))
        self._pending = [len(grid) // len(grid.axes[0])] * len(grid.axes[0])
        self._strips: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._next = 0

    def add(self, number: int, logits: np.ndarray) -> None:
        """Adds a window's logits: (K, *patch), or (K,) for a window that is the same everywhere.

        Raises ValueError for another shape and for a window whose strip is complete already.
        """
        logits, grid = np.asarray(logits, np.float32), self.grid
        if logits.shape == (self.channels,):
            logits = logits.reshape(-1, *[1] * len(grid.patch))
        elif logits.shape != (self.channels, *grid.patch):
            problem = f"logits of the shape {logits.shape}"
            raise ValueError(f"{problem} for {(self.channels, *grid.patch)}")
        band, start = number // (len(grid) // len(grid.axes[0])), grid.start(number)
        if not self._pending[band]:
            raise ValueError(f"window {number} came twice")
        weighted = logits * self._weight
        across = tuple(
            slice(first, first + side)
            for first, side in zip(start[1:], grid.patch[1:], strict=True)
        )
        for strip in range(band, len(grid.axes[0])):
            top, bottom = self._edges[strip], min(self._edges[strip + 1], start[0] + grid.patch[0])
            if top >= bottom:
                break
            total, weights = self._strip(strip)
            rows = slice(top - start[0], bottom - start[0])
            total[(slice(None), slice(bottom - top), *across)] += weighted[:, rows]
            weights[(slice(bottom - top), *across)] += self._weight[rows]
        self._pending[band] -= 1
        self.left -= 1

    def strips(self) -> Iterator[tuple[int, np.ndarray]]:
        """The parts that no later window touches, each once and from the top: the first row and
        the logits (K, rows, …) on the image's grid; they are kept no longer."""
        while self._next < len(self._pending) and not self._pending[self._next]:
            total, weights = self._strips.pop(self._next)
            total /= weights
            top = self._edges[self._next] - self.grid.before[0]
            self._next += 1
            # Padding along the first axis means one strip alone, so only there rows are cut off.
            first, size = max(0, -top), self.grid.shape[0] - max(0, top)
            inner = zip(self.grid.before[1:], self.grid.shape[1:], strict=True)
            across = (slice(before, before + side) for before, side in inner)
            yield max(0, top), total[(slice(None), slice(first, first + size), *across)]

    def logits(self) -> np.ndarray:
        """(K, *shape), once all windows are in. Raises ValueError before, and where strips were
        given out."""
        if self.left or self._next:
            raise ValueError(f"{self.left} windows to come, {self._next} strips given out")
        if len(self._pending) == 1:
            return next(self.strips())[1]
        whole = np.empty((self.channels, *self.grid.shape), np.float32)
        for top, part in self.strips():
            whole[:, top : top + part.shape[1]] = part
        return whole

    def _strip(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number not in self._strips:
            sides = (self._edges[number + 1] - self._edges[number], *self._sides)
            total = np.zeros((self.channels, *sides), np.float32)
            self._strips[number] = total, np.zeros(sides, np.float32)
        return self._strips[number]


def axis_starts(size: int, side: int, overlap: float) -> tuple[int, ...]:
    """Where windows of ``side`` begin along an axis of ``size``; the last ends with the axis."""
    if size <= side:
        return (0,)
    step = max(1, int(side * (1 - overlap)))
    count = math.ceil((size - side) / step) + 1
    return tuple(min(number * step, size - side) for number in range(count))


def gaussian(patch: Sequence[int]) -> np.ndarray:
    """Weights (*patch), float32, one in the middle and falling off to the borders, at least
    MIN_WEIGHT."""
    weight = np.ones((), np.float32)
    for side in patch:
        middle = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
        weight = weight[..., None] * np.exp(-(middle**2) / np.float32(2 * (SIGMA * side) ** 2))
    return np.maximum(weight, np.float32(MIN_WEIGHT))


def cosine(patch: Sequence[int]) -> np.ndarray:
    """Weights (*patch), float32: a raised cosine along each axis, one in the middle, at least
    MIN_WEIGHT; windows that overlap by half add up to the same everywhere."""
    weight = np.ones((), np.float32)
    for side in patch:
        turn = (np.arange(side, dtype=np.float32) + np.float32(0.5)) * np.float32(2 * np.pi / side)
        weight = weight[..., None] * ((1 - np.cos(turn)) / 2)
    return np.maximum(weight, np.float32(MIN_WEIGHT))


def is_flat(crop: np.ndarray) -> bool:
    """Whether each channel of (C, *patch) holds one value only: mere background."""
    first = crop[(slice(None), *[slice(1)] * (crop.ndim - 1))]
    return crop.size > 0 and bool(np.all(crop == first))
