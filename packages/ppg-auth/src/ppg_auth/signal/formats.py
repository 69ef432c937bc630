"""Recordings from files: tables of numbers as text or Parquet, arrays, and WFDB records."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppg_auth.signal.channels import is_other, pulse_columns
from ppg_auth.signal.recording import MAX_CHANNELS, Recording, as_recording
from vitrail.errors import InputError, MissingError

MAX_BYTES = 256_000_000
TIME_COLUMNS = {
    "t": None,
    "time": None,
    "timestamp": None,
    "t_s": 1.0,
    "time_s": 1.0,
    "seconds": 1.0,
}
TIME_COLUMNS |= {"t_ms": 1e-3, "time_ms": 1e-3, "ms": 1e-3, "milliseconds": 1e-3}
CAMERA_COLUMNS = {"r", "g", "b", "red", "green", "blue", "luma"}
# A column "time" whose usual step is longer counts milliseconds: no pulse is sampled that slowly
MAX_STEP = 2.5


def read_text(
    path: Path, sample_rate: float | None = None, channel: str | None = None
) -> Recording:
    """Numbers separated by comma, semicolon, tab or space, with or without a line of names, or one
    line of samples.

    A column ``t_s``, ``t_ms``, ``time`` (seconds, or milliseconds where the steps are too large for
    seconds) or the like holds the time; without one ``sample_rate`` must be given. The pulse is the
    column named ``channel``, or found by ``pulse_columns``. InputError names the line and column of
    a bad cell.
    """
    text = _decode(path)
    delimiter = _delimiter(text)
    rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True))
    rows = [
        (number, row) for number, row in enumerate(rows, 1) if any(cell.strip() for cell in row)
    ]
    if not rows:
        raise InputError(path, "is empty", "give a recording")
    if (
        len(rows) == 1 and len(rows[0][1]) > MAX_CHANNELS
    ):  # one line of samples, as some loggers write
        cells = [cell for cell in rows[0][1] if cell.strip()]
        rows = [(1, [cell]) for cell in cells]
    names = None
    if not all(map(_is_number, rows[0][1])):
        names = [cell.strip().lower() for cell in rows.pop(0)[1]]
    if not rows:
        raise InputError(path, "holds a line of names and no samples", "give a recording")
    return _from_columns(path, names, _numbers(path, rows, delimiter), sample_rate, channel)


def read_parquet(
    path: Path, sample_rate: float | None = None, channel: str | None = None
) -> Recording:
    """Numeric columns of a Parquet file, named as those of text files are."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingError(
            "pyarrow", "is not installed", "install vitrail-ppg-auth[parquet]"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path, memory_map=True)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(
            path, f"is not a readable Parquet file ({type(error).__name__})", "write it again"
        ) from error
    if table.num_columns > MAX_CHANNELS:
        raise InputError(
            path, f"has {table.num_columns} columns", f"at most {MAX_CHANNELS} make sense"
        )
    try:
        columns = [np.asarray(column.to_numpy(), float) for column in table.columns]
    except (TypeError, ValueError, pyarrow.ArrowException) as error:
        raise InputError(path, "holds a column that is not numeric", "leave it out") from error
    if not columns or not len(columns[0]):
        raise InputError(path, "holds no samples", "give a recording")
    return _from_columns(
        path,
        [name.strip().lower() for name in table.column_names],
        np.stack(columns, 1),
        sample_rate,
        channel,
    )


def read_array(
    path: Path, sample_rate: float | None = None, channel: str | None = None
) -> Recording:
    """A ``.npy`` of shape (n,) or (n, columns); its rate must be given, and of several columns the
    number of the pulse, from 1 on."""
    try:
        values = np.load(path, mmap_mode="r")
    except Exception as error:  # Python's own parser reads the header and raises every kind
        raise InputError(
            path, f"is not a readable array ({type(error).__name__})", "save it with numpy.save"
        ) from error
    return _chosen(as_recording(values, sample_rate, subject=path), path, [], channel)


def _decode(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise InputError(path, f"is larger than {MAX_BYTES // 1_000_000} MB", "cut it into parts")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            path, "is not a text file", "give CSV, Parquet, an array, WFDB or a video"
        ) from error
    if "\0" in text:
        raise InputError(path, "is not a text file", "give CSV, Parquet, an array, WFDB or a video")
    return text


def _delimiter(text: str) -> str:
    """The first of semicolon, tab, comma and space in the first line; decimal commas go with the
    first two."""
    line = text.lstrip().partition("\n")[0]
    return next((mark for mark in ";\t, " if mark in line), ",")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return not cell.strip()
    return True


def _numbers(path: Path, rows: list[tuple[int, list[str]]], delimiter: str) -> NDArray[np.float64]:
    width = len(rows[0][1])
    if width > MAX_CHANNELS + 1:
        raise InputError(path, f"has {width} columns", f"at most {MAX_CHANNELS} make sense")
    decimal_comma = delimiter != ","
    values = np.empty((len(rows), width))
    for index, (number, row) in enumerate(rows):
        if len(row) != width:
            raise InputError(
                path,
                f"line {number} has {len(row)} cells, the first has {width}",
                "repair the line",
            )
        for column, cell in enumerate(row):
            try:
                values[index, column] = (
                    float(cell.replace(",", ".", 1) if decimal_comma else cell) if cell else np.nan
                )
            except ValueError:
                problem = (
                    f"line {number}, column {column + 1} holds {cell.strip()[:20]!r}, not a number"
                )
                raise InputError(path, problem, "repair or empty the cell") from None
    return values


def _from_columns(
    path: Path,
    names: list[str] | None,
    values: NDArray[np.float64],
    sample_rate: float | None,
    channel: str | None,
) -> Recording:
    titles = names or [""] * values.shape[1]
    if len(titles) != values.shape[1]:
        raise InputError(
            path, f"has {len(titles)} names over {values.shape[1]} columns", "repair the first line"
        )
    timed = [index for index, name in enumerate(titles) if name in TIME_COLUMNS]
    if not timed:
        return _chosen(as_recording(values, sample_rate, subject=path), path, titles, channel)
    seconds = values[:, timed[0]] * (TIME_COLUMNS[titles[timed[0]]] or _unit(values[:, timed[0]]))
    columns = [index for index in range(len(titles)) if index != timed[0]]
    if not columns:
        raise InputError(path, "holds times and no samples", "give a recording")
    channels = pulse_columns(path, titles, channel, columns)
    kept = tuple(titles[index] for index in channels)
    # A sensor's red has an infrared beside it, also where --channel leaves that out
    beside = [titles[index] for index in columns if not is_other(titles[index])]
    camera = CAMERA_COLUMNS.issuperset((*kept, *beside))
    return Recording.checked(
        path, seconds, values[:, channels], "camera" if camera else "sensor", names=kept
    )


def _chosen(recording: Recording, path: Path, names: list[str], channel: str | None) -> Recording:
    """The pulse alone, of a recording without times whose columns have ``names``, if any."""
    count = recording.values.shape[1]
    names = names or [""] * count
    channels = pulse_columns(path, names, channel, range(count))
    called = tuple(names[index] or str(index + 1) for index in channels)
    values = recording.values[:, channels]
    return as_recording(values, recording.rate_hint, subject=path, names=called)


def _unit(times: NDArray) -> float:
    steps = np.diff(times[np.isfinite(times)])
    return 1e-3 if len(steps) and np.mean(steps) > MAX_STEP else 1.0


READERS: dict[str, Callable[[Path, float | None, str | None], Recording]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".txt": read_text,
    ".parquet": read_parquet,
    ".npy": read_array,
}
