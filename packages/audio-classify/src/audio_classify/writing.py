"""A result as files: events as JSON lines, CSV and Audacity labels, the spectrogram, embeddings."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from audio_classify.result import Embeddings, Frames, Result
from audio_classify.sound.spectrogram import DYNAMIC_RANGE
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.output import atomic_file
from vitrail.preprocess.filterbank import MIN_HZ, mel
from vitrail.report import HeatMap, Span

EVENTS_FILE, LIVE_FILE = "events.csv", "live.jsonl"
EVENT_COLUMNS = ("label", "start", "end", "probability", "time")
RAVEN_COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)",
    "Low Freq (Hz)", "High Freq (Hz)", "Annotation", "Probability",
)  # fmt: skip
SHOWN_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000)


def write(result: Result, folder: Path) -> None:
    """Fills ``folder`` with the events, the spectrogram, and embeddings if there are any."""
    rows = result.rows
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / EVENTS_FILE).open("w", newline="") as file:
        _write_csv(file, EVENT_COLUMNS, rows)
    lines = (f"{event.start:.6f}\t{event.end:.6f}\t{event.label}\n" for event in result.events)
    (folder / "events.txt").write_text("".join(lines))
    with (folder / "events.selections.txt").open("w", newline="") as file:
        _write_raven(file, result)
    Image.fromarray(draw(result)).save(folder / "spectrogram.png")
    if result.embeddings is not None:
        np.save(folder / "embeddings.npy", result.embeddings.vectors)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The events of all sources in one CSV table, from their rows, the source first."""
    events = [{"source": row["source"], **event} for row in rows for event in row.get("events", ())]
    if any(row["status"] == "done" for row in rows):
        with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
            _write_csv(file, ("source", *EVENT_COLUMNS), events)


def _write_csv(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    table = csv.DictWriter(file, columns)
    table.writeheader()
    table.writerows(rows)


def _write_raven(file: TextIO, result: Result) -> None:
    """A selection table as Raven reads and writes it; the box spans all frequencies that were
    heard."""
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow(RAVEN_COLUMNS)
    for number, event in enumerate(result.events, start=1):
        times = f"{event.start:.6f}", f"{event.end:.6f}"
        span = "0.0", f"{result.spectrogram.max_hz:.1f}"
        score = f"{event.probability:.4f}"
        table.writerow((number, "Spectrogram 1", 1, *times, *span, event.label, score))


def draw(result: Result) -> np.ndarray:
    """uint8 (400, 1000, 3): mel bands over time, a bar and a name for each event."""
    levels, column_seconds, max_hz = result.spectrogram
    # The last column reaches over the end of the sound, so the axis ends with the column.
    return HeatMap(
        result.summary,
        levels,
        (0.0, levels.shape[1] * column_seconds),
        y_label="Hz",
        y_ticks=[(_band(hz, max_hz, len(levels)), f"{hz}") for hz in SHOWN_HZ if hz <= max_hz],
        value_range=(-DYNAMIC_RANGE, 0.0),
        unit="dB",
        spans=[
            Span(event.start, event.end, f"{event.label} {event.probability:.0%}")
            for event in result.events
        ],
    ).to_image()


def _band(hertz: float, max_hz: float, bands: int) -> float:
    """Where a frequency lies among bands that are equally spaced in mel."""
    low, high = mel(MIN_HZ), mel(max_hz)
    return float((mel(hertz) - low) / (high - low)) * bands


def check_target(path: Path, what: str = "embeddings", other: str = ".npy") -> None:
    """UsageError for a file that they cannot be written as, MissingError without the library that
    it needs."""
    if path.suffix not in (other, ".parquet"):
        raise UsageError(path, f"{what} are written as {other} or .parquet", "name such a file")
    if path.suffix == ".parquet":
        _pyarrow()


def write_embeddings(path: Path, found: Sequence[Embeddings]) -> None:
    """One row per window that is not silent: ``.npy`` (windows, dim), with its rows' names in a CSV
    beside it; or ``.parquet`` with the columns source, start, embedding."""
    if not found:
        raise InputError(path, "there is nothing to embed: all is silence")
    vectors = np.concatenate([one.vectors for one in found])
    sources = [one.source for one in found for _ in one.starts]
    starts = [float(start) for one in found for start in one.starts]
    if path.suffix == ".parquet":
        pyarrow = _pyarrow()
        arrays = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
        columns = {"source": sources, "start": starts, "embedding": arrays}
        with atomic_file(path) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
        return
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    with atomic_file(path.with_suffix(".csv")) as temporary, temporary.open("w") as file:
        file.write("source,start\n")
        for source, start in zip(sources, starts, strict=True):
            file.write(f'"{source.replace(chr(34), chr(34) * 2)}",{start:.3f}\n')


def write_frames(path: Path, found: Iterable[Frames], labels: Sequence[str]) -> None:
    """One row per hop of each source: source, start, end in seconds, and a column of probabilities
    for each label; ``.csv`` or ``.parquet``."""
    columns = ("source", "start", "end", *labels)
    if path.suffix == ".parquet":
        pyarrow = _pyarrow()
        with atomic_file(path) as temporary:
            writer = None
            for one in found:
                ends = one.hop * np.arange(1, len(one.scores) + 1)
                fields = [[one.source] * len(one.scores), ends - one.hop, ends, *one.scores.T]
                arrays = [pyarrow.array(field) for field in fields]
                table = pyarrow.Table.from_arrays(arrays, names=list(columns))
                writer = writer or pyarrow.parquet.ParquetWriter(temporary, table.schema)
                writer.write_table(table)
            if writer:
                writer.close()
        return
    with atomic_file(path) as temporary, temporary.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for one in found:
            for number, row in enumerate(one.scores):
                times = (f"{(number + step) * one.hop:.3f}" for step in (0, 1))
                table.writerow((one.source, *times, *(f"{value:.4f}" for value in row)))


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingError(
            "pyarrow", "this library is not installed", "install vitrail-audio-classify[parquet]"
        ) from error
    return pyarrow
