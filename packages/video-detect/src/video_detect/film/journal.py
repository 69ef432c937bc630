"""What is known of a film so far, kept in the output folder while it is watched, so that a call
that was stopped can be gone on with."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from video_detect.result import FrameRow, Object

FOLDER = "unfinished"  # in the output folder


class Journal:
    """The rows of one film, before they are linked to tracks: a line for each window, in a file
    that belongs to the film's content and to all that changes numbers."""

    def __init__(self, output: Path, fingerprint: str, facts: Mapping[str, Any]):
        key = hashlib.sha256(json.dumps([fingerprint, facts], sort_keys=True).encode())
        self.path = output / FOLDER / f"{key.hexdigest()[:16]}.jsonl"

    def read(self) -> tuple[list[FrameRow], list[tuple[int, int]]]:
        """The rows so far, and the sizes (width, height) of the frames in the order in which they
        came up. A line that was not finished is taken off."""
        rows: list[FrameRow] = []
        sizes: list[tuple[int, int]] = []
        good = ""
        with suppress(OSError, ValueError, KeyError, TypeError):
            for line in self.path.read_text().splitlines(keepends=True):
                window = json.loads(line)
                own = [_row(*fields) for fields in window["rows"]]
                sizes = [(width, height) for width, height in window["sizes"]]
                rows += own
                good += line
        if self.path.exists():
            self.path.write_text(good)
        return rows, sizes

    def add(self, rows: Sequence[FrameRow], sizes: Sequence[tuple[int, int]]) -> None:
        """One more window."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fields = [
            [row.index, row.time, [[one.box, one.label, one.score] for one in row.objects]]
            for row in rows
        ]
        with self.path.open("a") as file:
            file.write(json.dumps({"rows": fields, "sizes": list(sizes)}) + "\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # others of this folder are still being written
            self.path.parent.rmdir()


def _row(index: int, time: float | None, objects: list) -> FrameRow:
    found = (Object(tuple(box), label, score) for box, label, score in objects)
    return FrameRow(index, time, tuple(found))
