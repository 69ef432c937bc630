"""Who is who over time: boxes are linked as ByteTrack does it (Zhang et al. 2022), sure ones first,
then unsure ones to what is left; where a track should be follows from its speed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from video_detect.result import Object

MIN_ALIKE = 0.15  # IoU with the expected box, below which it is another object
NEAR = 0.5  # box diagonals that a centre may be off where boxes no longer overlap
VELOCITY_SHARE = 0.5  # of the newest step in the velocity
OTHER_LABEL = 0.6  # of the likeness, where the label changes
KEPT_SECONDS = 1.0  # for which an object that is not seen keeps its number


@dataclass(eq=False)
class Track:
    """An object as seen last, and how often it was seen."""

    box: np.ndarray
    label: str
    time: float
    velocity: np.ndarray
    hits: int = 1

    def expected(self, time: float) -> np.ndarray:
        """Where the box should be; its size stays."""
        shift = self.velocity * (time - self.time)
        return self.box + np.concatenate((shift, np.zeros(2)))

    def meet(self, one: Object, time: float) -> None:
        """It was seen again."""
        box, passed = np.array(one.box), time - self.time
        if passed > 0:
            step = (_centre(box) - _centre(self.box)) / passed
            share = VELOCITY_SHARE if self.hits > 1 else 1.0
            self.velocity = self.velocity + share * (step - self.velocity)
        self.box, self.time, self.label = box, time, one.label
        self.hits += 1


class Follower:
    """Links the objects of one frame after the other. Objects that score less than ``sure`` go on
    with a track but begin none."""

    def __init__(self, sure: float, kept: float = KEPT_SECONDS):
        self.sure, self.kept = sure, kept
        self.tracks: list[Track] = []

    def follow(self, objects: Sequence[Object], time: float) -> list[tuple[Object, Track]]:
        """The objects of the frame at ``time`` in seconds that belong to a track."""
        self.tracks = [track for track in self.tracks if time - track.time <= self.kept]
        owners: dict[int, Track] = {}
        free = list(self.tracks)
        for level in (True, False):
            wanted = [n for n, one in enumerate(objects) if (one.score >= self.sure) == level]
            for track, n in _pairs(free, objects, wanted, time):
                owners[n] = track
                track.meet(objects[n], time)
                free.remove(track)
        for n, one in enumerate(objects):
            if n not in owners and one.score >= self.sure:
                owners[n] = Track(np.array(one.box), one.label, time, np.zeros(2))
                self.tracks.append(owners[n])
        return [(objects[n], track) for n, track in sorted(owners.items())]


class Numbers:
    """Tracks get numbers from 1 in the order of their first sight, without gaps; those seen less
    than ``min_hits`` times get none, so that single false boxes make no tracks."""

    def __init__(self, min_hits: int):
        self.min_hits = min_hits
        self.given: dict[Track, int] = {}

    def number(self, seen: Sequence[tuple[Object, Track]]) -> tuple[Object, ...]:
        known = [(one, track) for one, track in seen if track.hits >= self.min_hits]
        return tuple(
            replace(one, track=self.given.setdefault(track, len(self.given) + 1))
            for one, track in known
        )


def _pairs(
    tracks: Sequence[Track], objects: Sequence[Object], wanted: Sequence[int], time: float
) -> list[tuple[Track, int]]:
    """Tracks and numbers of objects that belong together, the likeliest first."""
    ranked = sorted(
        (
            (likeness, at, n)
            for at, track in enumerate(tracks)
            for n in wanted
            if (likeness := _alike(track, objects[n], time)) >= MIN_ALIKE
        ),
        key=lambda row: -row[0],
    )
    pairs, used, given = [], set(), set()
    for _, at, n in ranked:
        if at not in used and n not in given:
            used.add(at)
            given.add(n)
            pairs.append((tracks[at], n))
    return pairs


def _alike(track: Track, one: Object, time: float) -> float:
    """1 for the expected box; down to 0 by overlap, and by distance where there is none."""
    box, other = track.expected(time), np.array(one.box)
    low = np.maximum(box[:2], other[:2])
    high = np.minimum(box[:2] + box[2:], other[:2] + other[2:])
    shared = float((high - low).clip(0).prod())
    overlap = shared / max(float(box[2:].prod() + other[2:].prod()) - shared, 1e-9)
    diagonal = max(float(np.linalg.norm(box[2:])), 1e-9)
    off = float(np.linalg.norm(_centre(other) - _centre(box))) / (NEAR * diagonal)
    size = float(np.linalg.norm(other[2:])) / diagonal
    near = 0.5 * max(0.0, 1 - off) * min(size, 1 / max(size, 1e-9))
    likeness = max(overlap, near)
    return likeness if one.label == track.label else OTHER_LABEL * likeness


def _centre(box: np.ndarray) -> np.ndarray:
    return box[:2] + box[2:] / 2
