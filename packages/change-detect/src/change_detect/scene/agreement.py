"""Whether dates can be compared, and the grid on which they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from change_detect.scene.images import Date, InMemory, is_placed
from vitrail.errors import InputError
from vitrail.raster import Raster, overlap, pixel_area

SAME = 1e-3  # pixels by which corners of equal grids may differ
MIN_OVERLAP = 0.05  # of the first date; less is said

Grid = tuple[Any, Any, tuple[int, int]]  # crs, transform, (rows, columns)


def compared(first: Date, other: Date) -> list[str]:
    """Sentences on what differs; InputError for what cannot be compared."""
    if first.bands != other.bands:
        problem = f"has {other.bands} bands, and {first.path.name} has {first.bands}"
        raise InputError(other.path, problem, "give dates of the same bands")
    said = []
    if first.dtype != other.dtype:
        said.append(f"{other.path.name} holds {other.dtype}, {first.path.name} {first.dtype}")
    if not _equal(first.nodata, other.nodata):
        said.append(
            f"nodata is {other.nodata} in {other.path.name}, {first.nodata} in {first.path.name}"
        )
    if (first.crs is None) != (other.crs is None):
        lacking = first if first.crs is None else other
        taken = "have that of the other" if is_placed(lacking) else "lie on the other's"
        said.append(f"{lacking.path.name} has no reference system: taken to {taken}")
    elif is_placed(first) != is_placed(other):
        lacking = other if is_placed(first) else first
        said.append(f"{lacking.path.name} has no place: taken to lie where the other does")
    return said


def _equal(one: float | None, other: float | None) -> bool:
    return one == other or (one != one and other != other)


def common_grid(dates: Sequence[Date], damage: list[str]) -> Grid:
    """The part of the first date's grid on which all of them lie."""
    first = dates[0]
    crs, transform, shape = first.crs, first.transform, first.shape
    if is_placed(first):  # its own system, or that of a date which has one
        crs = next((date.crs for date in dates if date.crs is not None), None)
    window: list[slice] = [slice(0, side) for side in shape]
    for other in dates[1:]:
        if not (is_placed(first) and is_placed(other)):
            if other.shape != shape:
                sizes = [f"{date.shape[1]} x {date.shape[0]}" for date in (other, first)]
                problem = f"is of {sizes[0]} pixels, and {first.path.name} of {sizes[1]}"
                raise InputError(other.path, problem, "give images of one size, or with a place")
            continue
        if _same_grid(first, other):
            continue
        assert isinstance(other, Raster)
        found = overlap(crs, transform, shape, other)
        both = found and [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(window, found, strict=True)
        ]
        if not both or any(part.start >= part.stop for part in both):
            problem = f"lies elsewhere than {first.path.name}"
            raise InputError(other.path, problem, "give two dates of one place")
        window = list(both)
    sides = tuple(part.stop - part.start for part in window)
    share = sides[0] * sides[1] / (shape[0] * shape[1])
    if share < MIN_OVERLAP:
        damage.append(f"the dates share {100 * share:.2g}% of {first.path.name} only")
    if transform is not None:
        step = type(transform).translation(window[1].start, window[0].start)
        transform = transform * step
    return crs, transform, (sides[0], sides[1])


def _same_grid(one: Any, other: Any) -> bool:
    if one.shape != other.shape or _differ(one.crs, other.crs):
        return False
    corners = np.array([(0, 0), (one.shape[1], one.shape[0])], float).T
    ours = np.array(~one.transform * tuple(np.array(other.transform * tuple(corners))))
    return bool(np.abs(ours - corners).max() < SAME)


def _differ(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one != other


def start_in(date: Date, grid: Grid) -> tuple[int, int] | None:
    """Where the grid begins in a date that has the same cells; None where it must be warped."""
    crs, transform, shape = grid
    if isinstance(date, InMemory) or transform is None or not is_placed(date):
        return (0, 0)
    if crs is None and transform.is_identity:
        return (0, 0)
    if _differ(date.crs, crs):
        return None
    corners = np.array([(0, 0), (shape[1], shape[0])], float).T
    places = np.array(~date.transform * tuple(np.array(transform * tuple(corners))))
    whole = np.rint(places)
    moved = whole[:, 1] - whole[:, 0]
    if np.abs(places - whole).max() > SAME or moved.tolist() != [shape[1], shape[0]]:
        return None
    start = (int(whole[1, 0]), int(whole[0, 0]))
    inside = all(
        s >= 0 and s + side <= whole_side
        for s, side, whole_side in zip(start, shape, date.shape, strict=True)
    )
    return start if inside else None


def resampled(path: Path, grid: Grid, gsd: float) -> Grid:
    """The same extent in cells of ``gsd`` metres."""
    crs, transform, shape = grid
    area = None if crs is None else pixel_area(crs, transform, np.array([shape[0] // 2]))
    if area is None:
        raise InputError(path, "has no cell size in metres to change", "leave out --gsd")
    factor = gsd / float(np.sqrt(area[0]))
    sides = tuple(max(1, round(side / factor)) for side in shape)
    scale = type(transform).scale(shape[1] / sides[1], shape[0] / sides[0])
    return crs, transform * scale, (sides[0], sides[1])
