"""Dates of one place on one grid, with what had to be done for that."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from change_detect.scene.images import Date, InMemory, describe, open_date
from vitrail.errors import InputError
from vitrail.grids import Window
from vitrail.raster import Raster, Stretch, Warped, joint_stretch, overlap, pixel_area
from vitrail.raster.stretch import sampled_rows

SAME = 1e-3  # pixels by which corners of equal grids may differ
MIN_OVERLAP = 0.05  # of the first date; less is said
FEW_VALUES = 2
MAX_CHANNELS = 4  # of an array with its channels last
ENOUGH = 10_000  # pixels that tell whether a date is a mask

Grid = tuple[Any, Any, tuple[int, int]]  # crs, transform, (rows, columns)


@dataclass
class Scene:
    """``dates`` read on one grid of ``shape``, ``crs`` and ``transform`` (None where there is
    none); ``bands`` are those that are shown and that the network sees, counted from 0. ``damage``
    and ``reasons`` are sentences for the row."""

    paths: tuple[Path, ...]
    dates: list[Any]
    shape: tuple[int, int]
    crs: Any
    transform: Any
    bands: tuple[int, ...]
    facts: dict[str, Any]
    damage: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    stretch: Stretch | None = None
    origin: tuple[int, int] = (0, 0)  # of the grid's first pixel in dates that are not warped

    def read(self, number: int, window: Window) -> np.ma.MaskedArray:
        """(bands, rows, columns) of a date, all its bands."""
        date = self.dates[number]
        if isinstance(date, Warped):
            return date.read(window)
        moved = (slice(p.start + o, p.stop + o) for p, o in zip(window, self.origin, strict=True))
        return date.read(tuple(moved))

    def colours(self, part: np.ma.MaskedArray) -> np.ma.MaskedArray:
        """uint8 RGB (3, rows, columns) of what ``read`` gave: stretched where it must be."""
        chosen = part[list(self.bands)]
        if self.stretch:
            return self.stretch.apply(chosen)
        return np.ma.MaskedArray(chosen.data.astype(np.uint8), np.ma.getmaskarray(chosen))

    @property
    def names(self) -> list[str]:
        """What each date is called: its file, with the page where one file holds them all."""
        if len(set(self.paths)) == len(self.paths):
            return [path.name for path in self.paths]
        return [f"{path.name} {number}" for number, path in enumerate(self.paths, 1)]

    def view(self, number: int) -> "View":
        return View(self, number)

    def pixel_area(self, rows: slice) -> np.ndarray | None:
        """Square metres per pixel in each row; None where it is unknown."""
        if self.transform is None:
            return None
        return pixel_area(self.crs, self.transform, np.arange(rows.start, rows.stop))

    @property
    def gsd(self) -> float | None:
        """Metres along the side of a pixel in the middle of the scene."""
        middle = self.shape[0] // 2
        area = self.pixel_area(slice(middle, middle + 1))
        return None if area is None else float(np.sqrt(area[0]))

    def close(self) -> None:
        for date in self.dates:
            date.close()
            if isinstance(date, Warped):
                date.raster.close()


@dataclass
class View:
    """One date of a scene, as what looks at rasters wants it."""

    scene: Scene
    number: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.scene.shape

    @property
    def bands(self) -> int:
        return self.scene.dates[self.number].bands

    def read(self, window: Window) -> np.ma.MaskedArray:
        return self.scene.read(self.number, window)


def open_scene(
    paths: Sequence[Path],
    pages: Sequence[int] = (),
    *,
    bands: Sequence[int] = (),
    gsd: float | None = None,
) -> Scene:
    """Opens the dates and brings the later ones onto the first one's grid, where they share it.

    ``pages`` chooses one of each file; ``bands`` (from 1) are the red, green and blue ones; with
    ``gsd`` all dates are read at that cell size in metres. Raises InputError for what cannot be
    read, dates that lie elsewhere, unequal numbers of bands, and images without a place whose sizes
    differ.
    """
    with ExitStack() as stack:
        dates, damage = [], []
        for number, path in enumerate(paths):
            date, remarks = open_date(path, pages[number] if pages else 0)
            stack.callback(date.close)
            dates.append(date)
            damage += remarks
        first = dates[0]
        if any(first.path.samefile(date.path) for date in dates[1:]) and not any(pages):
            damage.append("both dates are the same file")
        facts = {"dates": [describe(date) for date in dates], "warped": []}
        chosen, reasons = _bands(first, bands)
        for other in dates[1:]:
            damage += _compared(first, other)
        grid = _common_grid(dates, damage)
        if gsd is not None:
            grid = _resampled(first.path, grid, gsd)
        crs, transform, shape = grid
        origin, on_grid = (0, 0), []
        for date in dates:
            start = None if gsd is not None else _start(date, grid)
            if start is not None and not isinstance(date, Warped) and date is first:
                origin = start
            if start is not None and start == origin:
                on_grid.append(date)
            else:
                assert isinstance(date, Raster)
                on_grid.append(Warped(date, crs, transform, shape))
                facts["warped"].append(date.path.name)
        if facts["warped"]:
            what = ", ".join(facts["warped"])
            where = f"at {gsd:g} m" if gsd is not None else f"onto the grid of {first.path.name}"
            reasons.append(f"{what} was resampled {where}")
        place = None if first.crs is None else transform
        scene = Scene(
            tuple(paths),
            on_grid,
            shape,
            crs,
            place,
            chosen,
            facts,
            list(dict.fromkeys(damage)),
            reasons,
            origin=origin,
        )
        stack.pop_all()
    return scene


def stretch_scene(scene: Scene, how: str) -> None:
    """Chooses the levels at which a scene is seen: "auto" stretches all but 8 bits, "always" those
    too; what looks like a mask is said."""
    views = [scene.view(number) for number in range(len(scene.dates))]
    for view in views:
        parts = [part[0].compressed() for part in sampled_rows(view, ENOUGH)]
        values = np.unique(np.concatenate(parts)) if parts else np.empty(0)
        if len(values) in range(1, FEW_VALUES + 1):
            name = scene.paths[view.number].name
            scene.damage.append(f"{name} holds {len(values)} values only, as a mask does")
    is_8_bit = all(date.dtype == np.uint8 for date in scene.dates)
    if how == "always" or not is_8_bit:
        unique = sorted(set(scene.bands))
        found = joint_stretch(views, unique)
        if found is None:
            return
        order = [unique.index(band) for band in scene.bands]
        low, high = (tuple(ends[n] for n in order) for ends in (found.low, found.high))
        scene.stretch = Stretch(low, high)
        scene.facts["stretch"] = {"low": list(low), "high": list(high)}


def _bands(first: Date, wanted: Sequence[int]) -> tuple[tuple[int, ...], list[str]]:
    """Red, green and blue, counted from 0, and what was guessed."""
    if wanted:
        if max(wanted) > first.bands or min(wanted) < 1:
            problem = f"has {first.bands} bands, and {','.join(map(str, wanted))} were asked for"
            raise InputError(first.path, problem, "see --bands")
        return tuple(n - 1 for n in (wanted if len(wanted) == 3 else list(wanted[:1]) * 3)), []
    if {"red", "green", "blue"} <= set(first.colours):
        return tuple(first.colours.index(name) for name in ("red", "green", "blue")), []
    if first.bands < 3:
        return (0, 0, 0), []
    if first.bands == 3:
        return (0, 1, 2), []
    return (2, 1, 0), ["bands 3, 2, 1 were taken for red, green and blue; --bands names others"]


def _compared(first: Date, other: Date) -> list[str]:
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
        said.append(f"{lacking.path.name} has no reference system: taken to lie on the other's")
    return said


def _equal(one: float | None, other: float | None) -> bool:
    return one == other or (one != one and other != other)


def _common_grid(dates: Sequence[Date], damage: list[str]) -> Grid:
    """The part of the first date's grid on which all of them lie."""
    first = dates[0]
    crs, transform, shape = first.crs, first.transform, first.shape
    window: list[slice] = [slice(0, side) for side in shape]
    for other in dates[1:]:
        if first.crs is None or other.crs is None:
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
        damage.append(f"the dates share {share:.2%} of {first.path.name} only")
    if first.crs is not None and transform is not None:
        step = type(transform).translation(window[1].start, window[0].start)
        transform = transform * step
    return crs, transform, (sides[0], sides[1])


