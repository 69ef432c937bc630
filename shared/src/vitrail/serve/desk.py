"""Where requests are worked on: a few at once, each read in a thread of its own, while one thread
runs the networks for all of them, so that calls of several clients share a batch."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from vitrail.job import Engine, Job
from vitrail.runner import Compute, solve
from vitrail.sources import Source

Batch = tuple[np.ndarray, ...]


class Busy(Exception):
    """All places are taken, and as many wait as may."""


class Desk:
    """Runs a job for many callers. ``at_once`` are worked on, ``waiting`` more wait for at most
    ``patience`` seconds.

    A source that cannot be read, or a batch that goes wrong, ends the request that it came with and
    no other: what several requests shared is computed again for each alone.
    """

    def __init__(
        self,
        job: Job,
        *,
        batch_size: int = 16,
        at_once: int = 4,
        waiting: int = 12,
        patience: float = 20.0,
    ):
        self.job, self.batch_size, self._patience = job, batch_size, patience
        self._places, self._queue = (
            threading.BoundedSemaphore(at_once),
            threading.BoundedSemaphore(at_once + waiting),
        )
        self._shared = Shared(job.networks, batch_size)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places; Busy where none becomes free in time."""
        if not self._queue.acquire(blocking=False):
            raise Busy
        try:
            if not self._places.acquire(timeout=self._patience):
                raise Busy
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._queue.release()

    def run(self, source: Source) -> Any:
        """The job's result for one source, to be called within a place; its errors pass."""
        return solve(self.engines, self.job.process(source), batch_size=self.batch_size)

    @property
    def engines(self) -> dict[str, Compute]:
        """The job's networks, each as a callable that any thread may use and that shares batches
        with all others."""
        return {name: partial(self._shared, name) for name in self.job.networks}

    def close(self) -> None:
        """Ends the thread; whoever still waits for a network hears that the service ends."""
        self._shared.close()


@dataclass(eq=False)
class _Call:
    """Rows that one caller wants computed."""

    network: str
    batch: Batch
    output: Future = field(default_factory=Future)

    @property
    def kind(self) -> tuple:
        return self.network, *((part.shape[1:], part.dtype) for part in self.batch)


class Shared:
    """Engines that any thread may call: what comes while they compute becomes the next batch."""

    def __init__(self, engines: Mapping[str, Engine], batch_size: int):
        self._engines, self._batch_size = engines, batch_size
        self._calls: deque[_Call] = deque()
        self._changed, self._closed = threading.Condition(), False
        # A daemon, so that a network that never comes back cannot hold the process.
        self._thread = threading.Thread(target=self._work, name="networks", daemon=True)
        self._thread.start()

    def __call__(self, network: str, *batch: np.ndarray) -> Any:
        call = _Call(network, batch)
        with self._changed:
            if self._closed:
                raise RuntimeError("the service is ending")
            self._calls.append(call)
            self._changed.notify()
        return call.output.result()

    def close(self, seconds: float = 5.0) -> None:
        """Ends the thread when its batch is done; calls that wait fail."""
        with self._changed:
            self._closed = True
            for call in self._calls:
                call.output.set_exception(RuntimeError("the service is ending"))
            self._calls.clear()
            self._changed.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        while calls := self._next():
            self._compute(calls)

    def _next(self) -> list[_Call]:
        """The call that has waited longest and those of its kind that fit beside it; none at the
        end."""
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._closed)
            if not self._calls:
                return []
            first = self._calls.popleft()
            chosen, rows = [first], len(first.batch[0])
            for call in [call for call in self._calls if call.kind == first.kind]:
                if rows + len(call.batch[0]) > self._batch_size:
                    break
                chosen.append(call)
                rows += len(call.batch[0])
                self._calls.remove(call)
            return chosen

    def _compute(self, calls: Sequence[_Call]) -> None:
        counts = [len(call.batch[0]) for call in calls]
        try:
            together = zip(*(call.batch for call in calls), strict=True)
            output = self._engines[calls[0].network](*map(np.concatenate, together))
            pieces = _pieces(output, counts)
        except BaseException as error:  # the caller hears of it, and the thread must go on
            if len(calls) == 1:
                calls[0].output.set_exception(error)
                return
            for call in calls:
                self._compute([call])
            return
        for call, piece in zip(calls, pieces, strict=True):
            call.output.set_result(piece)


def _pieces(output: Any, counts: Sequence[int]) -> list[Any]:
    """The rows of each call; ValueError where there are others than were asked for."""
    parts = output if isinstance(output, tuple) else (output,)
    if any(len(part) != sum(counts) for part in parts):
        raise ValueError(f"{[len(part) for part in parts]} rows came back for {sum(counts)} items")
    stops = np.cumsum(counts)
    cut = [
        tuple(part[stop - count : stop] for part in parts)
        for stop, count in zip(stops, counts, strict=True)
    ]
    return cut if isinstance(output, tuple) else [piece[0] for piece in cut]
