"""Sound of any length as overlapping windows, and windows' scores as one row for each moment."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

SILENT_DB = -90.0  # below full scale; what rounding to 16 bits leaves of nothing is at -101


class Window(NamedTuple):
    """``start`` counts samples from the beginning; ``samples`` are float32 (n,)."""

    start: int
    samples: np.ndarray

    @property
    def loudness(self) -> float:
        """Root mean square without the constant part, in dB below full scale."""
        return 10 * float(np.log10(np.var(self.samples.astype(np.float64)) + 1e-20))


def cut_windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[Window]:
    """Windows of ``length`` samples each ``hop`` samples, and one that ends with the sound.

    A sound shorter than ``length`` is one window of its own length; an empty one gives none. Only a
    window and a block are in memory.
    """
    buffer, start, last_end, total = np.empty(0, np.float32), 0, 0, 0
    tail = buffer
    for block in blocks:
        total += len(block)
        tail = np.concatenate([tail, block])[-length:]
        buffer = np.concatenate([buffer, block])
        while len(buffer) >= length:
            yield Window(start, buffer[:length])
            last_end = start + length
            buffer, start = buffer[hop:], start + hop
    if total > last_end:
        yield Window(total - len(tail), tail)


class Moments:
    """Scores of overlapping windows as their mean in each cell of ``hop`` samples.

    ``add`` takes windows in the order of their starts and gives the cells that no later window can
    reach; ``end`` the rest. A window counts for the cells whose middle it covers.
    """

    def __init__(self, hop: int):
        self.hop = hop
        self._sums: deque[list] = deque()  # [sum, count] of the cells from ``_first`` on
        self._first = 0

    def add(self, start: int, end: int, scores: np.ndarray) -> Iterator[np.ndarray]:
        """``scores`` (classes,) of the window from sample ``start`` to ``end``; yields the finished
        cells' scores."""
        low, high = self._cell(start), max(self._cell(start) + 1, self._cell(end))
        while self._first < low and self._sums:
            yield self._finish()
        while self._first + len(self._sums) < high:
            self._sums.append([np.zeros_like(scores), 0])
        for cell in range(max(low, self._first), high):
            entry = self._sums[cell - self._first]
            entry[0], entry[1] = entry[0] + scores, entry[1] + 1

    def end(self) -> Iterator[np.ndarray]:
        while self._sums:
            yield self._finish()

    def _cell(self, sample: int) -> int:
        """The first cell whose middle does not lie before ``sample``."""
        return -(-(2 * sample - self.hop) // (2 * self.hop)) if sample > 0 else 0

    def _finish(self) -> np.ndarray:
        total, count = self._sums.popleft()
        self._first += 1
        return total / max(1, count)
