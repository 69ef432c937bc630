"""What came of one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from face_quality.measures import Measure
from vitrail.faces.face import Face

NOT_ASSESSED = -1  # OFIQ's own sign for it, in its tables


@dataclass(frozen=True, eq=False)
class JudgedFace:
    """``raw`` is the network's own number; ``score`` and ``percentile`` are None for weights
    without a calibration. ``crop`` is the aligned face as the network saw it, uint8 (112, 112, 3).
    """

    face: Face
    raw: float
    score: float | None
    percentile: float | None
    word: str | None
    components: Mapping[str, Measure]
    reasons: Sequence[str]
    crop: np.ndarray
    embedding: np.ndarray | None = None

    @property
    def shown(self) -> str:
        """The number for people, which the row rounds to a tenth."""
        return f"raw {self.raw:.3f}" if self.score is None else f"{round(self.score, 1):.0f}"

    def to_dict(self) -> dict[str, Any]:
        row = {
            "box": [round(edge, 1) for edge in self.face.box],
            "landmarks": self.face.landmarks.astype(float).round(1).tolist(),
            "raw": round(self.raw, 4),
            "score": _rounded(self.score),
            "percentile": _rounded(self.percentile),
            "word": self.word,
            "components": {
                name: {"raw": one.raw, "score": one.score} for name, one in self.components.items()
            },
            "reasons": list(self.reasons),
        }
        if self.embedding is not None:
            row["embedding"] = self.embedding.astype(float).round(5).tolist()
        return row


@dataclass(frozen=True, eq=False)
class Result:
    """The judged faces of one picture in the order of their detection; ``main`` numbers the largest
    near the centre, None where there is none. ``seen`` counts those that were found, judged or not:
    0 for a crop in which none was. ``remarks`` say what was guessed or not judged."""

    source: str
    size: tuple[int, int]
    faces: tuple[JudgedFace, ...]
    main: int | None
    seen: int
    remarks: tuple[str, ...] = ()
    calibration: str | None = None
    damage: tuple[str, ...] = field(default=())

    @property
    def main_face(self) -> JudgedFace | None:
        return None if self.main is None else self.faces[self.main]

    @property
    def reasons(self) -> list[str]:
        """Of the main face, or why there is none."""
        if self.main_face is not None:
            return list(self.main_face.reasons)
        return ["No face can be judged" if self.seen else "No face is found in this picture"]

    def to_dict(self) -> dict[str, Any]:
        face = self.main_face
        return {
            "score": None if face is None else _rounded(face.score),
            "raw": None if face is None else round(face.raw, 4),
            "word": None if face is None else face.word,
            "reasons": self.reasons,
            "remarks": list(self.remarks),
            "width": self.size[0],
            "height": self.size[1],
            "main": self.main,
            "seen": self.seen,
            "faces": [one.to_dict() for one in self.faces],
            "calibration": self.calibration,
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        face = self.main_face
        return {
            "score": "-" if face is None else face.shown,
            "": (face and face.word) or "",
            "faces": str(self.seen),
            "reasons": "; ".join([*self.reasons, *self.remarks, *self.damage]),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
