"""Boxes of whatever a detector found, (n, 4) as left, top, right, bottom in pixels."""

import numpy as np


def nms(boxes: np.ndarray, scores: np.ndarray, max_overlap: float) -> np.ndarray:
    """Non-maximum suppression: the numbers of the boxes that stay, int64, best first.

    Of boxes (n, 4) with ``scores`` (n,), each is dropped that overlaps one that stays and scores
    higher by an IoU of more than ``max_overlap``. Of equal scores the first box counts as higher.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(
            boxes[best, :2], boxes[left, :2]
        )
        shared = sides.clip(0).prod(axis=1)
        union = areas[best] + areas[left] - shared
        # As a product: a box without an area overlaps nothing, and nothing is divided by zero.
        left = left[shared <= max_overlap * union]
    return np.array(kept, dtype=np.int64)
