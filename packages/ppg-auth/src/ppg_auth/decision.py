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
