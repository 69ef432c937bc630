"""A result as files: events as JSON lines, CSV and Audacity labels, the spectrogram, embeddings."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audio_classify.result import Embeddings, Result
from audio_classify.sound.spectrogram import DYNAMIC_RANGE
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.output import atomic_file
from vitrail.preprocess.filterbank import MIN_HZ, mel
from vitrail.report import HeatMap, Span

SUFFIXES = (".npy", ".parquet")
SHOWN_HZ = (100, 500, 1000, 2000, 4000, 8000, 16000)


def write(result: Result, folder: Path) -> None:
    """Fills ``folder`` with the events, the spectrogram, and embeddings if there are any."""
    rows = [event.to_dict() for event in result.events]
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "events.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["label", "start", "end", "probability"])
        table.writeheader()
        table.writerows(rows)
    lines = (f"{event.start:.6f}\t{event.end:.6f}\t{event.label}\n" for event in result.events)
    (folder / "events.txt").write_text("".join(lines))
    Image.fromarray(draw(result)).save(folder / "spectrogram.png")
    if result.embeddings is not None:
        np.save(folder / "embeddings.npy", result.embeddings.vectors)


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


def check_target(path: Path) -> None:
    """UsageError for a file that embeddings cannot be written as, MissingError without the library
    that it needs."""
    if path.suffix not in SUFFIXES:
        raise UsageError(path, "embeddings are written as .npy or .parquet", "name such a file")
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


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingError(
            "pyarrow", "this library is not installed", "install vitrail-audio-classify[parquet]"
        ) from error
    return pyarrow
