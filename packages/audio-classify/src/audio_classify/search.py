"""Embeddings of all sources as one file, and the moments that sound most like a given clip."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audio_classify.result import Result
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.output import atomic_file

SUFFIXES = (".npy", ".parquet")


def check_target(path: Path) -> None:
    """UsageError for a file that embeddings cannot be written as, MissingError without the library
    that it needs."""
    if path.suffix not in SUFFIXES:
        raise UsageError(path, "embeddings are written as .npy or .parquet", "name such a file")
    if path.suffix == ".parquet":
        _pyarrow()


def write_embeddings(path: Path, results: Sequence[Result]) -> None:
    """One row a window that is not silent: ``.npy`` (windows, dim), with its rows' names in a CSV
    beside it; or ``.parquet`` with the columns source, start, embedding."""
    rows = _rows(results)
    if not rows:
        raise InputError(path, "there is nothing to embed: all is silence")
    vectors = np.stack([row["embedding"] for row in rows])
    if path.suffix == ".parquet":
        pyarrow = _pyarrow()
        columns = {key: [row[key] for row in rows] for key in ("source", "start")}
        columns["embedding"] = pyarrow.FixedSizeListArray.from_arrays(
            vectors.ravel(), vectors.shape[1]
        )
        with atomic_file(path) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
        return
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, vectors)
    with atomic_file(path.with_suffix(".csv")) as temporary:
        lines = (
            f'"{row["source"].replace(chr(34), chr(34) * 2)}",{row["start"]:.3f}\n' for row in rows
        )
        temporary.write_text("source,start\n" + "".join(lines))


def nearest(query: Result, results: Sequence[Result], count: int) -> list[dict[str, Any]]:
    """The ``count`` sources most like ``query``, each with its best moment: source, start in
    seconds, similarity -1..1.

    Windows are compared by the cosine of their embeddings. InputError where the query is silence.
    """
    if query.embeddings is None:
        raise InputError(query.source, "is silence", "search with another clip")
    wanted = _unit(query.embeddings.mean(axis=0))
    found = []
    for result in results:
        if result.embeddings is not None:
            similarities = _unit(result.embeddings) @ wanted
            best = int(similarities.argmax())
            similarity = round(float(similarities[best]), 4)
            found.append(
                {
                    "source": str(result.source),
                    "start": float(result.starts[best]),
                    "similarity": similarity,
                }
            )
    return sorted(found, key=lambda row: -row["similarity"])[:count]


def _rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    return [
        {"source": str(result.source), "start": float(start), "embedding": vector}
        for result in results
        if result.embeddings is not None
        for start, vector in zip(result.starts, result.embeddings, strict=True)
    ]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingError(
            "pyarrow", "this library is not installed", "install vitrail-audio-classify[parquet]"
        ) from error
    return pyarrow
