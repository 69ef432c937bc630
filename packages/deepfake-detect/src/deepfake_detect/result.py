"""What the job gives back for one source."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deepfake_detect.decide.verdict import Observation, Thresholds, Verdict

COLOURS = {"REAL": "green", "FAKE": "red", "UNDECIDED": "yellow"}


@dataclass(frozen=True)
class Moment:
    """One suspicious face with its crop (uint8 RGB) and, by name, the images that explain its
    score."""

    observation: Observation
    crop: np.ndarray
    explanations: dict[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """``name`` is the source's, without its folder; ``frames`` counts the frames that were looked
    at; ``has_time`` is False for images. ``facts`` says what the source is and how it was judged;
    ``scene`` is the number and the pixels of one whole frame, with the most persons in it."""

    name: str
    verdict: Verdict
    observations: tuple[Observation, ...]
    frames: int
    frames_with_face: int
    damage: tuple[str, ...]
    thresholds: Thresholds
    has_time: bool
    moments: tuple[Moment, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    scene: tuple[int, np.ndarray] | None = None

    def to_dict(self) -> dict:
        """The result as JSON values."""
        return {
            "verdict": self.verdict.label.value,
            "score": self.verdict.score,
            "reasons": list(self.verdict.reasons),
            "thresholds": {
                "real_below": self.thresholds.real_below,
                "fake_above": self.thresholds.fake_above,
            },
            "frames": self.frames,
            "frames_with_face": self.frames_with_face,
            "segments": [segment.to_dict() for segment in self.verdict.segments],
            "persons": [person.to_dict() for person in self.verdict.persons],
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        colour = COLOURS[self.verdict.label]
        score = "" if self.verdict.score is None else f"{self.verdict.score:.2f}"
        return {
            "verdict": f"[bold {colour}]{self.verdict.label}[/]",
            "P(fake)": score,
            "faces": f"{self.frames_with_face} of {self.frames} frames",
            "persons": str(len({observation.person for observation in self.observations})),
            "why": "; ".join(self.verdict.reasons + self.damage),
        }
