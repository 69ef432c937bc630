"""Oriented boxes on the ground: whether they touch."""

import numpy as np


def corners(boxes: np.ndarray) -> np.ndarray:
    """(N, 4, 2) of boxes (N, 5): x, y, yaw (radians), length, width."""
    x, y, yaw, length, width = np.asarray(boxes, float).reshape(-1, 5).T
    along = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) / 2
    return np.stack([x, y], axis=1)[:, None] + (
        signs[None, :, :1] * (along * length[:, None])[:, None]
        + signs[None, :, 1:] * (across * width[:, None])[:, None]
    )


def touching(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) whether each of ``others`` (N, 5) overlaps ``box`` (5,): no axis of either parts
    them."""
    others = np.asarray(others, float).reshape(-1, 5)
    if not len(others):
        return np.zeros(0, bool)
    mine, theirs = corners(box)[0], corners(others)
    apart = np.zeros(len(others), bool)
    angles = [np.full(len(others), box[2]), others[:, 2]]
    for yaw in (angles[0], angles[0] + np.pi / 2, angles[1], angles[1] + np.pi / 2):
        axis = np.stack([np.cos(yaw), np.sin(yaw)], axis=1)
        a = axis @ mine.T
        b = (theirs * axis[:, None]).sum(axis=2)
        apart |= (a.max(1) < b.min(1)) | (b.max(1) < a.min(1))
    return ~apart
