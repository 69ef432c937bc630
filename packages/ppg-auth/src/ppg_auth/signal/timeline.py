"""From time stamps as they came to stretches of evenly spaced samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ppg_auth.signal.recording import Recording
from vitrail.errors import InputError

MAX_GAP = 0.5  # seconds; nothing is made up across a longer one
CLOCK_WINDOW = 4.0  # seconds over which a sensor's clock is assumed steady
BACKLOG = (
    1.5  # times the later rate: more samples than that in the first second were kept back before it
)
MIN_RATE = 12.0  # Hz
MAX_SAMPLES = 5_000_000


@dataclass(frozen=True)
class Stretch:
    """Samples without a gap: ``values`` (n, channels) at ``rate`` Hz, the first one at ``start``
    seconds."""

    start: float
    values: NDArray[np.float64]
    rate: float


def measured_rate(seconds: NDArray) -> float:
    """The rate in Hz of the last 60 % of the stamps (n,), which no start-up backlog and no single
    gap distorts.

    Stamps may come in groups, so it is counted over stretches between gaps and not taken from
    single differences.
    """
    body = seconds[int(0.4 * len(seconds)) :]
    steps = np.diff(body)
    steps = steps[steps <= MAX_GAP]
    return float(len(steps) / steps.sum()) if steps.sum() > 0 else float("nan")


def regularise(recording: Recording, rate: float) -> list[Stretch]:
    """The stretches between gaps, interpolated linearly to ``rate`` Hz or to the recording's own
    rate if that is lower.

    Samples that are no numbers are dropped, those of one time averaged, and a first second that
    holds a backlog is left out. A sensor's stamps tell when samples arrived, so they are smoothed
    to a steady clock; a camera's are true. InputError where the rate is under 12 Hz or nothing is
    left.
    """
    seconds, values = _finite(recording)
    own = recording.rate_hint or measured_rate(seconds)
    if not own >= MIN_RATE:
        raise InputError(
            "recording", f"has {own:.3g} samples per second", f"at least {MIN_RATE:g} are needed"
        )
    seconds, values = _without_backlog(seconds, values, own)
    stretches = []
    for part in np.split(np.arange(len(seconds)), np.flatnonzero(np.diff(seconds) > MAX_GAP) + 1):
        times = seconds[part]
        if recording.origin == "sensor" and recording.rate_hint is None:
            times = _steady(times, own)
        stretches += _interpolated(*_averaged(times, values[part]), min(rate, own))
    if not stretches:
        raise InputError("recording", "holds no second without a gap", "record again")
    return stretches


def _finite(recording: Recording) -> tuple[NDArray, NDArray]:
    kept = np.isfinite(recording.values).all(axis=1) & np.isfinite(recording.seconds)
    if kept.sum() < 2:
        raise InputError(
            "recording", "holds fewer than two samples that are numbers", "record again"
        )
    return recording.seconds[kept] - recording.seconds[kept][0], recording.values[kept]


def _without_backlog(seconds: NDArray, values: NDArray, rate: float) -> tuple[NDArray, NDArray]:
    if np.count_nonzero(seconds < 1.0) <= BACKLOG * rate:
        return seconds, values
    kept = seconds >= 1.0
    return seconds[kept], values[kept]


def _steady(seconds: NDArray, rate: float) -> NDArray:
    """Arrival times (n,) without their jitter: the delay against an even clock is averaged over
    some seconds."""
    even = np.arange(len(seconds)) / rate
    return even + uniform_filter1d(seconds - even, max(1, int(CLOCK_WINDOW * rate)), mode="nearest")


def _averaged(seconds: NDArray, values: NDArray) -> tuple[NDArray, NDArray]:
    times, first, counts = np.unique(seconds, return_index=True, return_counts=True)
    if len(times) == len(seconds):
        return seconds, values
    return times, np.add.reduceat(values, first, axis=0) / counts[:, None]


def _interpolated(seconds: NDArray, values: NDArray, rate: float) -> list[Stretch]:
    """One stretch, or none where there is less than a second."""
    if len(seconds) < 2 or seconds[-1] - seconds[0] < 1.0:
        return []
    count = int((seconds[-1] - seconds[0]) * rate) + 1
    if count > MAX_SAMPLES:
        raise InputError(
            "recording", f"is {seconds[-1] / 3600:.0f} hours long", "cut it into parts"
        )
    times = seconds[0] + np.arange(count) / rate
    even = np.stack([np.interp(times, seconds, column) for column in values.T], axis=1)
    return [Stretch(float(seconds[0]), even, rate)]
