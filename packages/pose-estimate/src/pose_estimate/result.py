"""What the job gives back for one source."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pose_estimate.skeleton import Skeleton

MAX_LISTED = 2000  # frames of a film in one row; the file ``poses.jsonl`` holds all


@dataclass(frozen=True, eq=False)
class Person:
    """``box`` is (x, y, width, height) and ``joints`` (K, 3) x, y and score, in pixels of the
    upright image as the file has it; ``visible`` (K,) says of which joints the score is high
    enough. ``number`` is the person's in a film, from 1, None in an image. ``kept`` are the four
    corners (x, y) of each patch that was looked at to the end, (n, 4, 2); None where that was all
    of them.
    """

    box: tuple[float, float, float, float]
    score: float
    joints: np.ndarray
    visible: np.ndarray
    number: int | None = None
    kept: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.number,
            "box": [round(value, 2) for value in self.box],
            "score": round(self.score, 4),
            "keypoints": [
                [round(x, 2), round(y, 2), round(score, 4)] for x, y, score in self.joints.tolist()
            ],
            "visible": self.visible.tolist(),
        }

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Person":
        """From what ``to_dict`` gave."""
        joints, visible = np.array(row["keypoints"], float), np.array(row["visible"], bool)
        box = tuple(row["box"])
        return cls(box, row["score"], joints.reshape(-1, 3), visible, row["id"])


@dataclass(frozen=True)
class FramePeople:
    """The people of one frame, best first; ``index`` counts from 0, ``time`` is in seconds."""

    index: int
    time: float
    people: tuple[Person, ...]


class Spool:
    """The frames of a film on disk, so that memory does not grow with its length."""

    def __init__(self):
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (lives on)
        self._count = 0

    def append(self, frame: FramePeople) -> None:
        row = {
            "frame": frame.index,
            "time": frame.time,
            "persons": [person.to_dict() for person in frame.people],
        }
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FramePeople]:
        """The frames in order, read again."""
        self._file.flush()
        self._file.seek(0)
        for line in self._file:
            row = json.loads(line)
            people = tuple(map(Person.of, row["persons"]))
            yield FramePeople(row["frame"], row["time"], people)
        self._file.seek(0, 2)


@dataclass(frozen=True, eq=False)
class Result:
    """``size`` is (width, height) of the upright source. ``frames`` holds one frame for an image,
    all for a film (``is_film``), whose rate is ``fps``. ``image_id`` is that of the given boxes.
    ``numbers`` counts the people of a film; ``gmacs`` is what each crop costs. ``rotated`` says by
    how many degrees clockwise the source was turned to be looked at. ``image`` is None where the
    writer must read the source again.
    """

    name: str
    path: str | None
    size: tuple[int, int]
    frames: Sequence[FramePeople] | Spool
    skeleton: Skeleton
    damage: tuple[str, ...]
    is_film: bool = False
    fps: float | None = None
    image_id: int | str | None = None
    numbers: int = 0
    keep: float = 1.0
    gmacs: float | None = None
    image: np.ndarray | None = None

    @cached_property
    def people(self) -> tuple[Person, ...]:
        """Of an image; of a film, those of its first frame."""
        return next((frame.people for frame in self.frames), ())

    @property
    def count(self) -> int:
        return self.numbers if self.is_film else len(self.people)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        width, height = self.size
        facts = {"input": self.name, "joints": list(self.skeleton.labels)}
        facts |= {"width": width, "height": height}
        costs = {"keep": round(self.keep, 4), "gmacs_per_person": _rounded(self.gmacs)}
        if not self.is_film:
            return facts | {"persons": [person.to_dict() for person in self.people]} | costs
        facts |= {"frame_count": len(self.frames), "fps": _rounded(self.fps)}
        facts |= {"people": self.numbers, "frames": None}
        if len(self.frames) <= MAX_LISTED:
            facts["frames"] = [frame_row(frame) for frame in self.frames]
        else:
            facts["frames_note"] = "too many for a row: see poses.jsonl with -o"
        return facts | costs

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        return {
            "people": str(self.count),
            "frames": str(len(self.frames)) if self.is_film else "-",
            "best score": f"{self.people[0].score:.2f}" if self.people else "-",
            "damage": "; ".join(self.damage),
        }


def frame_row(frame: FramePeople) -> dict[str, Any]:
    """One frame as JSON values."""
    return {
        "frame": frame.index,
        "time": round(frame.time, 4),
        "persons": [person.to_dict() for person in frame.people],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
