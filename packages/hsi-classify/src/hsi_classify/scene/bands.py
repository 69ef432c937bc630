"""Which bands and which pixels count."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from hsi_classify.files.cube import Cube
from hsi_classify.scene.components import Moments
from vitrail.errors import InputError, UsageError

WATER = ((1340.0, 1460.0), (1790.0, 1960.0), (2450.0, 1e9))  # nm, where the air lets nothing pass
MIN_CORRELATION = 0.3  # with the better of its two neighbours; less is noise
MIN_STD = 1e-6  # as a share of the median band's


@dataclass(frozen=True)
class Bands:
    """``kept`` are numbers of bands, counted from 0; ``dropped`` those left out by reason."""

    kept: np.ndarray
    dropped: dict[str, tuple[int, ...]]

    def sentences(self) -> tuple[str, ...]:
        return tuple(
            f"{len(numbers)} bands left out ({reason}): {spans(numbers)}"
            for reason, numbers in self.dropped.items()
        )


def data_per_band(part: np.ndarray, nodata: float | None) -> np.ndarray:
    """(bands,) how many of the pixels (rows, columns, bands) hold data in each."""
    return _data(part, nodata).sum((0, 1))


def with_data(part: np.ndarray, nodata: float | None) -> np.ndarray:
    """(rows, columns) bool: pixels with data in every band of (rows, columns, bands). Where no
    ignore value is known, a pixel of zeros alone holds none either."""
    whole = np.asarray(_data(part, nodata).all(-1))
    return whole & part.any(-1) if nodata is None else whole


def known_bad(cube: Cube, wish: str = "auto") -> dict[str, set[int]]:
    """The bands to leave out before a pixel is read, by reason.

    ``wish``: ``auto`` leaves out what the header calls bad and what lies where water vapour
    absorbs, ``none`` leaves out nothing, a list such as ``1-10,108`` (counted from 1) those.
    UsageError for another wish.
    """
    if wish == "none":
        return {}
    if wish != "auto":
        return {"as asked": parse(wish, cube.shape[2])}
    wet = {
        number
        for number, wave in enumerate(cube.wavelengths or ())
        if any(low <= wave <= high for low, high in WATER)
    }
    return {"bad by the header": set(cube.bad), "water vapour": wet}


def usable(cube: Cube, reasons: Mapping[str, Iterable[int]]) -> Bands:
    """The bands that no reason leaves out; a band has the first of its reasons."""
    taken: set[int] = set()
    dropped = {}
    for reason, numbers in reasons.items():
        if mine := {int(number) for number in numbers} - taken:
            dropped[reason] = tuple(sorted(mine))
            taken |= mine
    kept = np.array([n for n in range(cube.shape[2]) if n not in taken], dtype=np.int64)
    if len(kept) < 2:
        problem = f"has {len(kept)} of {cube.shape[2]} bands left"
        raise InputError(cube.name, problem, "see --bad-bands")
    return Bands(kept, dropped)


def poor(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the bands that do not change, and of those that follow neither neighbour."""
    std = moments.std
    constant = std <= MIN_STD * np.median(std[std > 0]) if (std > 0).any() else std >= 0
    safe = np.where(constant, np.inf, std)
    beside = np.diag(moments.covariance, 1) / (safe[:-1] * safe[1:])
    best = np.full(len(std), -1.0)
    best[:-1] = beside
    best[1:] = np.maximum(best[1:], beside)
    return constant, (best < MIN_CORRELATION) & ~constant


def parse(text: str, count: int) -> set[int]:
    """``1-10,108`` -> numbers counted from 0; UsageError where it is no such list."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if not 1 <= first <= last <= count:
            problem = f"{part.strip()[:20]} is no band of 1 to {count}"
            raise UsageError("--bad-bands", problem, "write auto, none, or a list such as 1-10,108")
        numbers.update(range(first - 1, last))
    return numbers


def spans(numbers: tuple[int, ...]) -> str:
    """Numbers counted from 0 as ``1-10, 108``, counted from 1."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in parts)


def _data(part: np.ndarray, nodata: float | None) -> np.ndarray:
    data = np.isfinite(part) if part.dtype.kind == "f" else np.ones(part.shape, bool)
    if nodata is not None and not np.isnan(nodata):
        data &= part != nodata
    return data
