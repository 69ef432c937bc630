"""By how much the later date lies beside the earlier one, where several windows say the same."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from change_detect.scene.scene import Scene
from vitrail.grids import Window
from vitrail.raster import Raster, Warped

SIDE = 256  # pixels of a window, at most
MIN_SIDE = 64
ACROSS = 4  # windows along a side, at most
MIN_WINDOWS = 4
STEPS = 20  # parts of a pixel that the correlation tells apart
NEAR = 0.25  # pixels from the median: a window that agrees
AGREED = 2 / 3  # of the windows
SMALL = 0.3  # pixels: a shift that changes nothing worth a resampling
LARGE = 8.0  # pixels: more is another place, or a pattern that repeats itself
FULL = 0.95  # of a window must hold data


@dataclass(frozen=True)
class Shift:
    """``rows`` and ``columns`` by which the later date must move to lie on the earlier one; the
    median of ``windows``, of which ``agreeing`` are near it."""

    rows: float
    columns: float
    windows: int
    agreeing: int

    @property
    def size(self) -> float:
        """Pixels."""
        return float(np.hypot(self.rows, self.columns))

    @property
    def is_certain(self) -> bool:
        return self.agreeing >= max(MIN_WINDOWS, AGREED * self.windows)

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": round(self.rows, 2),
            "columns": round(self.columns, 2),
            "windows": self.windows,
            "agreeing": self.agreeing,
        }


def find_shift(scene: Scene) -> Shift | None:
    """The shift between the two dates of a scene, by cross-correlation of windows
    spread over it; None where fewer than four of them hold data and structure."""
    found = []
    for window in _windows(scene.shape):
        parts = [scene.read(number, window)[list(scene.bands)] for number in (0, 1)]
        if (shift := _between(*parts)) is not None:
            found.append(shift)
    if len(found) < MIN_WINDOWS:
        return None
    shifts = np.array(found)
    middle = np.median(shifts, axis=0)
    near = np.hypot(*(shifts - middle).T) <= NEAR
    return Shift(float(middle[0]), float(middle[1]), len(found), int(near.sum()))


def align(scene: Scene, *, move: bool) -> None:
    """Moves the later date by the shift that was found, where the windows agree on one that matters
    and ``move`` allows it; says what was done in the scene's facts and reasons."""
    shift = find_shift(scene)
    if shift is None:
        return
    matters = shift.is_certain and SMALL <= shift.size <= LARGE
    date = scene.dates[1]
    movable = scene.transform is not None and isinstance(date, Raster | Warped)
    applied = matters and move and movable
    scene.facts["shift"] = shift.to_dict() | {"applied": applied}
    if not matters:
        return
    said = f"{scene.names[1]} lies {shift.size:.1f} pixels beside {scene.names[0]}, as"
    said += f" {shift.agreeing} of {shift.windows} windows say"
    if not applied:
        scene.reasons.append(f"{said}; it was compared where it lies")
        return
    raster = date.raster if isinstance(date, Warped) else date
    moved = Warped(
        raster, scene.crs, scene.transform, scene.shape, offset=(shift.rows, shift.columns)
    )
    if isinstance(date, Warped):
        date.close()
    scene.dates[1] = moved
    scene.reasons.append(f"{said}; it was moved onto it")


def _windows(shape: tuple[int, int]) -> list[Window]:
    """Windows spread evenly, as many as fit beside each other."""
    side = min(SIDE, max(MIN_SIDE, min(shape) // ACROSS))
    tops, lefts = ([*_starts(length, side)] for length in shape)
    return [(slice(top, top + side), slice(left, left + side)) for top in tops for left in lefts]


def _starts(length: int, side: int) -> np.ndarray:
    number = min(ACROSS, length // side)
    return np.linspace(0, length - side, number).astype(int) if number else np.empty(0, int)


def _between(first: np.ma.MaskedArray, second: np.ma.MaskedArray) -> np.ndarray | None:
    """The shift (rows, columns) between two windows (bands, rows, columns); None where one of them
    lacks data or structure."""
    from skimage.registration import phase_cross_correlation

    planes = []
    for part in (first, second):
        valid = ~np.ma.getmaskarray(part).any(axis=0)
        if valid.mean() < FULL:
            return None
        plane = part.data.mean(axis=0, dtype=np.float32)
        plane = np.where(valid, plane, plane[valid].mean())
        plane -= plane.mean()
        if not plane.std():
            return None
        fade = np.hanning(len(plane))  # so that the borders, which do not go on, say nothing
        planes.append(plane * fade[:, None] * fade)
    # Not the phase alone: on the Landsat pair of Taizhou that was the less exact.
    shift, _, _ = phase_cross_correlation(
        *planes,
        upsample_factor=STEPS,
        normalization=None,  # pyright: ignore[reportArgumentType] - documented, though not typed
    )
    return shift
