"""Pixels of any kind as 8-bit grey levels, by percentiles of one raster or of several together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vitrail.grids import Window

PERCENT = (1.0, 99.0)
SAMPLES = 500_000  # pixels per raster that percentiles are taken from
STRIP = 4_000_000  # values read at once


class Sampled(Protocol):
    """What is looked at: a ``Raster`` or a ``Warped``."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def bands(self) -> int: ...

    def read(self, window: Window) -> np.ma.MaskedArray: ...


@dataclass(frozen=True)
class Stretch:
    """``low`` becomes 0 and ``high`` 255, a pair per band."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    def apply(self, part: np.ma.MaskedArray) -> np.ma.MaskedArray:
        """(bands, rows, columns) as uint8, what lies beyond cut off; the mask stays."""
        low = np.array(self.low, np.float32)[:, None, None]
        high = np.array(self.high, np.float32)[:, None, None]
        data = np.where(np.ma.getmaskarray(part), low, part.data).astype(np.float32)
        levels = np.clip((data - low) / (high - low), 0, 1) * 255 + 0.5
        return np.ma.MaskedArray(levels.astype(np.uint8), np.ma.getmaskarray(part))


def joint_stretch(
    rasters: Sequence[Sampled], bands: Sequence[int], percent: tuple[float, float] = PERCENT
) -> Stretch | None:
    """One stretch for all ``rasters``, so that equal numbers get equal levels; ``bands`` count
    from 0.

    Percentiles of the pixels that hold data, of which at most ``SAMPLES`` per raster are looked at,
    in rows over the whole height. A band of one value is stretched around it. None where no pixel
    holds data.
    """
    parts = [np.concatenate([_sampled(one, band) for one in rasters]) for band in bands]
    if not all(part.size for part in parts):
        return None
    ends = [np.percentile(part, percent).tolist() for part in parts]
    wide = [(low, high) if high > low else (low - 0.5, low + 0.5) for low, high in ends]
    lows, highs = zip(*wide, strict=True)
    return Stretch(lows, highs)


def _sampled(raster: Sampled, band: int) -> np.ndarray:
    parts = [part[band].compressed() for part in sampled_rows(raster)]
    return np.concatenate(parts) if parts else np.empty(0)


def sampled_rows(raster: Sampled, samples: int = SAMPLES) -> Iterator[np.ma.MaskedArray]:
    """Strips (bands, rows, columns) spread over the whole height, about ``samples`` pixels in all,
    or everything where it is no more than that."""
    rows, columns = raster.shape
    wanted = max(1, min(rows, samples // columns))
    height = max(1, min(64, wanted, STRIP // max(1, raster.bands * columns)))
    count = max(1, round(wanted / height))
    for top in np.unique(np.linspace(0, rows - height, count).astype(int)).tolist():
        part = raster.read((slice(top, top + height), slice(0, columns)))
        yield part[:, :, :: max(1, columns * wanted // samples)] if columns > samples else part
