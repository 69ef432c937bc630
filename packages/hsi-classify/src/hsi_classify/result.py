"""What the job gives back for one cube."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hsi_classify.scores import Score

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Spectrum:
    """A class's ``mean`` and ``spread`` (bands,) over its labelled pixels."""

    mean: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Result:
    """``classes`` (rows, columns) uint16 are class ids, 0 where there is no data; ``probability``
    of the likeliest class and ``margin`` to the next, float32, are 0 there.

    ``names`` and ``colours`` are by id, in the order of ``ids``. ``pixel_area`` is in m2 per row,
    None where it is unknown. ``made_by`` tells how in words and figures, ``score`` what labels left
    over say, ``spectra`` what the labels' pixels look like over ``axis``.
    """

    source: str
    classes: np.ndarray
    probability: np.ndarray
    margin: np.ndarray
    ids: tuple[int, ...]
    names: Mapping[int, str]
    colours: Mapping[int, Colour]
    crs: Any
    transform: Any
    pixel_area: np.ndarray | None
    made_by: Mapping[str, Any]
    damage: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    score: Score | None = None
    spectra: Mapping[int, Spectrum] = field(default_factory=dict)
    axis: tuple[float, ...] = ()
    has_wavelengths: bool = False

    @property
    def areas(self) -> list[tuple[int, str, int, float, float | None]]:
        """Id, name, pixels, share and m2 of each class; those without a class under id 0."""
        rows, total = [], self.classes.size
        for value in (*self.ids, 0):
            mask = self.classes == value
            count = int(mask.sum())
            area = None
            if self.pixel_area is not None:
                area = float((mask.sum(1) * self.pixel_area).sum())
            name = self.names.get(value, f"class {value}") if value else "no data"
            rows.append((value, name, count, count / total, area))
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The domain's part of the row, as JSON values."""
        return {
            "rows": self.classes.shape[0],
            "columns": self.classes.shape[1],
            "classes": {
                str(value): {
                    "name": name,
                    "pixels": count,
                    "share": round(share, 6),
                    "m2": None if area is None else round(area, 2),
                }
                for value, name, count, share, area in self.areas
            },
            "mean_probability": round(self.confidence, 4),
            "made_by": dict(self.made_by),
            "score": None if self.score is None else _figures(self.score),
            "reasons": list(self.reasons),
        }

    @property
    def confidence(self) -> float:
        """The mean probability of the chosen classes."""
        inside = self.classes > 0
        return float(self.probability[inside].mean()) if inside.any() else 0.0

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        largest = sorted(self.areas[:-1], key=lambda row: -row[2])[:3]
        found = ", ".join(f"{name} {share:.0%}" for _, name, _, share, _ in largest)
        score = self.score
        return {
            "classes": found,
            "method": str(self.made_by.get("method", "")),
            "test": f"OA {score.oa:.3f}, AA {score.aa:.3f}" if score else "",
            "damage": "; ".join(self.damage),
        }


def _figures(score: Score) -> dict[str, Any]:
    return {
        "pixels": score.count,
        "oa": round(score.oa, 4),
        "aa": round(score.aa, 4),
        "kappa": round(score.kappa, 4),
    }
