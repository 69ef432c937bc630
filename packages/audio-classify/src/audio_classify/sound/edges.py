"""Where a sound begins and ends, by its energy: a window tells what is heard, and hardly when."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

STEP_SECONDS = 0.01
SMOOTHED = 5  # steps
GAP = 30  # steps; a pause that is shorter does not part a sound
MIN_RISE = 10.0  # dB from the quiet to the loud of a stretch; less is one sound throughout
DEPTH = 0.6  # of that rise below its top, where a sound begins and ends
MAX_DEPTH = 30.0  # dB
FLOOR = 1e-12


class Edges:
    """The energy of a passing sound each 10 ms, of which the last ``kept_seconds`` are known.

    ``reach`` is how many seconds a window's answer may lie beside what it heard. ``begin`` and
    ``end`` take a time by windows and give that of the sound itself, at most ``reach`` away; where
    nothing rises by 10 dB there, the time stays.
    """

    def __init__(self, rate: int, reach: float, kept_seconds: float):
        self._step = max(1, round(STEP_SECONDS * rate))
        self._seconds = self._step / rate
        self._reach = max(1, round(reach / self._seconds))
        self._kept = self._reach + round(kept_seconds / self._seconds)
        self._rest = np.empty(0, np.float32)
        self._levels, self._first = np.empty(0), 0  # dB, and the step of the first of them
        self._over = False

    def watch(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The sound of the blocks (n,), looked at while it passes: in blocks so short that none
        drives what is still asked for out of memory."""
        most = self._reach * self._step
        for block in blocks:
            for start in range(0, len(block), most):
                part = block[start : start + most]
                self._add(part)
                yield part
        self._over = True

    def begin(self, seconds: float) -> float:
        """The moment next to ``seconds`` at which a sound begins."""
        loud, first = self._loud(self._steps(seconds))
        return self._nearest(np.flatnonzero(loud[1:] & ~loud[:-1]) + first, seconds)

    def end(self, begin: float, seconds: float) -> float:
        """The moment next to ``seconds``, behind ``begin``, at which a sound ends."""
        loud, first = self._loud(self._steps(seconds))
        ends = np.flatnonzero(loud[:-1] & ~loud[1:]) + first
        return self._nearest(ends[ends > self._steps(begin)], seconds)

    def _nearest(self, steps: np.ndarray, seconds: float) -> float:
        if not len(steps):
            return seconds
        times = steps * self._seconds
        return float(times[np.abs(times - seconds).argmin()])

    def _steps(self, seconds: float) -> int:
        return round(seconds / self._seconds)

    def _loud(self, at: int) -> tuple[np.ndarray, int]:
        """Whether it sounds in each known step at most ``reach`` away, with one more before and
        behind, and the step that follows the first of these; nothing where there is no telling.
        Before the beginning and behind the end of all it is quiet."""
        first = max(self._first, at - self._reach)
        levels = self._levels[first - self._first : max(0, at + self._reach - self._first)]
        if len(levels) < 2 * SMOOTHED:
            return np.empty(0, bool), first
        power = np.convolve(10 ** (levels / 10), np.full(SMOOTHED, 1 / SMOOTHED), "same")
        smooth = 10 * np.log10(power + FLOOR)
        low, high = np.percentile(smooth, 5), smooth.max()
        if high - low < MIN_RISE:
            return np.empty(0, bool), first
        loud = _bridged(smooth >= high - min(MAX_DEPTH, DEPTH * (high - low)))
        last = first + len(loud)
        ended = self._over and last == self._first + len(self._levels)
        return np.pad(
            loud, 1, constant_values=(first > 0 and loud[0], not ended and loud[-1])
        ), first

    def _add(self, block: np.ndarray) -> None:
        sound = np.concatenate([self._rest, block])
        count = len(sound) // self._step
        steps = sound[: count * self._step].astype(np.float64).reshape(count, self._step)
        self._rest = sound[count * self._step :]
        self._levels = np.append(self._levels, 10 * np.log10(steps.var(axis=1) + FLOOR))
        if (over := len(self._levels) - 2 * self._kept) > 0:  # not at every block
            over += self._kept
            self._levels, self._first = self._levels[over:], self._first + over


def _bridged(loud: np.ndarray) -> np.ndarray:
    """Pauses of less than ``GAP`` steps are sound too."""
    sounding = np.flatnonzero(loud)
    whole = loud.copy()
    for first, last in pairwise(sounding):
        whole[first:last] |= last - first <= GAP
    return whole
