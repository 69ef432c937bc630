"""Hints on any frame of a film, carried along the motion to the frames around theirs."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryFile
from typing import Any, Self

import numpy as np

from image_colorize.film.flow import Flow, Motion, carried, small
from image_colorize.hints import Hint
from vitrail.preprocess.video import VideoReader

SOON = 1e-3  # seconds: a time so little before a frame's is that frame's
LOST, CUT, END = "lost from sight", "a cut", "the film's end"

Place = tuple[float, float]


@dataclass
class Track:
    """A hint of a film: the frame that it was made on, and from which to which it was carried;
    ``began`` and ``ended`` say why no farther."""

    hint: Hint
    frame: int
    first: int
    last: int
    began: str = "the film's beginning"
    ended: str = END

    def to_dict(self) -> dict[str, Any]:
        return self.hint.to_dict() | {
            "frame": self.frame,
            "from": self.first,
            "to": self.last,
            "began": self.began,
            "ended": self.ended,
        }


class Course:
    """Where the hints of a film are on each of its frames, asked for in their order.

    Backwards they are carried at once, in one pass over the film up to the last of them.
    """

    def __init__(self, film: VideoReader, hints: Sequence[Hint]):
        self.tracks = [Track(hint, n := frame_at(film, hint.time), n, n) for hint in hints]
        self._before: Mapping[int, dict[int, Place]] = {}
        if any(track.frame for track in self.tracks):
            self._before = _carried_back(film, self.tracks)
        self._live: dict[int, Place] = {}
        self._due = sorted(range(len(hints)), key=lambda number: self.tracks[number].frame)

    def at(self, index: int, motion: Motion | None) -> list[Hint]:
        """The hints on a frame, in the order in which they were given; ``motion`` is that from the
        frame before, None on the first."""
        if motion is not None:
            self._live, gone = _moved(self._live, motion)
            for number in gone:
                self.tracks[number].ended = CUT if motion.cut else LOST
        while self._due and self.tracks[self._due[0]].frame <= index:
            number = self._due.pop(0)
            hint = self.tracks[number].hint
            self._live[number] = hint.x, hint.y
        for number in self._live:
            self.tracks[number].last = index
        here = self._before.get(index, {}) | self._live
        return [
            replace(self.tracks[number].hint, x=x, y=y) for number, (x, y) in sorted(here.items())
        ]


def frame_at(film: VideoReader, time: float | None) -> int:
    """The frame that is shown at a time; the first one where there is none."""
    if time is None:
        return 0
    low, high = 0, film.frame_count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if film.time(middle) <= time + SOON else (low, middle)
    return low


def _carried_back(film: VideoReader, tracks: Sequence[Track]) -> dict[int, dict[int, Place]]:
    """Where the hints are on their own frames and those before, by the frame's index."""
    flow, found, live = Flow(), dict[int, dict[int, Place]](), dict[int, Place]()
    with _Kept(film, 1 + max(track.frame for track in tracks)) as kept:
        # The hints of a frame that cannot be read are on the next one that can.
        due = defaultdict[int, list[int]](list)
        for number, track in enumerate(tracks):
            due[min(bisect_left(kept.indices, track.frame), len(kept.indices) - 1)].append(number)
        later = kept[-1]
        for place in reversed(range(len(kept.indices))):
            for number in due[place]:
                live[number] = tracks[number].hint.x, tracks[number].hint.y
            for number in live:
                tracks[number].first = kept.indices[place]
            found[kept.indices[place]] = dict(live)
            if place and live:
                earlier = kept[place - 1]
                motion = flow.between(later, earlier)
                live, gone = _moved(live, motion)
                for number in gone:
                    tracks[number].began = CUT if motion.cut else LOST
            later = kept[place - 1] if place else later
    return found


class _Kept:
    """The small frames of a film's first ``count`` ones, in a passing file: those of a long film
    would fill the memory."""

    def __init__(self, film: VideoReader, count: int):
        self._file = TemporaryFile()  # noqa: SIM115 - closed where this is left
        self.indices, self._shape = list[int](), (0, 0)
        for frame in film.frames(range(count)):
            made = small(frame.image)
            self._file.write(made.tobytes())
            self.indices.append(frame.index)
            self._shape = made.shape[0], made.shape[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getitem__(self, place: int) -> np.ndarray:
        size = self._shape[0] * self._shape[1]
        self._file.seek(range(len(self.indices))[place] * size)
        return np.frombuffer(self._file.read(size), np.uint8).reshape(self._shape)


def _moved(live: dict[int, Place], motion: Motion) -> tuple[dict[int, Place], list[int]]:
    """Hints by their number where the motion takes them, and those that are gone."""
    if not live:
        return {}, []
    points, stay = carried(np.array(list(live.values())), motion.forth, motion.back)
    stay &= not motion.cut
    numbers = list(live)
    kept = {n: (x, y) for n, (x, y), ok in zip(numbers, points.tolist(), stay, strict=True) if ok}
    return kept, [n for n, ok in zip(numbers, stay, strict=True) if not ok]
