"""What the job gives back for one source, and the files that it becomes."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepfake_detect.verdict import Observation, Thresholds, Verdict

FRAMES_FILE = "frames.csv"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Moment:
    """One suspicious face with its crop (uint8 RGB) and, by name, the pictures that explain its
    score."""

    observation: Observation
    crop: np.ndarray
    explanations: dict[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """``frames`` counts the frames that were looked at; ``has_time`` is False for pictures."""

    source: Path
    verdict: Verdict
    observations: tuple[Observation, ...]
    frames: int
    frames_with_face: int
    damage: tuple[str, ...]
    thresholds: Thresholds
    has_time: bool
    moments: tuple[Moment, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.verdict.reasons + self.damage

    def to_dict(self) -> dict:
        """The result as JSON values."""
        return {
            "verdict": self.verdict.label.value,
            "score": self.verdict.score,
            "reasons": list(self.reasons),
            "thresholds": {
                "real_below": self.thresholds.real_below,
                "fake_above": self.thresholds.fake_above,
            },
            "frames": self.frames,
            "frames_with_face": self.frames_with_face,
            "persons": [person.to_dict() for person in self.verdict.persons],
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        colour = {"REAL": "green", "FAKE": "red", "UNDECIDED": "yellow"}[self.verdict.label]
        score = "" if self.verdict.score is None else f"{self.verdict.score:.2f}"
        return {
            "verdict": f"[bold {colour}]{self.verdict.label}[/]",
            "P(fake)": score,
            "faces": f"{self.frames_with_face} of {self.frames} frames",
            "persons": str(len({observation.person for observation in self.observations})),
            "why": "; ".join(self.reasons),
        }

    def write(self, folder: Path) -> None:
        """Writes the table of single faces and the report page."""
        from deepfake_detect.page import write_page

        with (folder / FRAMES_FILE).open("w", newline="") as file:
            self._write_frames(csv.writer(file))
        write_page(self, folder / REPORT_FILE, self.source.name)

    def _write_frames(self, table) -> None:
        names = list(self.observations[0].scores) if self.observations else []
        table.writerow(
            ["frame", "time", "person", "x0", "y0", "x1", "y1", "detector_score", *names, "score"]
        )
        for seen in self.observations:
            box = [f"{value:.1f}" for value in seen.face.box]
            scores = [f"{seen.scores[name]:.6f}" if name in seen.scores else "" for name in names]
            time = f"{seen.time:.3f}" if self.has_time else ""
            table.writerow(
                [
                    seen.frame,
                    time,
                    seen.person,
                    *box,
                    f"{seen.face.score:.3f}",
                    *scores,
                    f"{seen.score:.6f}",
                ]
            )
