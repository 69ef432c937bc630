"""How well the checks tell attacks from live fingers: attacks made from real recordings, APCER for
each kind of attack, BPCER (ISO/IEC 30107-3)."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.presentation import attack_signs, is_replay, polarity, sketch
from ppg_auth.measure.protocols import cut
from ppg_auth.signal.beats import systolic_peaks
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.windows import Preprocess, SignalConfig
from ppg_auth.store.history import Sketch
from ppg_auth.store.vault import new_key
from vitrail.errors import InputError
from vitrail.report import Table

if TYPE_CHECKING:
    from ppg_auth.job import PulseJob
    from ppg_auth.result import Capture

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


def faster(recording: Recording) -> Recording:
    """A copy shown 6 % faster."""
    return _at_speed(recording, np.full(len(recording.seconds), 1.06))


def slower(recording: Recording) -> Recording:
    """A copy shown 6 % slower."""
    return _at_speed(recording, np.full(len(recording.seconds), 0.94))


def wandering(recording: Recording) -> Recording:
    """A copy whose speed goes up and down by 5 % in 12 s."""
    time = np.linspace(0.0, np.ptp(recording.seconds), len(recording.seconds))
    return _at_speed(recording, 1 + 0.05 * np.sin(2 * np.pi * time / 12))


def _at_speed(recording: Recording, speed: NDArray) -> Recording:
    """A replay at a speed that changes from sample to sample."""
    shown = replayed(recording)
    seconds = np.linspace(0.0, np.ptp(shown.seconds), len(shown.seconds))
    step = seconds[1] / speed[: len(seconds)]
    moments = np.concatenate([[0.0], np.cumsum(step[1:])])
    grid = np.arange(0.0, moments[-1], seconds[1])
    columns = [np.interp(grid, moments, column) for column in shown.values.T]
    return replace(shown, seconds=grid, values=np.stack(columns, axis=1))


def reordered(recording: Recording) -> Recording:
    """Its beats, cut from trough to trough, in another order."""
    windows = Preprocess(SignalConfig())(recording)
    pulse, peaks = windows.pulse, systolic_peaks(windows.pulse, windows.rate)
    troughs = [start + int(np.argmin(pulse[start:stop])) for start, stop in pairwise(peaks)]
    beats = [pulse[start:stop] for start, stop in pairwise(troughs)]
    level = [beat - np.linspace(beat[0], beat[-1], len(beat)) for beat in beats]
    order = np.random.default_rng(3).permutation(len(level))
    return _made(recording, np.concatenate([level[number] for number in order]), windows.rate)


def reversed_in_time(recording: Recording) -> Recording:
    return replace(recording, values=recording.values[::-1].copy())


def turned_over(recording: Recording) -> Recording:
    return replace(recording, values=2 * np.nanmean(recording.values, axis=0) - recording.values)


def static(recording: Recording) -> Recording:
    """An image of a finger: its brightness, the sensor's noise, and one part in ten thousand of
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
    "replayed faster": faster,
    "replayed slower": slower,
    "replayed wandering": wandering,
    "beats reordered": reordered,
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


LIVE = "live"
COLUMNS = (
    "presentations",
    "number",
    "error rate",
    "stopped by",
    "of these too poor to be compared",
)


@dataclass(frozen=True)
class _Known:
    """What the system has seen of live fingers: the sensor's polarity, and the captures' sketches
    under ``key``."""

    polarity: int
    sketches: list[Sketch]
    key: bytes


def evaluate_folder(folder: Path, job: "PulseJob", *, make: bool) -> Table:
    """One row for the live recordings in ``folder/live`` and one for each kind of attack.

    The first half of each live recording is what the system has seen, the other, in captures of
    20 s, is what the same people show later: whoever is taken for a replay there is one wrongly.
    Attacks lie in folders of their own beside ``live``, or are made from such captures of the first
    halves if ``make`` says so. Files are read as the job reads them: at its sample rate, from its
    channel.
    """
    reads = {name: job.options[name] for name in ("sample_rate", "channel")}
    read = partial(read_recording, **reads)
    seen, later = zip(*(_halves(path, read(path)) for path in _files(folder / LIVE)), strict=True)
    captures, key = [job.predict(recording) for recording in seen], new_key()
    usual = Counter(polarity(capture) for capture in captures).most_common(1)[0][0]
    known = _Known(usual, [sketch(capture, key) for capture in captures], key)
    live = [part for recording in later for part in cut(recording, _SECONDS)]
    kinds = [("live (BPCER)", live, False)]
    copied = [part for recording in seen for part in cut(recording, _SECONDS)]
    attacks = _attacks(folder, copied, read, make)
    kinds += [(f"{kind} (APCER)", recordings, True) for kind, recordings in attacks]
    rows = []
    for kind, recordings, attack in kinds:
        shown = [job.predict(recording) for recording in recordings]
        rows.append(_row(kind, [_signs(one, known) for one in shown], shown, attack=attack))
    return Table(f"Presentation attacks: {folder.name}", COLUMNS, rows)


def _halves(path: Path, recording: Recording) -> tuple[Recording, Recording]:
    seconds = recording.seconds - recording.seconds[0]
    if seconds[-1] < 2 * _SECONDS:
        wanted = f"{2 * _SECONDS:g} s are needed: attacks copy the first half, the other is live"
        raise InputError(path, f"lasts {seconds[-1]:.0f} s", wanted)
    first = seconds < seconds[-1] / 2
    parts = [(recording.seconds[kept], recording.values[kept]) for kept in (first, ~first)]
    one, two = (replace(recording, seconds=time, values=values) for time, values in parts)
    return one, two


def _attacks(
    folder: Path, copied: list[Recording], read: Callable[[Path], Recording], make: bool
) -> Iterator[tuple[str, list[Recording]]]:
    for kind in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != LIVE):
        yield kind.name, [read(path) for path in _files(kind)]
    if make:
        for kind, attack in ATTACKS.items():
            yield f"{kind}, made", [attack(recording) for recording in copied]


def _signs(capture: "Capture", known: _Known) -> tuple[str, ...]:
    signs = list(attack_signs(capture))
    if polarity(capture) != known.polarity:
        signs.append("turned")
    if is_replay(sketch(capture, known.key), known.sketches):
        signs.append("replay")
    return tuple(signs)


def _row(
    kind: str, signs: Sequence[tuple[str, ...]], captures: Sequence["Capture"], *, attack: bool
) -> tuple:
    """A presentation that is too poor to be compared gets nobody in, though no check may have
    stopped it."""
    poor = sum(not capture.usable for capture in captures)
    wrong = [
        not found and capture.usable if attack else bool(found)
        for found, capture in zip(signs, captures, strict=True)
    ]
    stopped = Counter(sign for found in signs for sign in found)
    by = ", ".join(f"{sign} {number}" for sign, number in stopped.most_common())
    return (kind, len(signs), float(np.mean(wrong)), by, poor)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(
            folder,
            "is not a folder",
            "put live recordings into 'live', attacks into folders beside it",
        )
    if files := sorted(path for path in folder.iterdir() if path.is_file()):
        return files
    raise InputError(folder, "holds no recording", "put some there")
