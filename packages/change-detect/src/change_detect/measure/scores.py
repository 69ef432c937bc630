"""Counts of right and wrong pixels and objects, and the figures that follow from them."""

from dataclasses import dataclass

import numpy as np

from change_detect.objects import connected

BINS = 200  # of the probability, for the curve over thresholds
MIN_PIXELS = 20  # of an object that is counted
MIN_OVERLAP = 0.5  # of an object's pixels that must be found (of a found one's: be changed)


@dataclass(frozen=True)
class Confusion:
    """Pixels: changed and called so (``tp``), called but not changed (``fp``), missed (``fn``), and
    neither (``tn``)."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(
        cls, found: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None
    ) -> "Confusion":
        """From two boolean maps of one shape; pixels that are not ``valid`` are left out."""
        if valid is not None:
            found, truth = found[valid], truth[valid]
        tp = int(np.count_nonzero(found & truth))
        fp, fn = int(np.count_nonzero(found)) - tp, int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, found.size - tp - fp - fn)

    def __add__(self, other: "Confusion") -> "Confusion":
        pairs = ((self.tp, other.tp), (self.fp, other.fp), (self.fn, other.fn), (self.tn, other.tn))
        return Confusion(*(one + more for one, more in pairs))

    @property
    def f1(self) -> float:
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        return _share(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        return _share(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        return _share(self.tp, self.tp + self.fn)

    @property
    def accuracy(self) -> float:
        return _share(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def kappa(self) -> float:
        """Cohen's."""
        total = self.tp + self.fp + self.fn + self.tn
        found, truth = self.tp + self.fp, self.tp + self.fn
        chance = found * truth + (total - found) * (total - truth)
        return _share((self.tp + self.tn) * total - chance, total**2 - chance)

    def to_dict(self) -> dict[str, float]:
        names = ("f1", "iou", "precision", "recall", "accuracy", "kappa")
        return {name: getattr(self, name) for name in names}


def _share(part: float, whole: float) -> float:
    """Nothing of nothing is 0, as a class that is neither there nor found is not found."""
    return part / whole if whole else 0.0


class Curve:
    """Pixels by their probability, so that every threshold can be asked afterwards."""

    def __init__(self):
        self.changed, self.unchanged = np.zeros(BINS, np.int64), np.zeros(BINS, np.int64)

    def add(self, probability: np.ndarray, truth: np.ndarray) -> None:
        """Probabilities in 0..1 and the boolean truth, of one shape."""
        bins = np.clip((probability * BINS).astype(np.int64), 0, BINS - 1)
        self.changed += np.bincount(bins[truth], minlength=BINS)
        self.unchanged += np.bincount(bins[~truth], minlength=BINS)

    def at(self, number: int) -> Confusion:
        """The counts where all from bin ``number`` on are called changed."""
        tp, fp = int(self.changed[number:].sum()), int(self.unchanged[number:].sum())
        fn, tn = int(self.changed[:number].sum()), int(self.unchanged[:number].sum())
        return Confusion(tp, fp, fn, tn)

    def best(self) -> tuple[float, float]:
        """The threshold with the best F1, and that F1; the middle of a plateau."""
        scores = np.array([self.at(number).f1 for number in range(BINS)])
        near = np.flatnonzero(scores >= scores.max() - 1e-3)
        return float(np.median(near)) / BINS, float(scores.max())


def object_counts(found: np.ndarray, truth: np.ndarray) -> Confusion:
    """Objects (8-connected, at least ``MIN_PIXELS``) instead of pixels.

    A true one counts as found where ``MIN_OVERLAP`` of its pixels were called changed; a called one
    as wrong where less than that share of it is changed. ``tp`` are true objects; ``tn`` is 0.
    """
    hit, all_true = _covered(truth, found)
    right, all_found = _covered(found, truth)
    return Confusion(hit, all_found - right, all_true - hit, 0)


def _covered(objects: np.ndarray, by: np.ndarray) -> tuple[int, int]:
    """How many objects are covered, and how many there are."""
    labels, count = connected(objects)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    covered = np.bincount(labels[by], minlength=count + 1)[1:]
    large = sizes >= MIN_PIXELS
    return int(np.count_nonzero(covered[large] >= MIN_OVERLAP * sizes[large])), int(large.sum())
