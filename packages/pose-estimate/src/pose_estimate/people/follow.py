"""Who is who over time, and joints without tremor.

People are linked box by box as SORT does it (Bewley et al. 2016): each keeps its velocity, the most
alike pairs are taken first, and a number is never given twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vitrail.detection.matching import iou

MIN_ALIKE = 0.1  # of the measure in ``_alike``, below which two boxes are two people
NEAR = 0.7  # box diagonals that a centre may be off where boxes do not overlap
PATIENCE = 2.0  # seconds for which somebody who is not seen keeps the number
VELOCITY_SHARE = 0.5  # of the newest step in the velocity


@dataclass
class Track:
    """Somebody as seen last: ``box`` (x, y, width, height), ``velocity`` in pixels a second."""

    number: int
    box: np.ndarray
    time: float
    velocity: np.ndarray

    def expected(self, time: float) -> np.ndarray:
        """Where the box should be; its size stays."""
        return self.box + np.concatenate((self.velocity * (time - self.time), np.zeros(2)))


class Tracker:
    """Gives boxes numbers from 1 on, the same one for the same person."""

    def __init__(self, patience: float = PATIENCE):
        self.patience = patience
        self.tracks: list[Track] = []
        self.given = 0

    def link(self, boxes: np.ndarray, time: float) -> list[int]:
        """A number for each of ``boxes`` (n, 4) at ``time`` in seconds, which never goes back."""
        self.tracks = [t for t in self.tracks if time - t.time <= self.patience]
        pairs = sorted(
            (
                (likeness, at, n)
                for at, track in enumerate(self.tracks)
                for n, likeness in enumerate(_alike(track.expected(time), boxes).tolist())
                if likeness >= MIN_ALIKE
            ),
            key=lambda pair: -pair[0],
        )
        owners: dict[int, Track] = {}
        taken: set[int] = set()
        for _, at, n in pairs:
            if n not in owners and at not in taken:
                owners[n] = self.tracks[at]
                taken.add(at)
        return [self._update(owners.get(n), box, time) for n, box in enumerate(boxes[:, :4])]

    def _update(self, track: Track | None, box: np.ndarray, time: float) -> int:
        if track is None:
            self.given += 1
            self.tracks.append(Track(self.given, box.copy(), time, np.zeros(2)))
            return self.given
        passed = time - track.time
        if passed > 0:
            step = (_centre(box) - _centre(track.box)) / passed
            track.velocity = track.velocity + VELOCITY_SHARE * (step - track.velocity)
        track.box, track.time = box.copy(), time
        return track.number


class OneEuro:
    """The 1 € filter (Casiez et al. 2012): still joints are smoothed much, fast ones hardly, so
    that they do not lag. Lengths are in units of the person's size, so that scale does not
    matter."""

    def __init__(
        self, min_cutoff: float = 1.0, speed_share: float = 3.0, speed_cutoff: float = 1.0
    ):
        self.min_cutoff, self.speed_share, self.speed_cutoff = min_cutoff, speed_share, speed_cutoff
        self._states: dict[int, tuple[float, np.ndarray, np.ndarray]] = {}

    def smooth(self, number: int, joints: np.ndarray, size: float, time: float) -> np.ndarray:
        """The joints (K, 2) of person ``number``, whose longer side is ``size`` pixels."""
        if number not in self._states or time <= self._states[number][0]:
            self._states[number] = (time, joints, np.zeros_like(joints))
            return joints
        before, last, speed = self._states[number]
        passed, size = time - before, max(size, 1.0)
        speed = speed + _share(self.speed_cutoff, passed) * ((joints - last) / passed - speed)
        fast = np.linalg.norm(speed, axis=1, keepdims=True) / size
        smoothed = last + _share(self.min_cutoff + self.speed_share * fast, passed) * (
            joints - last
        )
        self._states[number] = (time, smoothed, speed)
        return smoothed


def between(
    before: Sequence[tuple[int, np.ndarray]],
    after: Sequence[tuple[int, np.ndarray]],
    share: float,
) -> list[tuple[int, np.ndarray]]:
    """Where numbered boxes (5,) are at ``share`` of the time from ``before`` to ``after``: on the
    straight way between; who is in one alone stands there in the half of the time nearer to it."""
    first, last = dict(before), dict(after)
    boxes = {}
    for number in dict.fromkeys((*first, *last)):
        if number in first and number in last:
            boxes[number] = first[number] + share * (last[number] - first[number])
        elif number in first and share <= 0.5:
            boxes[number] = first[number]
        elif number in last and share > 0.5:
            boxes[number] = last[number]
    return list(boxes.items())


def _share(cutoff: np.ndarray | float, passed: float) -> np.ndarray | float:
    """Of a new value, by a low-pass filter of first order with ``cutoff`` in Hz."""
    turns = 2 * np.pi * cutoff * passed
    return turns / (turns + 1)


def _alike(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """1 for equal boxes; down to 0 by overlap, and by distance where they do not overlap."""
    if not len(boxes):
        return np.zeros(0)
    corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]), axis=1)
    shared = iou((box[0], box[1], box[0] + box[2], box[1] + box[3]), corners)
    off = np.linalg.norm(boxes[:, :2] + boxes[:, 2:4] / 2 - _centre(box), axis=1)
    diagonal = max(float(np.linalg.norm(box[2:4])), 1e-6)
    sizes = np.linalg.norm(boxes[:, 2:4], axis=1) / diagonal
    near = (1 - off / (NEAR * diagonal)).clip(0) * np.minimum(sizes, 1 / np.maximum(sizes, 1e-6))
    return np.maximum(shared, 0.5 * near)


def _centre(box: np.ndarray) -> np.ndarray:
    return box[:2] + box[2:4] / 2
