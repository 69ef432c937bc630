"""How much of the possible gain a quality reaches: errors of a matcher after the worst genuine
pairs are discarded."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from face_quality.edc import fixed_threshold, pair_quality
from face_quality.evaluation.matchers import similarities
from face_quality.evaluation.sets import TestSet
from vitrail.metrics.bootstrap import bootstrap_interval

SHARES = np.arange(0, 0.41, 0.05)


@dataclass(frozen=True)
class Matched:
    """The genuine pairs of a matcher: which it misses at a false match rate of ``fmr`` (its
    threshold comes from all impostor pairs and stays), their similarities, and whose they are."""

    missed: np.ndarray
    similarity: np.ndarray
    pairs: np.ndarray
    people: np.ndarray
    fmr: float

    @classmethod
    def of(cls, test: TestSet, vectors: np.ndarray, fmr: float) -> "Matched":
        genuine = similarities(vectors, test.genuine)
        threshold = fixed_threshold(similarities(vectors, test.impostors), fmr)
        people = test.people[test.genuine[:, 0]]
        return cls(genuine < threshold, genuine, test.genuine, people, fmr)

    def ratio(self, quality: np.ndarray) -> float:
        """The area ratio of qualities (n,) of the pictures."""
        return _ratio(self.missed, self._of_pairs(quality))

    def gain(self, quality: np.ndarray) -> float:
        """The share of the possible gain."""
        return _gain(self.missed, self._of_pairs(quality), self.similarity)

    def gain_interval(self, quality: np.ndarray) -> tuple[float, float]:
        """That share's 95 % interval, by person."""
        columns = (self.missed, self._of_pairs(quality), self.similarity)
        return bootstrap_interval(_gain, *columns, groups=self.people)

    def rates(self, quality: np.ndarray) -> np.ndarray:
        """FNMR after each of ``SHARES``."""
        return _rates(self.missed, self._of_pairs(quality))

    @property
    def best_ratio(self) -> float:
        return _ratio(self.missed, self.similarity)

    def _of_pairs(self, quality: np.ndarray) -> np.ndarray:
        return pair_quality(quality[self.pairs[:, 0]], quality[self.pairs[:, 1]])


def _rates(missed: np.ndarray, quality: np.ndarray) -> np.ndarray:
    ordered = missed[np.argsort(quality, kind="stable")]
    return np.array([ordered[int(share * len(ordered)) :].mean() for share in SHARES])


def _ratio(missed: np.ndarray, quality: np.ndarray) -> float:
    rates = _rates(missed, quality)
    return float(rates.mean() / rates[0]) if rates[0] else np.nan


def _gain(missed: np.ndarray, quality: np.ndarray, similarity: np.ndarray) -> float:
    possible = 1 - _ratio(missed, similarity)
    return (1 - _ratio(missed, quality)) / possible if possible else np.nan


def utility(test: TestSet, vectors: np.ndarray) -> np.ndarray:
    """(n,): the mean similarity of a picture to the others of its person minus the highest to
    anybody else's."""
    squares = (vectors**2).sum(axis=1)
    gaps = squares[:, None] + squares[None] - 2 * vectors @ vectors.T
    likeness = -np.sqrt(np.maximum(gaps, 0))
    same = test.people[:, None] == test.people[None]
    own = same & ~np.eye(len(same), dtype=bool)
    mean = np.where(own, likeness, 0).sum(axis=1) / np.maximum(own.sum(axis=1), 1)
    return mean - np.where(same, -np.inf, likeness).max(axis=1)


def utility_interval(test: TestSet, quality: np.ndarray, useful: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation, by person."""
    return bootstrap_interval(spearman, quality, useful, groups=test.people)


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    return float(spearmanr(one, other).statistic)  # pyright: ignore - SciPy is untyped
