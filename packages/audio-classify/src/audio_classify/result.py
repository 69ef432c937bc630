"""What the job gives back for one source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from audio_classify.sound.events import Event
from audio_classify.sound.spectrogram import Spectrogram
from vitrail.errors import InputError

TOP = 5
SILENCE_LABEL, UNKNOWN_LABEL = "silence", "unknown"


@dataclass(frozen=True)
class Embeddings:
    """The windows of one source that are not silent: ``starts`` (windows,) in seconds, and
    ``vectors`` (windows, dim)."""

    source: str
    starts: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class Frames:
    """The probabilities (hops, classes) of one source over time, ``hop`` seconds each from its
    beginning; zeros where all is silence."""

    source: str
    hop: float
    scores: np.ndarray


@dataclass(frozen=True)
class Result:
    """``probabilities`` of all classes over the whole sound, the likeliest first (none for
    silence).

    ``unknown``: the network says that it is none of its classes, or none is likely enough.
    ``loudness`` is that of the loudest window in dB below full scale; ``recorded`` the time of day
    at which the sound begins, where one is known. ``embeddings`` are None for
    silence, and ``frames``, too, where they were not asked for.
    """

    source: str
    seconds: float
    probabilities: dict[str, float]
    events: tuple[Event, ...]
    silent: bool
    loudness: float
    damage: tuple[str, ...]
    reasons: tuple[str, ...]
    recorded: datetime | None
    spectrogram: Spectrogram
    embeddings: Embeddings | None = None
    frames: Frames | None = None
    unknown: bool = False

    @property
    def label(self) -> str | None:
        """``silence``, ``unknown``, or the likeliest class; None for a network without classes."""
        if self.silent:
            return SILENCE_LABEL
        return UNKNOWN_LABEL if self.unknown else next(iter(self.probabilities), None)

    @property
    def labels(self) -> dict[str, float]:
        """The likeliest classes, at most five."""
        return dict(list(self.probabilities.items())[:TOP])

    @property
    def summary(self) -> str:
        """The three likeliest classes in words."""
        likely = ", ".join(f"{label} {p:.0%}" for label, p in list(self.labels.items())[:3])
        if self.silent:
            return SILENCE_LABEL
        return f"{UNKNOWN_LABEL} ({likely})" if self.unknown else likely or "(no classes)"

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The events as JSON values, with their time of day where one is known."""
        return [with_time(event.to_dict(), self.recorded) for event in self.events]

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "label": self.label,
            "labels": {label: round(p, 4) for label, p in self.labels.items()},
            "recorded": self.recorded.isoformat() if self.recorded else None,
            "events": self.rows,
            "silent": self.silent,
            "loudness_db": round(self.loudness, 1),
            "duration": round(self.seconds, 3),
            "reasons": list(self.reasons),
        }

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        return {
            "sound": self.summary,
            "duration": f"{self.seconds:.1f} s",
            "events": str(len(self.events)),
            "damage": "; ".join((*self.damage, *self.reasons)),
        }


def with_time(row: dict[str, Any], recorded: datetime | None) -> dict[str, Any]:
    """The row of an event and the ``time`` at which it starts, to the millisecond."""
    if recorded is None:
        return row
    time = recorded + timedelta(seconds=row["start"])
    return row | {"time": time.isoformat(timespec="milliseconds")}


def nearest(query: Result, found: Sequence[Embeddings], count: int) -> list[dict[str, Any]]:
    """The ``count`` sources most like ``query``, each with its best moment: source, start in
    seconds, similarity -1..1.

    Windows are compared by the cosine of their embeddings. InputError where the query is silence.
    """
    if query.embeddings is None:
        raise InputError(query.source, "is silence", "search with another clip")
    wanted = _unit(query.embeddings.vectors.mean(axis=0))
    rows = []
    for one in found:
        similarities = _unit(one.vectors) @ wanted
        best = int(similarities.argmax())
        similarity = round(float(similarities[best]), 4)
        rows.append(
            {"source": one.source, "start": float(one.starts[best]), "similarity": similarity}
        )
    return sorted(rows, key=lambda row: -row["similarity"])[:count]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
