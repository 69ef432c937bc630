"""What the job gives back for one pair of dates, or for a series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from change_detect.objects import NODATA, Piece
from change_detect.scene.spool import Spool

LEVELS = 200  # of a probability, stored as one byte


@dataclass(frozen=True)
class Place:
    """Where a map lies: rasterio's reference system and transform, None where there is none."""

    crs: Any
    transform: Any
    gsd: float | None


@dataclass(frozen=True)
class Result:
    """Change between two dates. ``mask`` holds 0, 1 and 255 (no data), ``probabilities`` bytes of 0
    to 200, for 0 to 1, and 255, or float32 of 0 to 1 and NaN; ``pictures`` are both dates as RGB
    (rows, columns, 3), reduced by ``reduced``. Pixels are counted in ``pixels``: ``changed``,
    ``valid`` and ``all``; square metres in ``areas``, None where they are unknown."""

    names: tuple[str, str]
    method: str
    threshold: float
    place: Place
    mask: Spool
    probabilities: Spool
    objects: Sequence[Piece]
    pixels: Mapping[str, int]
    areas: Mapping[str, float] | None
    pictures: tuple[np.ndarray, np.ndarray]
    reduced: int
    facts: Mapping[str, Any]
    damage: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    smooth: float = 0.0
    outlines: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def share(self) -> float:
        """Changed ground, of that with data on both dates."""
        parts = self.areas or self.pixels
        return parts["changed"] / parts["valid"] if parts["valid"] else 0.0

    @property
    def changed(self) -> np.ndarray:
        """(rows, columns) uint8: 0, 1, and 255 where there is no data."""
        return self.mask.array()

    @property
    def probability(self) -> np.ndarray:
        """(rows, columns) float32 in 0..1, NaN where there is no data."""
        stored = self.probabilities.array()
        if stored.dtype == np.float32:
            return stored
        return np.where(stored == NODATA, np.nan, stored / np.float32(LEVELS)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The domain's part of the row, as JSON values."""
        known = self.areas
        return {
            "dates": list(self.names),
            "method": self.method,
            "threshold": round(self.threshold, 4),
            "changed_share": round(self.share, 6),
            "changed_m2": None if known is None else round(known["changed"], 2),
            "valid_m2": None if known is None else round(known["valid"], 2),
            "changed_pixels": self.pixels["changed"],
            "no_data_share": round(1 - self.pixels["valid"] / self.pixels["all"], 6),
            "objects": len(self.objects),
            "size": [self.mask.shape[1], self.mask.shape[0]],
            "gsd_m": None if self.place.gsd is None else round(self.place.gsd, 4),
            "input": dict(self.facts),
            "reasons": list(self.reasons),
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        return {
            "changed": f"{self.share:.2%}",
            "area": area_text(self.areas["changed"] if self.areas else None),
            "objects": str(len(self.objects)),
            "remarks": "; ".join((*self.damage, *self.reasons)),
        }


def in_levels(probability: np.ndarray) -> np.ndarray:
    """Numbers of 0 to 1 as 0 to ``LEVELS``, NaN as ``NODATA``."""
    levels = np.rint(np.nan_to_num(probability) * LEVELS)
    return np.where(np.isnan(probability), NODATA, levels)


def step_of(probabilities: Spool) -> float:
    """What makes stored numbers 0 to 1."""
    return 1.0 if probabilities.dtype == np.float32 else 1 / LEVELS


def area_text(square_metres: float | None) -> str:
    """Square metres, hectares or square kilometres, whichever reads best."""
    if square_metres is None:
        return "unknown"
    if square_metres >= 1e6:
        return f"{square_metres / 1e6:,.2f} km2"
    if square_metres >= 1e5:
        return f"{square_metres / 1e4:,.1f} ha"
    return f"{square_metres:,.0f} m2"
