"""How well scores tell two classes apart, as biometrics reports it: equal error rate and DET
curve."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.metrics import roc_curve

from vitrail.errors import InputError


class EqualError(NamedTuple):
    """The equal error rate in 0..1, and the score at which both errors have it."""

    rate: float
    threshold: float


def eer(scores: ArrayLike, labels: ArrayLike) -> EqualError:
    """The error at the threshold where as many negatives are accepted as positives are rejected.

    ``scores`` (n,): higher means positive; ``labels`` (n,) of 0 and 1, both present (InputError
    otherwise). Between two thresholds the ROC curve is a straight line.
    """
    accepted, rejected, thresholds = _errors(scores, labels)
    gap = rejected - accepted
    after = int(np.argmax(gap <= 0))
    before = after - 1
    part = gap[before] / (gap[before] - gap[after])
    # The curve's first threshold is infinite: nothing is accepted there.
    start = thresholds[before] if np.isfinite(thresholds[before]) else thresholds[after]
    rate = accepted[before] + part * (accepted[after] - accepted[before])
    return EqualError(float(rate), float(start + part * (thresholds[after] - start)))


def det_points(
    scores: ArrayLike, labels: ArrayLike, limit: float = 1e-4
) -> tuple[NDArray, NDArray]:
    """False acceptances and false rejections along all thresholds on the DET curve's normal deviate
    scale.

    Both (k,), the first rising, the second falling; rates are cut at ``limit`` and 1 - ``limit``.
    Scores and labels are those of ``eer``. Source: Martin et al., "The DET curve in assessment of
    detection task performance", 1997.
    """
    accepted, rejected, _ = _errors(scores, labels)
    return norm.ppf(accepted.clip(limit, 1 - limit)), norm.ppf(rejected.clip(limit, 1 - limit))


def _errors(scores: ArrayLike, labels: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """The rates of false acceptance and false rejection, and their thresholds from the strictest
    on."""
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    if scores.shape != labels.shape or scores.ndim != 1:
        raise InputError("scores", f"shape {scores.shape} does not go with labels {labels.shape}")
    if not np.isfinite(scores).all():
        raise InputError("scores", "hold values that are no numbers")
    if set(np.unique(labels)) != {0, 1}:
        raise InputError("labels", "must be 0 and 1, with both present")
    accepted, found, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    return accepted, 1 - found, thresholds
