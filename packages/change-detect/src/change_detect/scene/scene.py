"""Dates of one place on one grid, with what had to be done for that."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from change_detect.scene.agreement import common_grid, compared, resampled, start_in
from change_detect.scene.images import Date, InMemory, describe, is_placed, open_date
from vitrail.errors import InputError
from vitrail.grids import Window
from vitrail.raster import Raster, Stretch, Warped, joint_stretch, pixel_area
from vitrail.raster.stretch import sampled_rows

FEW_VALUES = 2
MAX_CHANNELS = 4  # of an array with its channels last
ENOUGH = 10_000  # pixels that tell whether a date is a mask


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
            damage += compared(first, other)
        grid = common_grid(dates, damage)
        if gsd is not None:
            grid = resampled(first.path, grid, gsd)
        crs, transform, shape = grid
        origin, on_grid = (0, 0), []
        for date in dates:
            start = None if gsd is not None else start_in(date, grid)
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
        place = transform if is_placed(first) else None
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


def scene_of_arrays(before: Any, after: Any, bands: Sequence[int] = ()) -> Scene:
    """A scene without a place, of two arrays: (H, W), (H, W, C) of at most four channels, or
    (C, H, W); masked where there is no data. InputError where they do not go together."""
    dates = [
        InMemory(Path(name), _as_bands(name, array))
        for name, array in (("before", before), ("after", after))
    ]
    damage = compared(*dates)
    _, _, shape = common_grid(dates, damage)
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
