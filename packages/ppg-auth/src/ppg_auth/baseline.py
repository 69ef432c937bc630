"""The plain template matcher that a network must beat."""

import numpy as np
from numpy.typing import NDArray

from ppg_auth.beats import LEAST_BEATS, cut_beats, mean_beat, systolic_peaks
from ppg_auth.preprocess import SignalConfig, Windows

TEMPLATE = "mean-beat template"
TEMPLATE_SIGNAL = SignalConfig(band=(0.5, 8.0))


def mean_beat_of(windows: Windows) -> NDArray[np.float32]:
    """The mean beat (1, 64) of a whole capture, of norm 1, or nothing (0, 64): compared by
    cosine."""
    beats = cut_beats(windows.pulse, systolic_peaks(windows.pulse, windows.rate))
    if len(beats) < LEAST_BEATS:
        return np.empty((0, beats.shape[1]), np.float32)
    return mean_beat(beats)[None].astype(np.float32)
