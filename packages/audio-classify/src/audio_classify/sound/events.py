"""From scores over time to events: a median filter, two thresholds, and no gaps within an event."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audio_classify.sound.edges import Edges

MEDIAN = 3  # cells


@dataclass(frozen=True)
class Event:
    """``start`` and ``end`` in seconds; ``probability`` is the highest that the class reached."""

    label: str
    start: float
    end: float
    probability: float

    def to_dict(self) -> dict:
        return {
            "label": self.label,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "probability": round(self.probability, 4),
        }


@dataclass(frozen=True)
class Begun:
    """An event that has begun at ``start`` seconds and is not over."""

    label: str
    start: float

    def to_dict(self) -> dict:
        return {"label": self.label, "start": round(self.start, 3)}


@dataclass(frozen=True)
class Rule:
    """An event begins where a class reaches ``begin`` and lasts while it stays above ``keep``; a
    gap of at most ``gap`` seconds is bridged, and what is shorter than ``shortest`` seconds is
    dropped."""

    begin: float = 0.5
    keep: float = 0.3
    gap: float = 0.0
    shortest: float = 0.0


class EventTracker:
    """Takes one row of scores a cell, in order, and gives each event as soon as it has begun, and
    again as soon as it is certain to be over.

    The same object serves files and live streams. An event is known at the latest one cell (for the
    median) and ``gap`` seconds after its end. With ``edges`` it begins and ends where the sound
    does.
    """

    def __init__(
        self,
        labels: Sequence[str],
        cell_seconds: float,
        rule: Rule = Rule(),
        edges: Edges | None = None,
    ):
        self.labels, self.cell_seconds, self.rule, self.edges = labels, cell_seconds, rule, edges
        self._recent: deque[np.ndarray] = deque(maxlen=MEDIAN)
        self._cell = 0  # of the next filtered row
        self._open: dict[
            int, list
        ] = {}  # class -> [start in seconds, last cell that was kept, highest score]

    def add(self, scores: np.ndarray) -> Iterator[Begun | Event]:
        """``scores`` (classes,) of the next cell."""
        if not self._recent:
            self._recent.append(scores)  # the first cell is its own neighbour
        self._recent.append(scores)
        if len(self._recent) == MEDIAN:
            yield from self._step(np.median(self._recent, axis=0))

    def end(self, seconds: float) -> Iterator[Begun | Event]:
        """The events that are still open when the sound ends after ``seconds``."""
        if self._recent:
            self._recent.append(self._recent[-1])
            filtered = np.median(self._recent, axis=0)
            yield from self._step(filtered)
        for number in list(self._open):
            yield from self._close(number, seconds)

    def _step(self, scores: np.ndarray) -> Iterator[Begun | Event]:
        cell, self._cell = self._cell, self._cell + 1
        for number in np.flatnonzero(scores >= self.rule.begin).tolist():
            if number not in self._open:
                start = cell * self.cell_seconds
                start = self.edges.begin(start) if self.edges else start
                self._open[number] = [start, cell, 0.0]
                yield Begun(self.labels[number], start)
        for number, state in list(self._open.items()):
            if scores[number] >= self.rule.keep:
                state[1:] = cell, max(state[2], float(scores[number]))
            elif (cell - state[1]) * self.cell_seconds > self.rule.gap:
                yield from self._close(number)

    def _close(self, number: int, at_most: float = float("inf")) -> Iterator[Begun | Event]:
        start, last, highest = self._open.pop(number)
        end = min(at_most, (last + 1) * self.cell_seconds)
        end = self.edges.end(start, end) if self.edges else end
        if end - start >= self.rule.shortest:
            yield Event(self.labels[number], start, end, highest)
