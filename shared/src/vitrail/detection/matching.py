"""How well found things agree with known ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

MIN_IOU = 0.5


class Detection(Protocol):
    """A box (x0, y0, x1, y1) in pixels with a score, and landmarks (L, 2), which may be none."""

    @property
    def box(self) -> tuple[float, float, float, float]: ...
    @property
    def score(self) -> float: ...
    @property
    def landmarks(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Matches:
    """What was found in many images, each with its score, whether it is a known thing, and where it
    is one, the mean distance of its landmarks over that of the first two (NaN where either is not
    known); ``known`` counts the things that were there to be found."""

    scores: np.ndarray
    hits: np.ndarray
    landmark_errors: np.ndarray
    known: int

    def recall(self, min_score: float = 0.0) -> float:
        return float(self.hits[self.scores >= min_score].sum() / max(self.known, 1))

    def precision(self, min_score: float = 0.0) -> float:
        """1 where nothing was found: nothing found wrongly."""
        found = self.hits[self.scores >= min_score]
        return float(found.mean()) if len(found) else 1.0

    def average_precision(self) -> float:
        """The mean precision over all known things, taken at the score of each; one that was not
        found counts 0."""
        hits = self.hits[np.argsort(-self.scores, kind="stable")]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        return float(precision[hits].sum() / max(self.known, 1))

    def recall_at(self, precision: float) -> float:
        """The largest recall at any score from which the precision is at least ``precision``."""
        hits = self.hits[np.argsort(-self.scores, kind="stable")]
        good = np.cumsum(hits) / np.arange(1, len(hits) + 1) >= precision
        return float(np.cumsum(hits)[good].max(initial=0) / max(self.known, 1))

    def landmark_error(self, min_score: float = 0.0) -> float:
        """The mean over found things, in distances of the first two landmarks; NaN without any."""
        errors = self.landmark_errors[
            np.isfinite(self.landmark_errors) & (self.scores >= min_score)
        ]
        return float(errors.mean()) if len(errors) else float("nan")


def match(
    found: Sequence[Detection], boxes: np.ndarray, landmarks: np.ndarray, unsure: np.ndarray
) -> Matches:
    """Gives each found thing, best first, the free known box (n, 4) of the largest IoU if it is at
    least 0.5.

    A found thing that lies over an ``unsure`` box (m, 4) instead is left out.
    """
    free = np.ones(len(boxes), bool)
    rows = []
    for one in sorted(found, key=lambda one: -one.score):
        overlap = np.where(free, iou(one.box, boxes), 0)
        best = int(overlap.argmax()) if len(boxes) else -1
        if best >= 0 and overlap[best] >= MIN_IOU:
            free[best] = False
            rows.append((one.score, True, _landmark_error(one.landmarks, landmarks[best])))
        elif not (iou(one.box, unsure) >= MIN_IOU / 2).any():
            rows.append((one.score, False, np.nan))
    scores, hits, errors = np.array(rows, float).reshape(-1, 3).T
    return Matches(scores, hits.astype(bool), errors, len(boxes))


def merge(parts: Iterable[Matches]) -> Matches:
    """The matches of several images as one."""
    parts = list(parts)
    return Matches(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.hits for part in parts]),
        np.concatenate([part.landmark_errors for part in parts]),
        sum(part.known for part in parts),
    )


def iou(box: Sequence[float], boxes: np.ndarray) -> np.ndarray:
    """The intersection over union of one box with each of ``boxes`` (n, 4)."""
    low, high = np.asarray(box[:2]), np.asarray(box[2:])
    sides = np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    union = (high - low).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return shared / np.maximum(union, 1e-9)


def _landmark_error(found: np.ndarray, known: np.ndarray) -> float:
    if len(known) < 2:
        return float("nan")
    unit = np.linalg.norm(known[0] - known[1])
    return float(np.linalg.norm(found - known, axis=1).mean() / max(unit, 1e-6))
