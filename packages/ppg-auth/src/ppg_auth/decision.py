"""What a verification can come to."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
    THROTTLED = "throttled"
    NOT_ENROLLED = "not enrolled"


EXIT_STATUS = {
    Outcome.ACCEPTED: 0,
    Outcome.REJECTED: 1,
    Outcome.INCONCLUSIVE: 4,
    Outcome.THROTTLED: 5,
    Outcome.NOT_ENROLLED: 6,
}


@dataclass(frozen=True)
class Decision:
    """``score`` in steps of 0.01, so that nobody climbs it bit by bit; None where nothing was compared.

    ``wait`` is the number of seconds until the next attempt when throttled, infinite when locked.
    """

    outcome: Outcome
    name: str | None
    reasons: tuple[str, ...] = ()
    score: float | None = None
    threshold: float | None = None
    wait: float = 0.0

    def to_dict(self) -> dict:
        """The decision as JSON values; an infinite wait becomes None."""
        row = {"verdict": self.outcome.value, "name": self.name, "reasons": list(self.reasons)}
        row |= {"score": self.score, "threshold": self.threshold}
        if self.outcome is Outcome.THROTTLED:
            row["wait"] = None if self.wait == float("inf") else round(self.wait, 1)
        return row
