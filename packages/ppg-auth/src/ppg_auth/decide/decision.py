"""What a verification can come to, and the score that it follows from: how near an attempt comes
to the nearest placement, counted in what wrong people usually reach."""

from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FMR = 0.05  # of wrong people, how many a usual threshold is meant to let through
# How much wider new people's scores spread than those of a few validation people (decision 0012)
SPREAD = 1.4
MAX_COSINE = 0.9999  # of protected templates, which are bits, a cosine may be 1


@dataclass(frozen=True)
class Impostors:
    """Mean and standard deviation of the Fisher-transformed cosines that development people have
    with each other."""

    mean: float
    deviation: float

    def normalise(self, cosine: NDArray | float) -> NDArray:
        """How many standard deviations above wrong people's mean."""
        return (fisher(cosine) - self.mean) / self.deviation

    def unnormalised(self, score: float) -> float:
        """The Fisher-transformed cosine behind a normalised score."""
        return self.mean + score * self.deviation


def threshold(rate: float) -> float:
    """The normalised score that a share ``rate`` of wrong people reach, taking their scores to be
    normal."""
    return SPREAD * NormalDist().inv_cdf(1 - rate)


def fisher(cosine: NDArray | float) -> NDArray:
    """Fisher's transform of correlations: near 1 it tells apart what cosines crowd together."""
    return np.arctanh(np.clip(cosine, -MAX_COSINE, MAX_COSINE))


def placement_mean(embeddings: NDArray) -> NDArray:
    """The unit vector (128,) in the direction of the mean of one placement's, or an attempt's,
    windows (n, 128)."""
    mean = embeddings.mean(axis=0)
    return mean / np.linalg.norm(mean)


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    THROTTLED = "throttled"
    NOT_ENROLLED = "not enrolled"


NOT_ACCEPTED = 4  # an exit status; that of a source which cannot be used is another


@dataclass(frozen=True)
class Decision:
    """``score`` in steps of 0.01, so that nobody climbs it bit by bit; None where nothing was
    compared.

    ``wait`` is the number of seconds until the next attempt when throttled, infinite when locked.
    """

    outcome: Outcome
    name: str | None
    reasons: tuple[str, ...] = ()
    score: float | None = None
    threshold: float | None = None
    wait: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 accepted, 4 not; why not stands in the row."""
        return 0 if self.outcome is Outcome.ACCEPTED else NOT_ACCEPTED

    def to_dict(self) -> dict:
        """The decision as JSON values; an infinite wait becomes None."""
        row = {"verdict": self.outcome.value, "name": self.name, "reasons": list(self.reasons)}
        row |= {"score": self.score, "threshold": self.threshold}
        if self.outcome is Outcome.THROTTLED:
            row["wait"] = None if self.wait == float("inf") else round(self.wait, 1)
        return row

    def sentence(self) -> str:
        """The decision as a person reads it."""
        who = self.name or "nobody who is enrolled"
        numbers = (
            ""
            if self.score is None
            else f" (score {self.score:.2f}, threshold {self.threshold:.2f})"
        )
        reasons = f": {', '.join(self.reasons)}" if self.reasons else ""
        match self.outcome:
            case Outcome.ACCEPTED:
                return f"accepted as {who}{numbers}"
            case Outcome.REJECTED:
                return f"rejected as {who}{numbers}{reasons}" if self.name else f"{who}{reasons}"
            case Outcome.INCONCLUSIVE:
                return f"inconclusive, the capture is not good enough{reasons}"
            case Outcome.THROTTLED if self.wait == float("inf"):
                return "locked after too many failures; 'unlock' ends it"
            case Outcome.THROTTLED:
                return f"too many failures, try again in {self.wait:.0f} s"
            case Outcome.NOT_ENROLLED:
                return f"{self.name} is not enrolled" if self.name else "nobody is enrolled"
