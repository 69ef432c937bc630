"""What a hyperspectral cube is, whatever file it lies in: read a few rows at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cube:
    """``read(rows)`` gives (n, columns, bands) of a slice of rows, in the stored dtype.

    ``shape`` is (rows, columns, bands). ``wavelengths`` are in nanometres, None where the file says
    none; ``bad`` are bands that the file calls bad, counted from 0; ``nodata`` is the value of
    pixels without data. ``crs`` and ``transform`` are rasterio's, None where there are none.
    ``damage`` is what is wrong with the file, ``notes`` what was guessed in reading it.
    """

    name: str
    shape: tuple[int, int, int]
    read: Callable[[slice], np.ndarray]
    wavelengths: tuple[float, ...] | None = None
    bad: tuple[int, ...] = ()
    nodata: float | None = None
    crs: Any = None
    transform: Any = None
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[:2]


@dataclass(frozen=True)
class Layout:
    """How an array is to be taken that does not say so itself: ``variable`` of a file with
    several, ``shape`` (rows, columns) of a matrix of bands by pixels, ``bands`` ``first`` or
    ``last``. ``size`` is that of the labels and ``count`` the bands that are wanted, where they are
    known: they settle what is open."""

    variable: str | None = None
    shape: tuple[int, int] | None = None
    bands: str | None = None
    size: tuple[int, int] | None = None
    count: int | None = None


def in_nanometres(values: Sequence[float], unit: str = "") -> tuple[float, ...] | None:
    """Wavelengths in micrometres or nanometres, told by the unit or by their size; None where they
    can be neither."""
    if not values or not all(np.isfinite(values)) or min(values) <= 0:
        return None
    unit = unit.lower()
    micro = unit.startswith(("micro", "um", "µm")) or (
        not unit.startswith(("nano", "nm")) and max(values) < 100
    )
    return tuple(round(1000 * v, 3) if micro else float(v) for v in values)
