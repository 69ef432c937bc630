"""Which method makes the map: by cross-validation over groups of neighbouring labels, which is as
near as a few labels come to a test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hsi_classify.fit.methods import Method, gather
from hsi_classify.scene.scene import Scene
from hsi_classify.scores import score

FOLDS = 3
NEIGHBOURS = 3  # pixels within which labels of a class belong to one group
MEAN = "mean"

Make = Callable[[], Method]


@dataclass(frozen=True)
class Choice:
    """The ``methods`` whose mean probability makes the map, of all that were ``fitted`` to every
    label. ``accuracy`` is each candidate's mean
    recall in the cross-validation, empty where there was none; ``reason`` says why in a
    sentence."""

    name: str
    methods: tuple[Method, ...]
    accuracy: Mapping[str, float]
    reason: str
    fitted: Mapping[str, Method]


def choose(
    scene: Scene, makers: Mapping[str, Make], pixels: np.ndarray, targets: np.ndarray
) -> Choice:
    """Fits what is needed of ``makers`` to the labelled ``pixels`` (N,) with targets 0..K-1.

    One maker is taken as it is. Of several, the best by cross-validation over groups makes the
    map; the mean of all is a candidate too, and wins where no single one is better than it by more
    than chance. Where a class has all its labels in one group nothing can be validated, and the
    mean is taken.
    """
    fitted = {name: make() for name, make in makers.items()}
    features = {name: gather(scene, method, pixels) for name, method in fitted.items()}
    for name, method in fitted.items():
        method.fit(features[name], targets)
    if len(fitted) == 1:
        name, method = next(iter(fitted.items()))
        return Choice(name, (method,), {}, "it was asked for", fitted)
    folds = folds_of(pixels, targets, scene.size)
    everything = tuple(fitted.values())
    if folds is None:
        reason = "all labels of a class lie together, so that no choice was possible"
        return Choice(MEAN, everything, {}, reason, fitted)
    votes = {
        name: _out_of_fold(make, features[name], targets, folds) for name, make in makers.items()
    }
    votes[MEAN] = np.mean(list(votes.values()), axis=0)
    right = {name: votes[name].argmax(1) == targets for name in votes}
    accuracy = {name: score(targets, votes[name].argmax(1)).aa for name in votes}
    best = max(makers, key=lambda name: accuracy[name])
    # Two standard errors of the difference on the same labels.
    difference = right[best].astype(float) - right[MEAN]
    chance = 2 * difference.std() / np.sqrt(len(targets))
    if difference.mean() > chance:
        reason = "it is best in cross-validation over groups of labels"
        return Choice(best, (fitted[best],), accuracy, reason, fitted)
    reason = "no single method is better by more than chance in cross-validation"
    return Choice(MEAN, everything, accuracy, reason, fitted)


def groups_of(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N,) a number for each pixel's group: those joined by steps of at most ``NEIGHBOURS``."""
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    places = np.stack(np.unravel_index(pixels, size), 1)
    near = KDTree(places).sparse_distance_matrix(
        KDTree(places), NEIGHBOURS, p=np.inf, output_type="coo_matrix"
    )
    near.data[:] = 1  # two pixels of distance 0 are one
    return connected_components(near + near.T, directed=False)[1]


def folds_of(pixels: np.ndarray, targets: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """(N,) the fold of each label, whole groups of a class together and all classes in each; None
    where a class has one group only."""
    folds = np.zeros(len(pixels), np.int64)
    fewest = FOLDS
    members: list[Sequence[np.ndarray]] = []
    for target in range(int(targets.max()) + 1):
        mine = np.flatnonzero(targets == target)
        groups = groups_of(pixels[mine], size)
        parts = [mine[groups == number] for number in range(groups.max() + 1)]
        fewest = min(fewest, len(parts))
        members.append(sorted(parts, key=len, reverse=True))
    if fewest < 2:
        return None
    for parts in members:
        filled = np.zeros(fewest, np.int64)
        for part in parts:  # the largest first, each into the emptiest fold
            fold = int(filled.argmin())
            folds[part] = fold
            filled[fold] += len(part)
    return folds


def _out_of_fold(
    make: Make, features: np.ndarray, targets: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """(N, K) probabilities of each label by a method that never saw its fold."""
    votes = np.zeros((len(targets), int(targets.max()) + 1))
    for fold in range(int(folds.max()) + 1):
        method, out = make(), folds == fold
        method.fit(features[~out], targets[~out])
        votes[out] = method.probabilities(features[out])
    return votes
