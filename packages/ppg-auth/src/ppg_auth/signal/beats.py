"""Single heart beats in a clean pulse wave, and which windows of them are good enough."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.conditioning import signal_to_noise, spectral_rate
from ppg_auth.signal.filters import find_peaks

BEAT_POINTS = 64
BEFORE_PEAK = 0.35  # of a beat
UPSTROKE_FROM, UPSTROKE_TO, UPSTROKE_STEP = (
    -0.15,
    0.60,
    0.0125,
)  # seconds around the steepest point of the upstroke
UPSTROKE_POINTS = 60
SHAPE_POINTS = 2 * UPSTROKE_POINTS
USUAL_BEAT = 0.8  # seconds; the length at which both clocks of ``beat_shape`` agree
MAX_UPSTROKE = 0.3  # seconds
MIN_BEAT = 60 / 180  # seconds
MIN_BEATS = 2


def systolic_peaks(pulse: NDArray, rate: float) -> NDArray[np.intp]:
    """The samples at which beats peak; notches and small waves between beats are passed over."""
    if len(pulse) < 3:
        return np.empty(0, np.intp)
    spread = np.subtract(*np.quantile(pulse, (0.95, 0.05)))
    if spread <= 0:
        return np.empty(0, np.intp)
    return find_peaks(pulse, max(1, int(MIN_BEAT * rate)), 0.4 * spread)


def beat_shape(pulse: NDArray, rate: float) -> NDArray:
    """The mean beat (120,) of a pulse wave around its upstroke, twice: in seconds, and by a clock
    that the heart sets.

    Systole lasts about as long whatever the heart's rate, what follows shortens with it; the second
    clock runs with the square root of the beat's length, half way between (as in Bazett's
    correction of the QT interval). Both parts have norm 1. Zeros where there are fewer than two
    whole beats.
    """
    peaks = systolic_peaks(pulse, rate)
    if len(peaks) < MIN_BEATS:
        return np.zeros(SHAPE_POINTS)
    pace = float(np.sqrt(np.median(np.diff(peaks)) / rate / USUAL_BEAT))
    kinds = [cut_upstrokes(pulse, peaks, rate, clock) for clock in (1.0, pace)]
    if min(map(len, kinds)) < MIN_BEATS:
        return np.zeros(SHAPE_POINTS)
    return np.concatenate([mean_beat(beats) for beats in kinds])


def cut_beats(pulse: NDArray, peaks: NDArray, points: int = BEAT_POINTS) -> NDArray:
    """Beats (k, points) of one length, each of mean 0 and norm 1, with the peak at 35 %.

    Each runs over the interval to the next peak, shifted forward; beats that leave the signal are
    left out.
    """
    intervals = np.diff(peaks)
    starts = peaks[:-1] - BEFORE_PEAK * intervals
    inside = (starts >= 0) & (starts + intervals <= len(pulse) - 1)
    grid = starts[inside, None] + intervals[inside, None] * np.linspace(0, 1, points)
    beats = np.interp(grid, np.arange(len(pulse)), pulse) if len(grid) else np.empty((0, points))
    return unit_rows(beats - beats.mean(axis=1, keepdims=True))


def cut_upstrokes(pulse: NDArray, peaks: NDArray, rate: float, clock: float = 1.0) -> NDArray:
    """The pulse (k, 60) around the steepest point before each peak, each of mean 0 and norm 1.

    60 points cover -0.15 to 0.59 s, times ``clock``.
    """
    slope, reach = np.gradient(pulse), int(MAX_UPSTROKE * rate)
    first = [max(0, peak - reach) for peak in peaks]
    steepest = np.array(
        [
            start + np.argmax(slope[start : peak + 1])
            for start, peak in zip(first, peaks, strict=True)
        ]
    )
    offsets = (
        np.arange(UPSTROKE_FROM, UPSTROKE_TO - UPSTROKE_STEP / 2, UPSTROKE_STEP) * clock * rate
    )
    grid = steepest.reshape(-1, 1) + offsets
    inside = (grid[:, 0] >= 0) & (grid[:, -1] <= len(pulse) - 1)
    cut = np.interp(grid[inside], np.arange(len(pulse)), pulse)
    return unit_rows(cut - cut.mean(axis=1, keepdims=True)) if len(cut) else cut


def mean_beat(beats: NDArray) -> NDArray:
    """The mean of the beats (k, points) that resemble their median most (the better half), of norm
    1."""
    likeness = beats @ np.median(beats, axis=0)
    return unit_rows(beats[likeness >= np.median(likeness)].mean(axis=0, keepdims=True))[0]


def unit_rows(rows: NDArray) -> NDArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), np.finfo(float).tiny)


MIN_SNR = 0.0  # dB
MIN_LIKENESS = 0.85  # correlation of a beat with the median beat
MIN_HEART_RATE, MAX_HEART_RATE = 40.0, 180.0  # beats per minute
MAX_CHANGE = 0.25  # from one beat to the next
MAX_CLIPPED = 0.02  # share of samples
MIN_WINDOW_BEATS = 4
MAX_DISAGREEMENT = 6.0  # beats per minute between spectrum and peaks

REASONS = {
    "flat": "the signal does not change",
    "short": "there are fewer than 10 s without a gap",
    "clipped": "the signal leaves the sensor's range or was disturbed",
    "noisy": "the pulse does not stand out from the noise",
    "few_beats": "fewer than four beats were found",
    "heart_rate": "the beats are slower than 40 or faster than 180 per minute",
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
        len(beats) < MIN_WINDOW_BEATS - 2 or len(peaks) < MIN_WINDOW_BEATS
    ):  # the outer two beats may leave the window
        return Judgement(0.0, ("few_beats", *(("noisy",) if snr < MIN_SNR else ())), None)
    heart_rate = float(60 / np.median(intervals))
    likeness = _likeness(beats)
    change = float(np.median(np.abs(np.diff(intervals)) / intervals[:-1]))
    largest = float(np.max(np.abs(np.diff(intervals)) / intervals[:-1]))
    failed = {
        "clipped": clipped > MAX_CLIPPED,
        "noisy": snr < MIN_SNR,
        "heart_rate": not MIN_HEART_RATE <= heart_rate <= MAX_HEART_RATE,
        "irregular": largest > MAX_CHANGE,
        "unlike_beats": likeness < MIN_LIKENESS,
        "rates_disagree": abs(heart_rate - spectral_rate(pulse, rate)) > MAX_DISAGREEMENT,
    }
    reasons = tuple(reason for reason, fails in failed.items() if fails)
    score = (
        _share(likeness, 0.7, 1.0) * _share(snr, -3.0, 9.0) * (1 - _share(change, 0.0, MAX_CHANGE))
    )
    return Judgement(float(score ** (1 / 3)), reasons, heart_rate)


def _likeness(beats: NDArray) -> float:
    """The median correlation of the beats with their median."""
    middle = np.median(beats, axis=0)
    norm = np.linalg.norm(middle)
    return float(np.median(beats @ middle) / norm) if norm else 0.0


def _share(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
