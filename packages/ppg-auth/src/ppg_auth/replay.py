"""Telling a capture that was shown before, also when it was cut or filtered anew, without keeping its signal."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, resample

from ppg_auth.template import BITS, DIM, cosine, expand_key, protect

if TYPE_CHECKING:
    from ppg_auth.capture import Capture

SECONDS = 8.0  # about ten beats, whose intervals never come twice
SAME = 0.995
_SHORTEST_BEAT = 0.33


def sketch(capture: "Capture", key: bytes) -> NDArray[np.uint8]:
    """Protected shapes (n, 64) of the stretches of ``SECONDS`` that begin at each beat of the pulse.

    They begin at beats so that a copy that was cut elsewhere gives the same ones.
    """
    rate, pulse = capture.sample_rate, capture.pulse
    length = round(SECONDS * rate)
    peaks, _ = find_peaks(pulse, distance=max(1, round(_SHORTEST_BEAT * rate)), height=np.std(pulse))
    stretches = [_unit(resample(pulse[peak : peak + length], DIM)) for peak in peaks if peak + length <= len(pulse)]
    if not stretches:
        return np.empty((0, BITS // 8), np.uint8)
    return protect(np.array(stretches), expand_key(key))


def is_replay(new: NDArray[np.uint8], known: NDArray[np.uint8]) -> bool:
    """Whether any stretch of the new sketches (n, 64) correlates with a known one (m, 64) by more than ``SAME``."""
    if len(new) == 0 or len(known) == 0:
        return False
    return bool(cosine(new[:, None], known[None]).max() > SAME)


def _unit(stretch: NDArray) -> NDArray:
    centred = stretch - stretch.mean()
    return centred / max(np.linalg.norm(centred), 1e-12)
