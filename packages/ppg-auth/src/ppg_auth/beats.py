"""Single heart beats in a clean pulse wave."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

BEAT_POINTS = 64
BEFORE_PEAK = 0.35  # of a beat
SHORTEST_BEAT = 60 / 180  # seconds


def systolic_peaks(pulse: NDArray, rate: float) -> NDArray[np.intp]:
    """The samples at which beats peak; notches and small waves between beats are passed over."""
    if len(pulse) < 3:
        return np.empty(0, np.intp)
    spread = np.subtract(*np.quantile(pulse, (0.95, 0.05)))
    if spread <= 0:
        return np.empty(0, np.intp)
    return find_peaks(pulse, distance=max(1, int(SHORTEST_BEAT * rate)), prominence=0.4 * spread)[0]


def cut_beats(pulse: NDArray, peaks: NDArray, points: int = BEAT_POINTS) -> NDArray:
    """Beats (k, points) of one length, each of mean 0 and norm 1, with the peak at 35 %.

    Each runs over the interval to the next peak, shifted forward; beats that leave the signal are left out.
    """
    intervals = np.diff(peaks)
    starts = peaks[:-1] - BEFORE_PEAK * intervals
    inside = (starts >= 0) & (starts + intervals <= len(pulse) - 1)
    grid = starts[inside, None] + intervals[inside, None] * np.linspace(0, 1, points)
    beats = np.interp(grid, np.arange(len(pulse)), pulse) if len(grid) else np.empty((0, points))
    return unit_rows(beats - beats.mean(axis=1, keepdims=True))


def mean_beat(beats: NDArray) -> NDArray:
    """The mean of the beats (k, points) that resemble their median most (the better half), of norm 1."""
    likeness = beats @ np.median(beats, axis=0)
    return unit_rows(beats[likeness >= np.median(likeness)].mean(axis=0, keepdims=True))[0]


def unit_rows(rows: NDArray) -> NDArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.finfo(float).tiny)
