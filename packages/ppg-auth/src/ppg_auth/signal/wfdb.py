"""WFDB records as PhysioNet publishes them: a text header ``.hea`` and signal files in format 16 or
212."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.channels import pulse_columns
from ppg_auth.signal.recording import MAX_CHANNELS, Recording, as_recording
from vitrail.errors import InputError

MAX_HEADER = 100_000
MISSING = {"16": -(1 << 15), "212": -(1 << 11)}


@dataclass(frozen=True)
class _Signal:
    file: str
    format: str
    gain: float
    baseline: float
    name: str


def read_wfdb(
    path: Path, sample_rate: float | None = None, channel: str | None = None
) -> Recording:
    """The pulse signals of the record whose header is ``path``: those described as ``channel``, as
    PLETH, PPG or the like, else the only one.

    Source: the WFDB header and signal file formats, header(5) and signal(5) of the WFDB
    applications guide.
    """
    rate, signals = _header(path)
    if len({(signal.file, signal.format) for signal in signals}) != 1:
        raise InputError(
            path, "has signals in several files or formats", "convert it to one file of format 16"
        )
    values = _samples(path, signals)
    names = [signal.name for signal in signals]
    chosen = pulse_columns(path, names, channel, range(len(names)))
    called = tuple(names[index] or str(index + 1) for index in chosen)
    return as_recording(values[:, chosen], sample_rate or rate, subject=path, names=called)


def _header(path: Path) -> tuple[float, list[_Signal]]:
    try:
        text = path.read_bytes()[:MAX_HEADER].decode("ascii")
        lines = [
            line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")
        ]
        count = int(lines[0][1])
        rate = float(re.split(r"[/(]", lines[0][2])[0])
        signals = [_signal(line) for line in lines[1 : count + 1]]
    except (UnicodeDecodeError, IndexError, ValueError) as error:
        raise InputError(
            path, "is not a WFDB header", "give the .hea file of a single-segment record"
        ) from error
    if not 0 < count <= MAX_CHANNELS or len(signals) != count:
        raise InputError(
            path, f"announces {count} signals and describes {len(signals)}", "repair the header"
        )
    return rate, signals


def _signal(line: list[str]) -> _Signal:
    gain, baseline = 200.0, None
    if len(line) > 2 and (match := re.match(r"([-+.\deE]+)(?:\((-?\d+)\))?", line[2])):
        gain, baseline = float(match[1]) or 200.0, match[2]
    zero = line[4] if len(line) > 4 else "0"
    return _Signal(
        line[0],
        line[1],
        gain,
        float(baseline if baseline is not None else zero),
        " ".join(line[8:]),
    )


def _samples(path: Path, signals: list[_Signal]) -> NDArray[np.float64]:
    name, form = signals[0].file, signals[0].format
    if form not in MISSING:
        raise InputError(path, f"is in format {form}", "convert it to format 16 or 212")
    file = path.parent / name
    if Path(name).name != name or name == "." or not file.is_file():
        raise InputError(path, f"its signal file {name} is not beside it", "copy both")
    data = np.fromfile(file, np.uint8)
    numbers = _format_16(data) if form == "16" else _format_212(data)
    whole = len(numbers) // len(signals)
    if not whole:
        raise InputError(file, "holds no samples", "copy it again")
    values = numbers[: whole * len(signals)].reshape(whole, -1).astype(float)
    values[values == MISSING[form]] = np.nan
    return (values - [signal.baseline for signal in signals]) / [signal.gain for signal in signals]


def _format_16(data: NDArray[np.uint8]) -> NDArray[np.int16]:
    return data[: len(data) // 2 * 2].view("<i2")


def _format_212(data: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Two 12-bit numbers in three bytes: the low byte of each, and between them both upper
    halves."""
    first, both, second = data[: len(data) // 3 * 3].reshape(-1, 3).astype(np.int16).T
    pairs = np.stack([first | (both & 0x0F) << 8, second | (both & 0xF0) << 4], axis=1)
    return np.where(pairs >= 1 << 11, pairs - (1 << 12), pairs).reshape(-1)
