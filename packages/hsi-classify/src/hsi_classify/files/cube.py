"""What a hyperspectral cube is, whatever file it lies in: read a few rows at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNITS = {("micro", "um", "µm"): 1000.0, ("nano", "nm"): 1.0, ("ang",): 0.1}  # to nanometres
MAX_MICROMETRES = 100.0  # larger numbers without a unit are nanometres


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


def in_nanometres(
    values: Sequence[float], unit: str = "", notes: list[str] | None = None
) -> tuple[float, ...] | None:
    """Wavelengths in nanometres, told by their unit or, where none is given, by their size; None
    where they are none. What was guessed or not used is added to ``notes``."""
    said = notes if notes is not None else []
    unit = unit.lower()
    if not all(np.isfinite(values)) or min(values) <= 0:
        said.append("the wavelengths are no positive numbers: not used")
        return None
    factor = next((f for words, f in UNITS.items() if unit.startswith(words)), None)
    if factor is None and unit not in ("", "unknown"):
        said.append(f"wavelengths in {unit[:20]} are not used, only those in nm or micrometres")
        return None
    if factor is None:
        micro = max(values) < MAX_MICROMETRES
        factor, taken = (1000.0, "micrometres") if micro else (1.0, "nanometres")
        said.append(f"the wavelengths have no unit: taken for {taken}")
    return tuple(round(factor * v, 3) for v in values)
