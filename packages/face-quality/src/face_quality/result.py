"""What came of one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from face_quality.measures import Measure
from vitrail.faces.face import Face


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
    def rank(self) -> float:
        """What faces are ordered by."""
        return self.raw

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
    """The faces of one picture in the order of their detection; ``main`` numbers the largest near
    the centre, None where there is none. ``remarks`` say what was guessed or not judged."""

    source: str
    size: tuple[int, int]
    faces: tuple[JudgedFace, ...]
    main: int | None
    remarks: tuple[str, ...] = ()
    calibration: str | None = None
    damage: tuple[str, ...] = field(default=())

    @property
    def main_face(self) -> JudgedFace | None:
        return None if self.main is None else self.faces[self.main]

    def to_dict(self) -> dict[str, Any]:
        face = self.main_face
        return {
            "score": None if face is None else _rounded(face.score),
            "raw": None if face is None else round(face.raw, 4),
            "word": None if face is None else face.word,
            "reasons": ["No face is found in this picture"] if face is None else [*face.reasons],
            "remarks": list(self.remarks),
            "width": self.size[0],
            "height": self.size[1],
            "main": self.main,
            "faces": [one.to_dict() for one in self.faces],
            "calibration": self.calibration,
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        face = self.main_face
        if face is None:
            return {"score": "-", "": "", "faces": "0", "reasons": "No face is found"}
        shown = f"raw {face.raw:.3f}" if face.score is None else f"{face.score:.0f}"
        said = [*face.reasons, *self.remarks, *self.damage]
        return {
            "score": shown,
            "": face.word or "",
            "faces": str(len(self.faces)),
            "reasons": "; ".join(said),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
