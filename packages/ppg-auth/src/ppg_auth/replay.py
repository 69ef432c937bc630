"""Telling a capture that was shown before, also when it was cut or filtered anew, without keeping
its signal."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample

from ppg_auth.beats import systolic_peaks, unit_rows
from ppg_auth.template import BITS, DIM, cosine, expand_key, protect

if TYPE_CHECKING:
    from ppg_auth.capture import Capture

SECONDS = 8.0  # about ten beats, whose intervals never come twice
SAME = 0.985  # estimated from bits; captures of one person reached 0.981, noisy copies stay above


def stretches(pulse: NDArray, rate: float) -> NDArray:
    """The stretches (n, 128) of ``SECONDS`` that begin at each beat, resampled, of mean 0 and norm
    1.

    They begin at beats so that a copy that was cut elsewhere gives the same ones.
    """
    length = round(SECONDS * rate)
    starts = [peak for peak in systolic_peaks(pulse, rate) if peak + length <= len(pulse)]
    if not starts:
        return np.empty((0, DIM))
    rows = resample(np.array([pulse[start : start + length] for start in starts]), DIM, axis=1)
    return unit_rows(rows - rows.mean(axis=1, keepdims=True))


def sketch(capture: "Capture", key: bytes) -> NDArray[np.uint8]:
    """The capture's stretches, protected (n, 64)."""
    rows = stretches(capture.pulse, capture.sample_rate)
    return protect(rows, expand_key(key)) if len(rows) else np.empty((0, BITS // 8), np.uint8)


def is_replay(new: NDArray[np.uint8], known: NDArray[np.uint8]) -> bool:
    """Whether most stretches of the new sketches (n, 64) have their like among the known ones (m,
    64)."""
    if len(new) == 0 or len(known) == 0:
        return False
    nearest = cosine(new[:, None], known[None]).max(axis=1)
    return bool(np.median(nearest) > SAME)
