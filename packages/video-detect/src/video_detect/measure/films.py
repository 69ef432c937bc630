"""Films with one annotated object: how much of it is found, named and held."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from video_detect.classes import NAMES
from video_detect.data.clips import blurred
from video_detect.data.pictures import Picture, load
from video_detect.measure.precision import ious
from video_detect.result import FrameRow

BEST = 10  # boxes of a frame that count for recall
FOUND = 0.5  # IoU
BLUR_EVERY, BLUR_PIXELS = 5, 25
BLACK = 3  # frames in the middle of the film


@dataclass(frozen=True)
class Film:
    """Frames uint8 (H, W, 3) with the true box (4,) of each as corners; ``spoilt`` frames."""

    name: str
    label: str
    images: list[np.ndarray]
    boxes: np.ndarray
    spoilt: np.ndarray

    @classmethod
    def of(cls, name: str, frames: Sequence[Picture]) -> "Film":
        images = [load(frame.path) for frame in frames]
        boxes = np.stack([frame.boxes[0] for frame in frames])
        return cls(name, NAMES[frames[0].labels[0]], images, boxes, np.zeros(len(frames), bool))

    def worn(self) -> "Film":
        """Every fifth frame blurred by a movement of 25 pixels, three frames in the middle black;
        ``spoilt`` are the blurred ones."""
        images, spoilt = list(self.images), np.zeros(len(self.images), bool)
        for number in range(BLUR_EVERY - 1, len(images), BLUR_EVERY):
            images[number] = blurred(images[number], BLUR_PIXELS, 0.0)
            spoilt[number] = True
        middle = len(images) // 2
        for number in range(middle, min(middle + BLACK, len(images))):
            images[number] = np.zeros_like(images[number])
            spoilt[number] = False
        return Film(self.name, self.label, images, self.boxes, spoilt)


def recall(film: Film, rows: Sequence[FrameRow], which: np.ndarray | None = None) -> float:
    """The share of frames in which one of the ten best boxes meets the object."""
    best = best_ious(film, rows)
    chosen = best if which is None else best[which]
    return float((chosen >= FOUND).mean()) if len(chosen) else float("nan")


def best_ious(film: Film, rows: Sequence[FrameRow]) -> np.ndarray:
    """(frames,) the greatest IoU among each frame's ten best boxes; 0 where there is none."""
    return np.array([max([*_ious(row, box, BEST), 0.0])
                     for row, box in zip(rows, film.boxes, strict=True)])  # fmt: skip


def label_right(film: Film, rows: Sequence[FrameRow]) -> float:
    """Of the frames in which the object was met, the share in which the box that scores best among
    those that meet it bears its name; NaN where it never was."""
    right = []
    for row, box in zip(rows, film.boxes, strict=True):
        met = [one for one, value in zip(_sorted(row), _ious(row, box, BEST), strict=False)
               if value >= FOUND]  # fmt: skip
        if met:
            right.append(met[0].label == film.label)
    return fmean(right) if right else float("nan")


@dataclass(frozen=True)
class Held:
    """``share`` of the frames in which one and the same id meets the object, how often the id
    ``changes``, and lost frames between two found ones (``dropouts``)."""

    share: float
    changes: int
    dropouts: int


def held(film: Film, rows: Sequence[FrameRow]) -> Held:
    ids: list[int | None] = []
    for row, box in zip(rows, film.boxes, strict=True):
        values = _ious(row, box, len(row.objects))
        met = int(np.argmax(values)) if len(values) and max(values) >= FOUND else None
        ids.append(None if met is None else _sorted(row)[met].track)
    seen = [number for number in ids if number is not None]
    if not seen:
        return Held(0.0, 0, 0)
    first = next(n for n, one in enumerate(ids) if one is not None)
    last = max(n for n, one in enumerate(ids) if one is not None)
    changes = sum(a != b for a, b in itertools.pairwise(seen))
    lost = sum(one is None for one in ids[first:last])
    return Held(Counter(seen).most_common(1)[0][1] / len(ids), changes, lost)


def _sorted(row: FrameRow) -> list:
    return sorted(row.objects, key=lambda one: -one.score)


def _ious(row: FrameRow, box: np.ndarray, limit: int) -> list[float]:
    """Of the best boxes, best first."""
    boxes = np.array([one.box for one in _sorted(row)[:limit]], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return ious(boxes, box[None].astype(float))[:, 0].tolist()
