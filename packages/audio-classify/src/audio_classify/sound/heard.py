"""A recording while it passes: what is read of it, and what is kept."""

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soxr

from audio_classify.sound.events import Event
from vitrail.errors import InputError
from vitrail.preprocess.audio import Blocks

MIN_ROWS = 32  # of a buffer


@dataclass
class Sound:
    """A waveform in memory, as the reader of a file would give it."""

    samples: np.ndarray
    rate: int
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def checked(cls, sound: np.ndarray, rate: int) -> "Sound":
        """InputError for what is not a sound."""
        sound = np.asarray(sound)
        is_sound = sound.ndim == 1 and sound.size and sound.dtype.kind == "f"
        if not (is_sound and np.isfinite(sound).all()):
            problem = f"is {sound.dtype} of shape {sound.shape}"
            raise InputError("array", problem, "give finite floating-point numbers (samples,)")
        return cls(sound, rate)

    def blocks(self, sample_rate: int, channel: int | None = None) -> Blocks:
        samples = self.samples
        if self.rate != sample_rate:
            samples = soxr.resample(samples, self.rate, sample_rate)
        yield samples.astype(np.float32)


class Span(NamedTuple):
    """A window in samples, its loudness, the gain in dB, and what the network gets of it (None:
    silence)."""

    start: int
    end: int
    loudness: float
    gain: float
    item: np.ndarray | None


class Rows:
    """Rows of one shape in one buffer that doubles: thousands of small arrays between the large
    ones of the work would keep memory from being given back."""

    def __init__(self):
        self.count = 0
        self._buffer = np.empty(0, np.float32)

    def add(self, row: np.ndarray) -> None:
        if self.count == len(self._buffer):
            grown = np.empty((max(MIN_ROWS, 2 * self.count), *row.shape), row.dtype)
            if self.count:
                grown[: self.count] = self._buffer
            self._buffer = grown
        self._buffer[self.count] = row
        self.count += 1

    def array(self) -> np.ndarray:
        """(rows, ...)."""
        return self._buffer[: self.count].copy()


class Heard:
    """What is kept of a file while it passes: sums, events, the windows that were not silent, with
    their embeddings where there are any, and the scores of each hop where they are wanted."""

    def __init__(self):
        self.end, self.loudness, self.raised = 0, -np.inf, 0.0
        self._skipped, self._judged_to = 0, 0
        self.events: list[Event] = []
        self.starts = array("q")
        self.total: np.ndarray | float = 0.0
        self.vectors, self.cells = Rows(), Rows()

    @property
    def silence(self) -> int:
        """The samples that lie in silent windows alone."""
        return self._skipped + self.end - self._judged_to

    def add(self, span: Span, scores: np.ndarray, embedding: np.ndarray) -> None:
        self.end, self.loudness = span.end, max(self.loudness, span.loudness)
        self.raised = max(self.raised, span.gain)
        if span.item is None:
            return
        self._skipped += max(0, span.start - self._judged_to)
        self._judged_to = span.end
        self.starts.append(span.start)
        self.total = self.total + scores.astype(np.float64)
        if len(embedding):
            self.vectors.add(embedding)
