"""Attacks made from real recordings, to measure how many the checks stop."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.beats import systolic_peaks
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.windows import Preprocess, SignalConfig

_SECONDS = 20.0


def replayed(recording: Recording) -> Recording:
    """The same pulse with another start, another gain and a little noise, as a copy shown again
    has."""
    rng = np.random.default_rng(1)
    kept = recording.seconds >= recording.seconds[0] + 0.7
    values = recording.values[kept] * 1.05
    noise = 0.01 * np.nanstd(values, axis=0) * rng.normal(size=values.shape)
    return replace(
        recording,
        seconds=recording.seconds[kept] - recording.seconds[kept][0],
        values=values + noise,
    )


def reversed_in_time(recording: Recording) -> Recording:
    return replace(recording, values=recording.values[::-1].copy())


def turned_over(recording: Recording) -> Recording:
    return replace(recording, values=2 * np.nanmean(recording.values, axis=0) - recording.values)


def static(recording: Recording) -> Recording:
    """A picture of a finger: its brightness, the sensor's noise, and one part in ten thousand of
    the pulse."""
    level = np.nanmean(recording.values, axis=0)
    change = (recording.values - level) / np.maximum(np.nanstd(recording.values, axis=0), 1e-9)
    return replace(recording, values=level * (1 + 1e-4 * change))


def synthetic(recording: Recording) -> Recording:
    """One real beat of the recording, repeated evenly."""
    beat, rate = _beat(recording)
    return _made(recording, np.tile(beat, int(_SECONDS * rate / len(beat)) + 1), rate)


def even_amplitude(recording: Recording) -> Recording:
    """One real beat in uneven intervals, as a generator with a jittered clock makes it."""
    beat, rate = _beat(recording)
    rng = np.random.default_rng(2)
    lengths = (len(beat) * rng.normal(1.0, 0.05, int(_SECONDS * rate / len(beat)) + 2)).astype(int)
    grid = np.linspace(0, 1, len(beat))
    return _made(
        recording,
        np.concatenate([np.interp(np.linspace(0, 1, n), grid, beat) for n in lengths]),
        rate,
    )


def flicker(recording: Recording) -> Recording:
    """The beat of a lamp's 100 Hz with the frame rate: a sine of 1.2 Hz on the finger's
    brightness."""
    rate = 50.0
    return _made(recording, np.sin(2 * np.pi * 1.2 * np.arange(int(_SECONDS * rate)) / rate), rate)


def looped(recording: Recording) -> Recording:
    """Five seconds of the recording, again and again."""
    windows = Preprocess(SignalConfig())(recording)
    length = int(5 * windows.rate)
    return _made(recording, np.tile(windows.pulse[:length], 5), windows.rate)


ATTACKS: dict[str, Callable[[Recording], Recording]] = {
    "replayed": replayed,
    "reversed": reversed_in_time,
    "turned over": turned_over,
    "static": static,
    "synthetic": synthetic,
    "even amplitude": even_amplitude,
    "flicker": flicker,
    "looped": looped,
}


def _beat(recording: Recording) -> tuple[NDArray, float]:
    """A beat from trough to trough, its ends brought together, and its rate in Hz."""
    windows = Preprocess(SignalConfig())(recording)
    pulse, peaks = windows.pulse, systolic_peaks(windows.pulse, windows.rate)
    middle = len(peaks) // 2
    before, peak, after = peaks[middle - 1 : middle + 2]
    start = before + int(np.argmin(pulse[before:peak]))
    stop = peak + int(np.argmin(pulse[peak:after]))
    beat = pulse[start:stop]
    return beat - np.linspace(beat[0], beat[-1], len(beat)), windows.rate


def _made(recording: Recording, wave: NDArray, rate: float) -> Recording:
    """A one-channel recording of ``wave``, with the brightness and the polarity of the real one."""
    level = float(np.nanmean(recording.values[:, 0])) or 1.0
    windows = Preprocess(SignalConfig())(recording)
    sign = 1 if np.dot(np.diff(windows.raw), np.diff(windows.pulse)) >= 0 else -1
    values = level + sign * np.nanstd(recording.values[:, 0]) * wave / wave.std()
    return Recording(np.arange(len(values)) / rate, values[:, None], rate, recording.origin)
