"""How far a figure measured on few subjects can be trusted."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitrail.errors import InputError

RESAMPLES = 1000


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile bootstrap interval (low, high) of ``statistic(*arrays)`` at the confidence
    ``level`` in 0..1.

    ``arrays`` are (n, ...) with the same n. ``groups`` (n,) names each row's subject, video or
    recording: these are drawn with all their rows, since rows of one subject are not independent.
    Draws where the statistic is NaN (an AUC without a second class) are left out. Below some twenty
    groups the interval is too narrow. InputError when sizes differ or no draw gives a number.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13.
    """
    columns = [np.asarray(array) for array in arrays]
    names = np.arange(len(columns[0])) if groups is None else np.asarray(groups)
    lengths = [len(array) for array in (*columns, names)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise InputError("bootstrap", f"needs rows and arrays of one length, not {lengths}")
    rows = _rows_of_groups(names)
    draws = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    values = []
    for draw in draws:
        chosen = np.concatenate([rows[group] for group in draw])
        values.append(statistic(*(column[chosen] for column in columns)))
    if np.isnan(values).all():
        raise InputError(
            "bootstrap", "the statistic is undefined on every draw", "give more groups"
        )
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _rows_of_groups(groups: NDArray) -> list[NDArray]:
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.split(np.argsort(numbers, kind="stable"), np.cumsum(sizes)[:-1])
