"""Pieces of changed ground: joined across strips, weighed, cleaned, and drawn as polygons."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from change_detect.scene.spool import Spool

NODATA = 255
BAND = 1024  # rows that are looked at together
NEIGHBOURS = np.ones((3, 3), int)  # pieces that touch at a corner are one
MAX_OBJECTS = 200_000

PixelArea = Callable[[slice], "np.ndarray | None"]


@dataclass
class Piece:
    """Changed pixels that hang together. ``area`` in square metres, None where it is unknown;
    ``bounds`` are (top, left, bottom, right) in pixels, the last ones excluded."""

    number: int
    pixels: int
    area: float | None
    mean: float
    largest: float
    bounds: tuple[int, int, int, int]
    geometry: Any = None  # shapely's, in pixels (x, y)


@dataclass
class _Sums:
    """What is known of each label so far, and which labels are one piece."""

    parent: list[int] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    bounds: list[tuple[int, int, int, int]] = field(default_factory=list)

    def root(self, label: int) -> int:
        while self.parent[label] != label:
            self.parent[label] = self.parent[self.parent[label]]
            label = self.parent[label]
        return label

    def join(self, one: int, other: int) -> None:
        one, other = self.root(one), self.root(other)
        if one == other:
            return
        one, other = min(one, other), max(one, other)
        self.parent[other] = one
        self.pixels[one] += self.pixels[other]
        self.area[one] += self.area[other]
        self.total[one] += self.total[other]
        self.largest[one] = max(self.largest[one], self.largest[other])
        a, b = self.bounds[one], self.bounds[other]
        self.bounds[one] = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))


def find_objects(
    mask: Spool,
    probability: Spool,
    scale: float,
    pixel_area: PixelArea,
    *,
    min_area: float = 0.0,
) -> tuple[Spool, list[Piece]]:
    """The mask without pieces that are too small, and the others, the largest first, with their
    outlines.

    ``mask`` is 0, 1 or ``NODATA``; ``probability`` holds numbers that ``scale`` makes 0..1.
    ``min_area`` is in square metres, or in pixels where these are not known. Where more than
    ``MAX_OBJECTS`` are left, only the largest of them are drawn.
    """
    sums, firsts, seam = _Sums(), [], None
    for rows, labels, count in _bands(mask):
        first = len(sums.parent)
        firsts.append(first)
        _weigh(sums, labels, count, rows, probability.read(rows) * scale, pixel_area)
        if seam is not None:
            for above, below in _touching(seam, labels[0]):
                sums.join(above - 1, below - 1 + first)
        seam = np.where(labels[-1] > 0, labels[-1] + first, 0)
    knows_area = pixel_area(slice(0, 1)) is not None
    roots = [n for n in range(len(sums.parent)) if sums.root(n) == n]
    sizes = sums.area if knows_area else sums.pixels
    kept = [n for n in roots if sizes[n] >= min_area]
    kept.sort(key=lambda n: -sums.pixels[n])
    pieces = {
        n: Piece(
            number,
            sums.pixels[n],
            sums.area[n] if knows_area else None,
            sums.total[n] / sums.pixels[n],
            sums.largest[n],
            sums.bounds[n],
        )
        for number, n in enumerate(kept[:MAX_OBJECTS], 1)
    }
    clean = _redrawn(mask, sums, set(kept), pieces, firsts)
    return clean, list(pieces.values())


def connected(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels 1..count of the pieces of a boolean map, whose pixels may touch at corners."""
    labels, count = ndimage.label(mask, NEIGHBOURS)  # pyright: ignore[reportGeneralTypeIssues]
    return labels, count


def _bands(mask: Spool) -> Iterator[tuple[slice, np.ndarray, int]]:
    for rows, part in mask.strips(BAND):
        labels, count = connected(part == 1)
        yield rows, labels, count


def _weigh(
    sums: _Sums,
    labels: np.ndarray,
    count: int,
    rows: slice,
    values: np.ndarray,
    pixel_area: PixelArea,
) -> None:
    """Adds the labels 1..count of one band."""
    start = len(sums.parent)
    sums.parent += range(start, start + count)
    flat = labels.ravel()
    areas = pixel_area(rows)
    weights = None if areas is None else np.repeat(areas, labels.shape[1])
    sums.pixels += np.bincount(flat, minlength=count + 1)[1:].tolist()
    sums.area += (
        [0.0] * count
        if weights is None
        else np.bincount(flat, weights, minlength=count + 1)[1:].tolist()
    )
    sums.total += np.bincount(flat, values.ravel(), minlength=count + 1)[1:].tolist()
    numbers = np.arange(1, count + 1)
    sums.largest += (
        np.atleast_1d(ndimage.maximum(values, labels, numbers)).tolist() if count else []
    )
    for box in ndimage.find_objects(labels, count):
        top, left = box[0].start + rows.start, box[1].start
        sums.bounds.append((top, left, box[0].stop + rows.start, box[1].stop))


def _touching(above: np.ndarray, below: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of labels of two neighbouring rows that touch, at corners too."""
    pairs = set()
    for shift in (-1, 0, 1):
        first = above[max(0, -shift) : len(above) - max(0, shift)]
        second = below[max(0, shift) : len(below) - max(0, -shift)]
        both = (first > 0) & (second > 0)
        pairs |= set(zip(first[both].tolist(), second[both].tolist(), strict=True))
    return pairs


def _redrawn(
    mask: Spool, sums: _Sums, kept: set[int], pieces: dict[int, Piece], firsts: list[int]
) -> Spool:
    """The mask with the kept pieces alone; the outlines go into ``pieces``."""
    from rasterio.features import shapes
    from rasterio.transform import Affine
    from shapely import union_all
    from shapely.geometry import shape

    clean, parts = Spool(mask.shape, np.uint8), {n: [] for n in pieces}
    for (rows, labels, count), first in zip(_bands(mask), firsts, strict=True):
        roots = np.zeros(count + 1, np.int32)
        for label in range(1, count + 1):
            root = sums.root(first + label - 1)
            roots[label] = root + 1 if root in kept else 0
        found = roots[labels]
        strip = (found > 0).astype(np.uint8)
        clean.add(np.where(mask.read(rows) == NODATA, NODATA, strip))
        place = Affine.translation(0, rows.start)
        # Parts that meet at a corner are outlined apart: one ring round both crosses itself.
        for geometry, value in shapes(found, strip, connectivity=4, transform=place):
            if int(value) - 1 in parts:
                parts[int(value) - 1].append(shape(geometry))
    for n, outlines in parts.items():
        pieces[n].geometry = outlines[0] if len(outlines) == 1 else union_all(outlines)
    return clean
