"""Signs that a capture does not come from a live finger now (presentation attack detection, ISO/IEC
30107-3), or was shown before, also when it was cut or filtered anew.

A pulse is weak evidence of life: a good recording of the right finger, shown to the sensor for the
first time, passes.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.beats import systolic_peaks, unit_rows
from ppg_auth.signal.conditioning import PULSE_BAND
from ppg_auth.signal.filters import periodogram, resample
from ppg_auth.store.history import Sketch
from ppg_auth.store.template import BITS, DIM, cosine, expand_key, protect

if TYPE_CHECKING:
    from ppg_auth.result import Capture

SECONDS = 8.0  # about ten beats, whose intervals never come twice
SAME = 0.985  # estimated from bits; captures of one person reached 0.981, noisy copies stay above
SEQUENCE = 4  # beats
SAME_BEATS = 0.85  # of 210 later captures of the same recordings under 2 % reached it


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


def beat_sequences(pulse: NDArray, rate: float) -> NDArray:
    """How the beats of each ``SEQUENCE`` in a row differ from the capture's usual one (n, 128), of
    norm 1.

    Each runs from peak to peak in as many points, so that no change of the time base, even or slow,
    touches them; what the usual beat is made of (its level, slope, height and place) is taken out,
    so that only what this beat alone has is left: two captures of a person share little of it.
    """
    peaks = systolic_peaks(pulse, rate)
    if len(peaks) < SEQUENCE + 3:
        return np.empty((0, DIM))
    moments, _ = _between_samples(pulse, peaks)
    points = DIM // SEQUENCE
    phase = np.arange(points) / points
    grid = moments[:-1, None] + np.diff(moments)[:, None] * phase
    beats = np.interp(grid, np.arange(len(pulse)), pulse)
    usual = np.median(beats, axis=0)
    known = np.stack([np.ones(points), phase, usual, np.gradient(usual)], axis=1)
    own = unit_rows(beats - (known @ np.linalg.lstsq(known, beats.T, rcond=None)[0]).T)
    return unit_rows(np.lib.stride_tricks.sliding_window_view(own.ravel(), DIM)[::points])


def sketch(capture: "Capture", key: bytes) -> Sketch:
    """The capture's stretches and its sequences of beats, protected."""
    pulse, rate, projection = capture.pulse, capture.sample_rate, expand_key(key)
    none = np.empty((0, BITS // 8), np.uint8)
    kinds = (stretches(pulse, rate), beat_sequences(pulse, rate))
    return Sketch(*(protect(rows, projection) if len(rows) else none for rows in kinds))


def is_replay(new: Sketch, known: Sequence[Sketch]) -> bool:
    """Whether most stretches have their like among those of the known captures, or most sequences
    of beats among those of one of them."""
    by_clock = [_nearest(new.stretches, one.stretches) for one in known if len(one.stretches)]
    if len(new.stretches) and by_clock and np.median(np.max(by_clock, axis=0)) > SAME:
        return True
    by_heart = [_nearest(new.beats, one.beats) for one in known if len(one.beats)]
    return bool(len(new.beats) and any(np.median(near) > SAME_BEATS for near in by_heart))


def _nearest(new: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.float32]:
    """For each of the new rows (n, 64) the cosine with the most similar of the known (m, 64)."""
    return cosine(new[:, None], known[None]).max(axis=1, initial=-1.0)


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
