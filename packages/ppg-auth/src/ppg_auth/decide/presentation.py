"""Signs that a capture does not come from a live finger now (presentation attack detection, ISO/IEC
30107-3), or was shown before, also when it was cut or filtered anew.

A pulse is weak evidence of life: a good recording of the right finger, shown to the sensor for the
first time, passes.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.beats import systolic_peaks, unit_rows
from ppg_auth.signal.conditioning import PULSE_BAND
from ppg_auth.signal.filters import periodogram, resample
from ppg_auth.store.template import BITS, DIM, cosine, expand_key, protect

if TYPE_CHECKING:
    from ppg_auth.result import Capture

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
    rows = resample(np.array([pulse[start : start + length] for start in starts]), DIM)
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


SIGNS = {
    "static": "brightness hardly changes: a still image",
    "flicker": "a sine without overtones: a lamp",
    "synthetic": "beats as regular as no heart's",
    "even_amplitude": "beats of one height",
    "looped": "a stretch that repeats itself",
    "turned": "upside down or backwards against the enrolled captures",
    "replay": "a capture that was shown before",
}
MIN_CHANGE = 0.0005  # of the brightness
# Power at twice the pulse's frequency, against that at the frequency; living ones had 0.05
MIN_OVERTONE = 0.02
MIN_JITTER = 0.005  # seconds; living ones had 0.006
MIN_UNEVENNESS = 0.014  # quartile range of the heights over their median; living ones had 0.0142
LOOP = 0.9995  # median correlation of a stretch with its nearest other; living ones had 0.997


def attack_signs(capture: "Capture") -> tuple[str, ...]:
    """The codes of ``SIGNS`` that the capture shows by itself; none for a live finger."""
    raw, pulse, rate = capture.raw, capture.pulse, capture.sample_rate
    peaks = systolic_peaks(pulse, rate)
    if len(peaks) < 4:
        return ()  # nothing to be judged, nor to be accepted
    moments, heights = _between_samples(pulse, peaks)
    swings = heights[:-1] - [pulse[start:stop].min() for start, stop in pairwise(peaks)]
    found = {
        "static": np.median(swings) < MIN_CHANGE * abs(raw.mean()),
        "flicker": _overtone(pulse, rate) < MIN_OVERTONE,
        "synthetic": np.diff(moments).std() / rate < MIN_JITTER,
        "even_amplitude": np.subtract(*np.quantile(swings, (0.75, 0.25)))
        < MIN_UNEVENNESS * np.median(swings),
        "looped": _repetition(pulse, rate) > LOOP,
    }
    return tuple(sign for sign, shown in found.items() if shown)


def polarity(capture: "Capture") -> int:
    """1 where the sensor's value rises at systole, -1 where it falls: one and the same for all
    captures of a device.

    A pulse played backwards or turned over has its steep flank the other way, which shows as the
    other polarity.
    """
    return 1 if np.dot(np.diff(capture.raw), np.diff(capture.pulse)) >= 0 else -1


def _between_samples(pulse: NDArray, peaks: NDArray) -> tuple[NDArray, NDArray]:
    """The peaks' places in samples and their heights, by a parabola through three samples."""
    left, top, right = pulse[peaks - 1], pulse[peaks], pulse[peaks + 1]
    shift = 0.5 * (left - right) / (left - 2 * top + right)
    return peaks + shift, top - 0.25 * (left - right) * shift


def _overtone(pulse: NDArray, rate: float) -> float:
    """Power within 0.1 Hz of twice the pulse's frequency, as a share of that near the frequency
    itself."""
    frequency, power = periodogram(pulse, rate, 8 * len(pulse))
    inside = (frequency >= PULSE_BAND[0]) & (frequency <= PULSE_BAND[1])
    beat = frequency[inside][power[inside].argmax()]
    first, second = (power[np.abs(frequency - number * beat) < 0.1].sum() for number in (1, 2))
    return float(second / first) if first > 0 else 0.0


def _repetition(pulse: NDArray, rate: float) -> float:
    """The median over stretches of 8 s of the correlation with the most similar other one; 0 where
    there is but one."""
    rows = stretches(pulse, rate)
    if len(rows) < 2:
        return 0.0
    likeness = rows @ rows.T
    np.fill_diagonal(likeness, -1)
    return float(np.median(likeness.max(axis=1)))
