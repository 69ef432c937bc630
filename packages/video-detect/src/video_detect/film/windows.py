"""Which frames are detected together, and from which window each frame's objects are taken."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Window(Generic[Kept]):
    """``frames`` go in together; the objects of ``frames[begin:end]`` are taken out."""

    frames: list[Kept]
    begin: int
    end: int


class Windows(Generic[Kept]):
    """Windows of ``size`` frames out of a stream, of which no more are kept.

    A frame's objects are taken from the window in which it lies deepest: windows share
    ``overlap`` frames, half of which each of the two gives. The last one reaches back, so that all
    are full; a film shorter than a window is one window. ``causal``: each frame is judged as it
    comes, after the ``size - 1`` before it; before the first, that one stands for them.

    Where the objects of the first ``done`` frames are known already, frames are pushed from
    ``begin`` on, or from any before it, and windows come where they would have come.
    """

    def __init__(self, size: int, overlap: int, *, causal: bool = False, done: int = 0):
        self.size, self.overlap, self.causal = size, min(overlap, size - 1), causal
        self.ahead = 0 if causal else self.overlap // 2  # frames that the next window sees deeper
        self.frames: deque[Kept] = deque(maxlen=size)
        self.known = done + self.ahead if done else 0  # frames that were in a window before
        self.begin = max(self.known - size, 0)
        self.waiting = self.ahead if done else 0  # frames whose objects were not taken yet

    def push(self, frame: Kept, position: int) -> Window[Kept] | None:
        """The next frame, the film's ``position``-th from 0; a window where one is due."""
        if self.causal and not self.frames:
            self.frames.extend([frame] * (self.size - 1))
        self.frames.append(frame)
        if position < self.known:
            return None
        self.waiting += 1
        if self.causal:
            return self._window(0)
        fresh = self.size - self.overlap + self.ahead
        ready = len(self.frames) == self.size and self.waiting >= fresh
        return self._window(self.ahead) if ready else None

    def finish(self) -> Window[Kept] | None:
        """What is left at the end of the film."""
        return self._window(0) if self.waiting else None

    def _window(self, ahead: int) -> Window[Kept]:
        begin, end = len(self.frames) - self.waiting, len(self.frames) - ahead
        self.waiting = ahead
        return Window(list(self.frames), begin, end)
