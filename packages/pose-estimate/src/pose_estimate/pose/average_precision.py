"""COCO's average precision of keypoints, from OKS (Lin et al. 2014), as pycocotools computes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LIMITS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = 20
SIZES = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True, eq=False)
class Truth:
    """A labelled person: ``joints`` (K, 3) with the flag, ``box`` (x, y, width, height). Who has no
    joint labelled, or is a ``crowd``, is neither found nor missed."""

    joints: np.ndarray
    box: np.ndarray
    area: float
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Guess:
    """A found person: ``joints`` (K, 3), whose scores play no part, and the person's score."""

    joints: np.ndarray
    score: float


@dataclass(frozen=True)
class Precision:
    """Average precisions in 0..1; NaN where nobody is of that size."""

    ap: float
    ap50: float
    ap75: float
    medium: float
    large: float
    recall: float


def average_precision(
    truths: Mapping[object, Sequence[Truth]],
    guesses: Mapping[object, Sequence[Guess]],
    sigmas: np.ndarray,
) -> Precision:
    """``truths`` and ``guesses`` by image; images without guesses count, guesses for images without
    truths too if the image is among the keys of ``truths``."""
    tables = {}
    for name, limits in SIZES.items():
        parts = [
            _matched(of_image, guesses.get(image, ()), sigmas, limits)
            for image, of_image in truths.items()
        ]
        tables[name] = _curves(parts)
    precision, recall = tables["all"]
    return Precision(
        ap=_mean(precision),
        ap50=_mean(precision[:1]),
        ap75=_mean(precision[5:6]),
        medium=_mean(tables["medium"][0]),
        large=_mean(tables["large"][0]),
        recall=_mean(recall),
    )


def similarity(guess: np.ndarray, truth: Truth, sigmas: np.ndarray) -> float:
    """OKS of joints (K, 2 or 3) with a truth: over its labelled joints; without any, by how far
    the joints leave its box grown to three times its sides."""
    variances = (2 * sigmas) ** 2
    labelled = truth.joints[:, 2] > 0
    if labelled.any():
        off = guess[:, :2] - truth.joints[:, :2]
    else:
        x, y, width, height = truth.box
        low, high = np.array([x - width, y - height]), np.array([x + 2 * width, y + 2 * height])
        off = np.maximum(0, low - guess[:, :2]) + np.maximum(0, guess[:, :2] - high)
    errors = (off**2).sum(axis=1) / variances / (truth.area + np.spacing(1)) / 2
    return float(np.exp(-(errors[labelled] if labelled.any() else errors)).mean())


@dataclass(frozen=True, eq=False)
class _Matched:
    """Of one image: the guesses' scores (D,), at each limit whether each hit (T, D) and whether it
    counts; and how many people are there to be found."""

    scores: np.ndarray
    hits: np.ndarray
    ignored: np.ndarray
    known: int


def _matched(
    truths: Sequence[Truth],
    guesses: Sequence[Guess],
    sigmas: np.ndarray,
    limits: tuple[float, float],
) -> _Matched:
    low, high = limits
    order = np.argsort([-guess.score for guess in guesses], kind="stable")[:MAX_DETECTIONS]
    found = [guesses[number] for number in order]
    skipped = np.array(
        [t.crowd or not (t.joints[:, 2] > 0).any() or not low <= t.area <= high for t in truths],
        bool,
    )
    turn = np.argsort(skipped, kind="stable")  # those that count come first
    people, skipped = [truths[number] for number in turn], skipped[turn]
    alike = np.array([[similarity(g.joints, t, sigmas) for t in people] for g in found])
    alike = alike.reshape(len(found), len(people))
    hits = np.zeros((len(LIMITS), len(found)), bool)
    ignored = np.zeros_like(hits)
    for row, limit in enumerate(LIMITS):
        free = np.ones(len(people), bool)
        for number, guess in enumerate(found):
            best = _best(alike[number], free, skipped, people, limit)
            if best >= 0:
                free[best] = False
                hits[row, number], ignored[row, number] = not skipped[best], skipped[best]
            else:
                ignored[row, number] = not low <= _area(guess.joints) <= high
    scores = np.array([guess.score for guess in found])
    return _Matched(scores, hits, ignored, int((~skipped).sum()))


def _best(
    alike: np.ndarray,
    free: np.ndarray,
    skipped: np.ndarray,
    people: Sequence[Truth],
    limit: float,
) -> int:
    """The person that a guess is given: the most alike one that is free; one that does not count
    only where no other is alike enough; -1 for nobody. A crowd can be given to many."""
    best, highest = -1, min(limit, 1 - 1e-10)
    for number in range(len(people)):
        if not free[number] and not people[number].crowd:
            continue
        if best >= 0 and not skipped[best] and skipped[number]:
            break
        if alike[number] >= highest:
            best, highest = number, alike[number]
    return best


def _area(joints: np.ndarray) -> float:
    """Of the box around a guess's joints."""
    size = joints[:, :2].max(axis=0) - joints[:, :2].min(axis=0)
    return float(size.prod())


def _curves(parts: Sequence[_Matched]) -> tuple[np.ndarray, np.ndarray]:
    """Precision (T, 101) at fixed recalls and the final recall (T,); NaN where nobody is known."""
    known = sum(part.known for part in parts)
    if not known:
        return np.full((len(LIMITS), len(RECALLS)), np.nan), np.full(len(LIMITS), np.nan)
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([part.hits for part in parts], axis=1)[:, order]
    counts = ~np.concatenate([part.ignored for part in parts], axis=1)[:, order]
    precision, recall = np.zeros((len(LIMITS), len(RECALLS))), np.zeros(len(LIMITS))
    for row in range(len(LIMITS)):
        right = np.cumsum(hits[row] & counts[row])
        wrong = np.cumsum(~hits[row] & counts[row])
        reached = right / known
        exact = right / np.maximum(right + wrong, np.spacing(1))
        envelope = np.maximum.accumulate(exact[::-1])[::-1]
        places = np.searchsorted(reached, RECALLS, side="left")
        inside = places < len(envelope)
        precision[row, inside] = envelope[places[inside]]
        recall[row] = reached[-1] if len(reached) else 0.0
    return precision, recall


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size and not np.isnan(values).any() else float("nan")
