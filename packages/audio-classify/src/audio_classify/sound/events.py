"""From scores over time to events: a median filter, two thresholds, and no gaps within an event."""

import difflib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audio_classify.sound.edges import Edges
from vitrail.errors import UsageError

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


def thresholds(classes: Sequence[str], labels: Sequence[str], begin: float) -> np.ndarray:
    """Where an event of each label begins, (labels,): ``begin``, or what stands behind ``=`` in its
    entry of ``classes``, as ``("dog", "rooster=0.7")``. With entries, no event of any other label
    ever begins (infinity).

    Raises UsageError for labels that there are not and for what is no probability.
    """
    if not classes:
        return np.full(len(labels), begin)
    begins = np.full(len(labels), np.inf)
    for entry in classes:
        # A label may itself hold an equals sign
        name, _, number = (entry, "", "") if entry in labels else entry.rpartition("=")
        if name not in labels:
            near = difflib.get_close_matches(entry.partition("=")[0], labels, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(labels[:20])}"
            raise UsageError(f"--class {entry}", "is no class of these weights", remedy)
        begins[list(labels).index(name)] = _probability(entry, number) if number else begin
    return begins


def _probability(entry: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1:
        raise UsageError(f"--class {entry}", "is no probability", "write NAME=0.7")
    return value


class EventTracker:
    """Takes one row of scores a cell, in order, and gives each event as soon as it has begun, and
    again as soon as it is certain to be over.

    ``begins`` (labels,) takes the place of the rule's threshold (``thresholds``).

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
        begins: np.ndarray | None = None,
    ):
        self.begins = np.full(len(labels), rule.begin) if begins is None else begins
        self.keeps = np.minimum(rule.keep, self.begins)
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
        for number in np.flatnonzero(scores >= self.begins).tolist():
            if number not in self._open:
                start = cell * self.cell_seconds
                start = self.edges.begin(start) if self.edges else start
                self._open[number] = [start, cell, 0.0]
                yield Begun(self.labels[number], start)
        for number, state in list(self._open.items()):
            if scores[number] >= self.keeps[number]:
                state[1:] = cell, max(state[2], float(scores[number]))
            elif (cell - state[1]) * self.cell_seconds > self.rule.gap:
                yield from self._close(number)

    def _close(self, number: int, at_most: float = float("inf")) -> Iterator[Begun | Event]:
        start, last, highest = self._open.pop(number)
        end = min(at_most, (last + 1) * self.cell_seconds)
        end = self.edges.end(start, end) if self.edges else end
        if end - start >= self.rule.shortest:
            yield Event(self.labels[number], start, end, highest)
