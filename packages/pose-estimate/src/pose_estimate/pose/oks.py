"""How alike two poses are, and how good found ones are: OKS, its suppression, PCK and PCKh."""

from collections.abc import Sequence

import numpy as np

MAX_DETECTIONS = 20
HEAD_SHARE = 0.6  # of the head box's diagonal, which MPII calls the head's size


def oks(one: np.ndarray, others: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Object keypoint similarity of a pose (K, 2) with each of ``others`` (n, K, 2), 0..1, over all
    joints; ``areas`` (n,) in pixels scale the distances."""
    variances = (2 * sigmas) ** 2
    distances = ((others[..., :2] - one[None, :, :2]) ** 2).sum(axis=2)
    errors = distances / variances / (np.asarray(areas)[:, None] + np.spacing(1)) / 2
    return np.exp(-errors).mean(axis=1)


def oks_matrix(joints: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """The similarity (n, n) of each pose (n, K, 2 or 3) with each, over the mean of their areas."""
    areas = np.asarray(areas, np.float64)
    rows = [
        oks(one, joints, (area + areas) / 2, sigmas)
        for one, area in zip(joints.astype(np.float64), areas, strict=True)
    ]
    return np.array(rows).reshape(len(joints), len(joints))


def oks_nms(similar: np.ndarray, scores: np.ndarray, max_similarity: float) -> np.ndarray:
    """The numbers of the poses that stay, best first: each drops those that are more alike to it
    than ``max_similarity`` (n, n) and score less."""
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[similar[best, left] <= max_similarity]
    return np.array(kept, np.int64)


def soft_oks_nms(
    similar: np.ndarray,
    scores: np.ndarray,
    max_similarity: float,
    max_detections: int = MAX_DETECTIONS,
) -> np.ndarray:
    """The order of the poses when likeness to a better one lowers a score in place of ending it."""
    left, now = np.argsort(-scores, kind="stable"), np.sort(scores)[::-1].astype(np.float64)
    kept = []
    while len(left) and len(kept) < max_detections:
        best, left, now = left[0], left[1:], now[1:]
        kept.append(best)
        now = now * np.exp(-(similar[best, left] ** 2) / max_similarity)
        order = np.argsort(-now, kind="stable")
        left, now = left[order], now[order]
    return np.array(kept, np.int64)


def relative_errors(
    found: np.ndarray, known: np.ndarray, labelled: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Distances (n, K) of joints (n, K, 2) in units of ``sizes`` (n,) or (n, 2); NaN where a joint
    is not labelled or its person has no size."""
    sizes = np.broadcast_to(np.reshape(sizes, (len(found), -1)), (len(found), 2)).astype(float)
    usable = labelled & np.all(sizes > 0, axis=1, keepdims=True)
    errors = np.linalg.norm((found - known) / np.where(sizes > 0, sizes, 1)[:, None], axis=2)
    return np.where(usable, errors, np.nan)


def pck(
    found: np.ndarray, known: np.ndarray, labelled: np.ndarray, sizes: np.ndarray, limit: float
) -> tuple[np.ndarray, float]:
    """The share of right joints, those off by less than ``limit`` sizes: for each joint (-1 where
    none is labelled), and the mean over joints."""
    errors = relative_errors(found, known, labelled, sizes)
    counts = np.isfinite(errors).sum(axis=0)
    right = (np.nan_to_num(errors, nan=np.inf) < limit).sum(axis=0)
    shares = np.where(counts > 0, right / np.maximum(counts, 1), -1.0)
    return shares, float(shares[shares >= 0].mean()) if (shares >= 0).any() else 0.0


def pckh(
    found: np.ndarray,
    known: np.ndarray,
    labelled: np.ndarray,
    head_boxes: np.ndarray,
    left_out: Sequence[int],
    limit: float = 0.5,
) -> tuple[np.ndarray, float]:
    """MPII's measure, in percent: PCK in sizes of the head, whose boxes are (n, 4) as two corners;
    the mean is over joints, in proportion to how often each is labelled, without those of
    ``left_out`` (pelvis and thorax)."""
    sizes = HEAD_SHARE * np.linalg.norm(head_boxes[:, 2:] - head_boxes[:, :2], axis=1)
    shares, _ = pck(found, known, labelled, sizes, limit)
    weights = labelled.sum(axis=0).astype(float)
    weights[list(left_out)] = 0
    mean = (np.maximum(shares, 0) * weights).sum() / max(weights.sum(), 1)
    return 100 * shares, float(100 * mean)
