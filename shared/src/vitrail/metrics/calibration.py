"""Making a network's confidence mean what it says."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from vitrail.errors import InputError

COLDEST, HOTTEST = 0.01, 100.0


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature T in 0.01..100 for which ``logits / T`` makes ``labels`` likeliest; fit it on
    validation data.

    ``logits`` (n, classes), or (n,) for the logit of class 1 of two; ``labels`` (n,) class numbers.
    InputError where they do not go together. Source: Guo et al., "On Calibration of Modern Neural
    Networks", 2017, section 4.2.
    """
    logits, labels = np.asarray(logits, dtype=float), np.asarray(labels)
    if logits.ndim == 1:
        logits = np.stack([np.zeros_like(logits), logits], axis=1)
    if labels.shape != logits.shape[:1] or labels.size == 0 or not np.isfinite(logits).all():
        raise InputError(
            "logits", f"finite values of shape {logits.shape} do not go with labels {labels.shape}"
        )
    if not np.isin(labels, np.arange(logits.shape[1])).all():
        raise InputError("labels", f"must be class numbers from 0 to {logits.shape[1] - 1}")
    picked = (np.arange(labels.size), labels.astype(int))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[picked].mean()

    bounds = (np.log(COLDEST), np.log(HOTTEST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(best.x))  # pyright: ignore[reportAttributeAccessIssue] - SciPy is untyped
