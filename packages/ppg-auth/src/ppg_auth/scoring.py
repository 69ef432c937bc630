"""The score of an attempt: the nearest placement, averaged over windows, then made comparable between people."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COHORT_TOP = 20
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the highest scores that one side of a comparison has against the cohort."""

    mean: float
    deviation: float

    @classmethod
    def of_template(cls, means: NDArray, cohort: NDArray) -> "Statistics":
        """Of a template's placement means (p, 128) against cohort people (c, 128), unit rows all."""
        return cls._of((cohort @ means.T).max(axis=1))

    @classmethod
    def of_attempt(cls, embeddings: NDArray, cohort: NDArray) -> "Statistics":
        """Of an attempt's windows (n, 128) against cohort people (c, 128), unit rows all."""
        return cls._of((embeddings @ cohort.T).mean(axis=0))

    @classmethod
    def _of(cls, scores: NDArray) -> "Statistics":
        top = np.sort(scores)[-COHORT_TOP:]
        return cls(float(top.mean()), max(float(top.std()), _LEAST_DEVIATION))


def placement_mean(embeddings: NDArray) -> NDArray:
    """The unit vector (128,) in the direction of the mean of one placement's windows (n, 128)."""
    mean = embeddings.mean(axis=0)
    return mean / np.linalg.norm(mean)


def attempt_score(similarities: NDArray) -> float:
    """The mean over windows of the similarity to the nearest placement, from (windows, placements)."""
    return float(similarities.max(axis=1).mean())


def as_norm(score: float, template: Statistics, attempt: Statistics) -> float:
    """The score in standard deviations above the impostors of either side.

    Source: Matejka et al., "Analysis of score normalization in multilingual speaker recognition", 2017 (AS-norm).
    """
    return 0.5 * ((score - template.mean) / template.deviation + (score - attempt.mean) / attempt.deviation)