def _same_grid(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.crs != other.crs:
        return False
    corners = np.array([(0, 0), (one.shape[1], one.shape[0])], float).T
    ours = np.array(~one.transform * tuple(np.array(other.transform * tuple(corners))))
    return bool(np.abs(ours - corners).max() < SAME)


def _start(date: Date, grid: Grid) -> tuple[int, int] | None:
    """Where the grid begins in a date that has the same cells; None where it must be warped."""
    crs, transform, shape = grid
    if isinstance(date, InMemory) or date.crs is None or crs is None:
        return (0, 0)
    if date.crs != crs:
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


def _resampled(path: Path, grid: Grid, gsd: float) -> Grid:
    """The same extent in cells of ``gsd`` metres."""
    crs, transform, shape = grid
    area = None if crs is None else pixel_area(crs, transform, np.array([shape[0] // 2]))
    if area is None:
        raise InputError(path, "has no cell size in metres to change", "leave out --gsd")
    factor = gsd / float(np.sqrt(area[0]))
    sides = tuple(max(1, round(side / factor)) for side in shape)
    scale = type(transform).scale(shape[1] / sides[1], shape[0] / sides[0])
    return crs, transform * scale, (sides[0], sides[1])


def scene_of_arrays(before: Any, after: Any, bands: Sequence[int] = ()) -> Scene:
    """A scene without a place, of two arrays: (H, W), (H, W, C) of at most four channels, or
    (C, H, W); masked where there is no data. InputError where they do not go together."""
    dates = [
        InMemory(Path(name), _as_bands(name, array))
        for name, array in (("before", before), ("after", after))
    ]
    damage = _compared(*dates)
    _, _, shape = _common_grid(dates, damage)
    chosen, reasons = _bands(dates[0], bands)
    facts = {"dates": [describe(date) for date in dates], "warped": []}
    paths = tuple(date.path for date in dates)
    return Scene(paths, dates, shape, None, None, chosen, facts, damage, reasons)


def _as_bands(name: str, array: Any) -> np.ma.MaskedArray:
    array = np.ma.asarray(array)
    if array.ndim == 3 and array.shape[2] <= MAX_CHANNELS < array.shape[0]:
        array = np.moveaxis(array, -1, 0)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size or array.dtype.kind not in "uif":
        problem = f"is {array.dtype} of shape {array.shape}"
        raise InputError(name, problem, "give numbers (H, W, 3), (H, W) or (C, H, W)")
    mask = np.ma.getmaskarray(array)
    return np.ma.MaskedArray(array.data, mask | ~np.isfinite(array.data))
