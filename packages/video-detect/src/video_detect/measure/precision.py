"""Average precision as COCO has it, and with objects that are not judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

RECALLS = np.linspace(0, 1, 101)
IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True, eq=False)
class Judged:
    """One image: found ``boxes`` (n, 4) as corners, ``scores``, ``labels``; ``true_boxes`` (m, 4),
    ``true_labels``, and ``ignored`` (m,) where the truth is neither wanted nor wrong to find."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    true_boxes: np.ndarray
    true_labels: np.ndarray
    ignored: np.ndarray | None = None


def ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) of corner boxes."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    areas = [(part[:, 2:] - part[:, :2]).prod(-1) for part in (boxes, others)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def average_precision(
    images: Sequence[Judged], threshold: float = 0.5, *, by_class: bool = True, limit: int = 100
) -> float:
    """The mean over the classes that occur (or of all boxes as of one class); NaN without any."""
    if not by_class:
        return _precision(images, None, threshold, limit)
    classes = sorted({int(n) for image in images for n in _counted_labels(image)})
    values = [_precision(images, label, threshold, limit) for label in classes]
    return float(np.mean(values)) if values else float("nan")


def coco_ap(images: Sequence[Judged]) -> float:
    """Over the thresholds 0.5 to 0.95."""
    return float(np.mean([average_precision(images, threshold) for threshold in IOUS]))


def _counted_labels(image: Judged) -> np.ndarray:
    return image.true_labels if image.ignored is None else image.true_labels[~image.ignored]


def _precision(images: Sequence[Judged], label: int | None, threshold: float, limit: int) -> float:
    scores, hits, total = [], [], 0
    for image in images:
        own = np.ones(len(image.scores), bool) if label is None else image.labels == label
        true = np.ones(len(image.true_boxes), bool) if label is None else image.true_labels == label
        ignored = np.zeros(len(true), bool) if image.ignored is None else image.ignored
        ignored = ignored[true]
        total += int((~ignored).sum())
        order = np.argsort(-image.scores[own], kind="stable")[:limit]
        found = image.boxes[own][order]
        kinds = _match(ious(found, image.true_boxes[true]), ignored, threshold)
        judged = kinds >= 0
        scores.append(image.scores[own][order][judged])
        hits.append(kinds[judged])
    if not total:
        return float("nan")
    order = np.argsort(-np.concatenate(scores), kind="stable")
    hit = np.concatenate(hits)[order].astype(float)
    recall = hit.cumsum() / total
    precision = hit.cumsum() / np.arange(1, len(hit) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return fmean(float(envelope[n]) if n < len(envelope) else 0.0 for n in at.tolist())


def _match(overlaps: np.ndarray, ignored: np.ndarray, threshold: float) -> np.ndarray:
    """1 for a hit, 0 for a miss, -1 for what met an ignored object; the best boxes first, wanted
    objects before ignored ones."""
    kinds = np.zeros(len(overlaps), int)
    taken = np.zeros(overlaps.shape[1], bool)
    for number, row in enumerate(overlaps):
        free = np.where(taken | ignored, -1.0, row)
        best = int(free.argmax()) if len(free) else -1
        if best >= 0 and free[best] >= threshold:
            kinds[number] = 1
            taken[best] = True
        elif len(row) and np.where(ignored, row, -1.0).max() >= threshold:
            kinds[number] = -1
    return kinds
