"""The score of an attempt: how near it comes to the nearest placement, counted in what wrong people
usually reach."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

FMR = 0.05  # of wrong people, how many a usual threshold is meant to let through
# How much wider new people's scores spread than those of a few validation people (decision 0012)
SPREAD = 1.4
LARGEST_COSINE = 0.9999  # of protected templates, which are bits, a cosine may be 1


@dataclass(frozen=True)
class Impostors:
    """Mean and standard deviation of the Fisher-transformed cosines that development people have
    with each other."""

    mean: float
    deviation: float

    def normalise(self, cosine: NDArray | float) -> NDArray:
        """How many standard deviations above wrong people's mean."""
        return (fisher(cosine) - self.mean) / self.deviation

    def unnormalised(self, score: float) -> float:
        """The Fisher-transformed cosine behind a normalised score."""
        return self.mean + score * self.deviation


def threshold(rate: float) -> float:
    """The normalised score that a share ``rate`` of wrong people reach, taking their scores to be
    normal."""
    return SPREAD * NormalDist().inv_cdf(1 - rate)


def fisher(cosine: NDArray | float) -> NDArray:
    """Fisher's transform of correlations: near 1 it tells apart what cosines crowd together."""
    return np.arctanh(np.clip(cosine, -LARGEST_COSINE, LARGEST_COSINE))


def placement_mean(embeddings: NDArray) -> NDArray:
    """The unit vector (128,) in the direction of the mean of one placement's, or an attempt's,
    windows (n, 128)."""
    mean = embeddings.mean(axis=0)
    return mean / np.linalg.norm(mean)
