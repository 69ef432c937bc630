"""How well a map agrees with labels: overall and average accuracy, kappa, and which class is taken
for which."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """``classes`` (K,) are those of labels and guesses, sorted; ``confusion`` (K, K) counts true
    classes in rows and guesses in columns."""

    classes: np.ndarray
    confusion: np.ndarray

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def oa(self) -> float:
        return float(np.trace(self.confusion) / self.count)

    @property
    def recall(self) -> np.ndarray:
        """(K,) of each class; NaN where no pixel has it."""
        return _shares(np.diag(self.confusion), self.totals)

    @property
    def precision(self) -> np.ndarray:
        return _shares(np.diag(self.confusion), self.confusion.sum(0))

    @property
    def totals(self) -> np.ndarray:
        return self.confusion.sum(1)

    @property
    def aa(self) -> float:
        """Mean recall of the classes that have pixels."""
        return float(np.nanmean(self.recall))

    @property
    def kappa(self) -> float:
        """Cohen's: agreement beyond chance."""
        chance = float((self.totals * self.confusion.sum(0)).sum() / self.count**2)
        return (self.oa - chance) / (1 - chance) if chance < 1 else 0.0


def score(truth: np.ndarray, guesses: np.ndarray) -> Score:
    """Of class ids (N,) each, N >= 1."""
    classes = np.union1d(truth, guesses)
    size = len(classes)
    rows, columns = np.searchsorted(classes, truth), np.searchsorted(classes, guesses)
    counts = np.bincount(rows * size + columns, minlength=size * size)
    return Score(classes, counts.reshape(size, size))


def _shares(parts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    return np.where(totals > 0, parts / np.maximum(totals, 1), np.nan)
