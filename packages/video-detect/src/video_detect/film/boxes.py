"""From the network's rows to boxes in pixels."""

from collections.abc import Sequence

import numpy as np

from video_detect.result import Object
from vitrail.preprocess.boxes import nms

MAX_OVERLAP = 0.6  # of two boxes of one frame: the second set of queries sees some things twice
MAX_OBJECTS = 100


def objects(
    logits: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    labels: Sequence[str],
    threshold: float,
) -> list[Object]:
    """Of one frame's ``logits`` (Q, classes) and ``boxes`` (Q, 4), centre and size in 0..1, what
    scores at least ``threshold``, best first, cut to the frame of ``size`` (width, height)."""
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    best = scores.argmax(1)
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    scale = np.array((*size, *size), np.float64)
    corners = np.concatenate((centre - half, centre + half), 1) * scale
    return likely_objects(
        corners, scores[np.arange(len(best)), best], best, size, labels, threshold
    )


def likely_objects(
    corners: np.ndarray,
    score: np.ndarray,
    best: np.ndarray,
    size: tuple[int, int],
    labels: Sequence[str],
    threshold: float,
) -> list[Object]:
    """As ``objects``, of ``corners`` (n, 4) in pixels with ``score`` and number of label."""
    corners = corners.clip(0, (*size, *size))
    likely = (score >= threshold) & ((corners[:, 2:] - corners[:, :2]).min(1) >= 1)
    corners, score, best = corners[likely], score[likely], best[likely]
    kept = nms(corners, score, MAX_OVERLAP)[:MAX_OBJECTS]
    return [
        Object(_placed(corners[n]), labels[int(best[n])], float(score[n])) for n in kept.tolist()
    ]


def _placed(corners: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in corners)
    return x0, y0, x1 - x0, y1 - y0
