"""Which windows of a recording are good enough to be compared, and what is wrong with the
others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppg_auth.beats import cut_beats, systolic_peaks
from ppg_auth.conditioning import signal_to_noise, spectral_rate

LEAST_SNR = 0.0  # dB
LEAST_LIKENESS = 0.85  # correlation of a beat with the median beat
SLOWEST, FASTEST = 40.0, 180.0  # beats a minute
LARGEST_CHANGE = 0.25  # from one beat to the next
MOST_CLIPPED = 0.02  # share of samples
LEAST_BEATS = 4
LARGEST_DISAGREEMENT = 6.0  # beats a minute between spectrum and peaks

REASONS = {
    "flat": "the signal does not change",
    "clipped": "the signal leaves the sensor's range or was disturbed",
    "noisy": "the pulse does not stand out from the noise",
    "few_beats": "fewer than four beats were found",
    "heart_rate": "the beats are slower than 40 or faster than 180 a minute",
    "irregular": "the time from beat to beat jumps",
    "unlike_beats": "the beats do not resemble each other",
    "exposure": "the camera changed its exposure",
    "rates_disagree": "the beats and the spectrum give different heart rates",
}


@dataclass(frozen=True)
class Judgement:
    """``score`` 0..1; ``reasons`` are codes of ``REASONS``, none where the window is good; beats a
    minute."""

    score: float
    reasons: tuple[str, ...]
    heart_rate: float | None


def judge(pulse: NDArray, clipped: float, rate: float) -> Judgement:
    """Judges one window of a clean pulse wave (n,) at ``rate`` Hz, of which the share ``clipped``
    was out of range."""
    if not np.ptp(pulse) > 0:
        return Judgement(0.0, ("flat",), None)
    peaks = systolic_peaks(pulse, rate)
    snr = signal_to_noise(pulse, rate)
    beats, intervals = cut_beats(pulse, peaks), np.diff(peaks) / rate
    if (
        len(beats) < LEAST_BEATS - 2 or len(peaks) < LEAST_BEATS
    ):  # the outer two beats may leave the window
        return Judgement(0.0, ("few_beats", *(("noisy",) if snr < LEAST_SNR else ())), None)
    heart_rate = float(60 / np.median(intervals))
    likeness = _likeness(beats)
    change = float(np.median(np.abs(np.diff(intervals)) / intervals[:-1]))
    largest = float(np.max(np.abs(np.diff(intervals)) / intervals[:-1]))
    failed = {
        "clipped": clipped > MOST_CLIPPED,
        "noisy": snr < LEAST_SNR,
        "heart_rate": not SLOWEST <= heart_rate <= FASTEST,
        "irregular": largest > LARGEST_CHANGE,
        "unlike_beats": likeness < LEAST_LIKENESS,
        "rates_disagree": abs(heart_rate - spectral_rate(pulse, rate)) > LARGEST_DISAGREEMENT,
    }
    reasons = tuple(reason for reason, fails in failed.items() if fails)
    score = (
        _share(likeness, 0.7, 1.0)
        * _share(snr, -3.0, 9.0)
        * (1 - _share(change, 0.0, LARGEST_CHANGE))
    )
    return Judgement(float(score ** (1 / 3)), reasons, heart_rate)


def _likeness(beats: NDArray) -> float:
    """The median correlation of the beats with their median."""
    middle = np.median(beats, axis=0)
    norm = np.linalg.norm(middle)
    return float(np.median(beats @ middle) / norm) if norm else 0.0


def _share(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
