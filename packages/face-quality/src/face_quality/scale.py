"""What a raw quality means: a score from 0 to 100 and a percentile, by reference pictures."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import InputError
from vitrail.output import atomic_file
from vitrail.sources import require_file

POINTS = 101
LOW, HIGH = 40.0, 70.0
REMEDY = "use a file that 'face-quality calibrate' wrote"


@dataclass(frozen=True)
class Calibration:
    """Raw qualities at each hundredth of two sets of pictures, in ascending order.

    ``raw`` belongs to the reference set, half of which is degraded: the score is the rank in it, so
    that scores spread over the whole range. ``usual`` belongs to the same pictures as they were
    taken: the percentile is the rank in it. ``low`` and ``high`` are the scores below which a face
    is called low, and from which on it is called high. ``reference`` says what the pictures were,
    ``weights`` whose qualities these are.
    """

    raw: Sequence[float]
    usual: Sequence[float]
    reference: str
    weights: str = ""
    low: float = LOW
    high: float = HIGH

    def __post_init__(self):
        for name, values in (("raw", self.raw), ("usual", self.usual)):
            if len(values) < 2 or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise ValueError(f"{name} is no ascending list of numbers")
        if not 0 <= self.low <= self.high <= 100:
            raise ValueError("low and high are not in 0..100")

    @classmethod
    def of(
        cls,
        raw: Sequence[float] | np.ndarray,
        usual: Sequence[float] | np.ndarray,
        reference: str,
        weights: str = "",
    ) -> "Calibration":
        """From the qualities of both sets."""
        shares = np.linspace(0, 1, POINTS)
        first, second = (np.quantile(one, shares).round(5).tolist() for one in (raw, usual))
        return cls(first, second, reference, weights)

    def score(self, raw: float) -> float:
        return _rank(raw, self.raw)

    def percentile(self, raw: float) -> float:
        return _rank(raw, self.usual)

    def raw_of(self, score: float) -> float:
        """The raw quality of a score."""
        return float(np.interp(score, np.linspace(0, 100, len(self.raw)), self.raw))

    def word(self, score: float) -> str:
        return "low" if score < self.low else "high" if score >= self.high else "middle"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "sha256": self.sha256}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], subject: object) -> "Calibration":
        """InputError where something is missing, or is not what its sha256 says."""
        try:
            told = values.get("sha256")
            found = cls(**{key: value for key, value in values.items() if key != "sha256"})
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(subject, f"is no calibration ({error})", REMEDY) from error
        if told is not None and told != found.sha256:
            raise InputError(subject, "was changed after it was written", REMEDY)
        return found


def read_calibration(path: Path) -> Calibration:
    try:
        values = json.loads(require_file(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(path, "is no calibration: it is not JSON", REMEDY) from error
    if not isinstance(values, dict):
        raise InputError(path, "is no calibration", REMEDY)
    return Calibration.from_dict(values, path)


def write_calibration(path: Path, calibration: Calibration) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(calibration.to_dict(), indent=1) + "\n")


def _rank(raw: float, values: Sequence[float]) -> float:
    """0..100: where a value lies among ascending ones; beyond the ends it is 0 or 100."""
    # Equal values would make the map jump; a hair between them keeps it one.
    ascending = np.maximum.accumulate(np.asarray(values) + np.arange(len(values)) * 1e-9)
    return float(np.interp(raw, ascending, np.linspace(0, 100, len(values))))
