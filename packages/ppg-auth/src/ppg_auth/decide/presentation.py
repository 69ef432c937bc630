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
SAME = 0.992  # estimated from bits; one of 210 later captures of the same recordings reached it
HARMONICS = 5  # of a beat's length; what is above is mostly a sensor's noise
POINTS = 32  # of a beat
INTERVAL = 0.5  # weight of the intervals beside the shapes
MIN_RUN = 10  # beats in a row that two captures must have in common
WHOLE_RUN = 15  # from here on a run counts whole
SAME_BEATS = 0.71  # two of those 210 reached it


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


def beat_changes(pulse: NDArray, rate: float) -> NDArray:
    """How each beat differs from the one before (n, 128), of norm 1.

    Beats run from peak to peak in as many points, so that no change of the time base, even or slow,
    touches them. In differences a person's usual beat is gone, and with it what all captures of one
    person share; its level, slope, height and place, which move with the breath, are taken out as
    well. What is left are the first harmonics and the change of the beat's length.
    """
    peaks = systolic_peaks(pulse, rate)
    if len(peaks) < MIN_RUN:
        return np.empty((0, DIM))
    moments, _ = _between_samples(pulse, peaks)
    lengths = np.diff(moments)
    phase = np.arange(POINTS) / POINTS
    beats = np.interp(moments[:-1, None] + lengths[:, None] * phase, np.arange(len(pulse)), pulse)
    usual = np.median(beats, axis=0)
    shared = np.stack([np.ones(POINTS), phase, usual, np.gradient(usual)], axis=1)
    changes = np.diff(beats, axis=0)
    changes = changes - (shared @ np.linalg.lstsq(shared, changes.T, rcond=None)[0]).T
    harmonics = np.fft.rfft(changes, axis=1)[:, 1 : HARMONICS + 1]
    shapes = unit_rows(np.concatenate([harmonics.real, harmonics.imag], axis=1))
    longer = np.diff(np.log(lengths))
    usually = 1.48 * np.median(np.abs(longer)) + np.finfo(float).tiny
    longer = INTERVAL * np.clip(longer / usually, -3, 3)
    rows = np.concatenate([shapes, longer[:, None]], axis=1)
    return unit_rows(np.pad(rows, ((0, 0), (0, DIM - rows.shape[1]))))


def sketch(capture: "Capture", key: bytes) -> Sketch:
    """The capture's stretches and the changes from beat to beat, protected."""
    pulse, rate, projection = capture.pulse, capture.sample_rate, expand_key(key)
    none = np.empty((0, BITS // 8), np.uint8)
    kinds = (stretches(pulse, rate), beat_changes(pulse, rate))
    return Sketch(*(protect(rows, projection) if len(rows) else none for rows in kinds))


def is_replay(new: Sketch, known: Sequence[Sketch]) -> bool:
    """Whether most stretches have their like among those of the known captures, or the beats follow
    each other as in one of them."""
    by_clock = [_nearest(new.stretches, one.stretches) for one in known if len(one.stretches)]
    if len(new.stretches) and by_clock and np.median(np.max(by_clock, axis=0)) > SAME:
        return True
    return any(common_run(new.beats, one.beats) > SAME_BEATS for one in known)


def common_run(new: NDArray[np.uint8], known: NDArray[np.uint8]) -> float:
    """How alike two captures' changes from beat to beat (n, 64) and (m, 64) are where they are laid
    over each other best: their mean cosine, less where few beats meet; 0 where never enough do."""
    if min(len(new), len(known)) < MIN_RUN:
        return 0.0
    likeness = cosine(new[:, None], known[None])
    runs = (
        np.diagonal(likeness, shift)
        for shift in range(MIN_RUN - len(new), len(known) - MIN_RUN + 1)
    )
    return max(float(run.mean()) * min(1.0, len(run) / WHOLE_RUN) ** 0.5 for run in runs)


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
