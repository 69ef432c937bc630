"""The way of the data: read, items, infer, collect; and the runner that batches across sources."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from vitrine.errors import VitrineError

Sample = TypeVar("Sample")
Result = TypeVar("Result")


class Pipeline(ABC, Generic[Sample, Result]):
    """One system's job in four steps, each of which may raise InputError for its source alone."""

    @abstractmethod
    def read(self, source: Path) -> Sample:
        """Opens one source and fails early."""

    @abstractmethod
    def items(self, sample: Sample) -> Iterator[Tensor]:
        """The network's inputs, lazily, without a batch axis."""

    @abstractmethod
    def infer(self, batch: Tensor) -> Tensor:
        """One row of output for each item of a batch."""

    @abstractmethod
    def collect(self, sample: Sample, outputs: Tensor) -> Result:
        """The result from all rows of one source, in the order of its items; ``outputs`` is empty where it had none."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that two runs must share to give the same numbers: model, version, weights, options."""

    @abstractmethod
    def runtime(self) -> dict[str, Any]:
        """Where the networks run: ``device`` and ``engine``."""

    def close(self, sample: Sample) -> None:
        """Releases what ``read`` opened."""


@dataclass(frozen=True)
class Failure:
    """A source that could not be done, and why, without its name."""

    source: str
    reason: str
    error: Exception


@dataclass
class _Job:
    """One open source: its remaining items, and the rows that came back."""

    source: Path
    sample: Any
    items: Iterator[Tensor]
    rows: list[Tensor | None] = field(default_factory=list)
    waiting: int = 0
    exhausted: bool = False
    outcome: Any = None

    @property
    def complete(self) -> bool:
        return self.outcome is not None or (self.exhausted and not self.waiting)


def run(
    pipeline: Pipeline[Sample, Result],
    sources: Iterable[Path],
    *,
    batch_size: int,
    on_progress: Callable[[Path, int], None] | None = None,
) -> Iterator[tuple[Path, Result | Failure]]:
    """Yields each source with its result or its failure, in the order of ``sources``.

    Items of several sources share a batch when their shapes agree. At most ``batch_size`` items of a shape wait, and a
    source is opened only when those before it have given all their items. ``on_progress`` hears of each computed batch:
    a source, and how many of its items are done.
    """
    runner = _Runner(pipeline, batch_size, on_progress or (lambda source, count: None))
    jobs: deque[_Job] = deque()
    try:
        for source in sources:
            jobs.append(runner.open(source))
            runner.feed(jobs[-1])
            while jobs and jobs[0].complete:
                yield runner.finish(jobs.popleft())
        runner.flush()
        while jobs:
            yield runner.finish(jobs.popleft())
    finally:
        for job in jobs:
            runner.close(job)


class _Runner:
    """Items that wait for a full batch, by shape."""

    def __init__(self, pipeline: Pipeline, batch_size: int, on_progress: Callable[[Path, int], None]):
        self.pipeline, self.batch_size, self.on_progress = pipeline, batch_size, on_progress
        self.waiting: dict[tuple, list[tuple[_Job, int, Tensor]]] = {}

    def open(self, source: Path) -> _Job:
        try:
            sample = self.pipeline.read(source)
        except Exception as error:
            return _Job(source, None, iter(()), outcome=_failure(source, error))
        return _Job(source, sample, iter(()))

    def feed(self, job: _Job) -> None:
        """Takes all items of a job, computing each batch as soon as it is full."""
        if job.outcome is not None:
            return
        try:
            for item in self.pipeline.items(job.sample):
                kind = (tuple(item.shape), item.dtype)
                batch = self.waiting.setdefault(kind, [])
                batch.append((job, len(job.rows), item))
                job.rows.append(None)
                job.waiting += 1
                if len(batch) == self.batch_size:
                    self._compute(self.waiting.pop(kind))
                if job.outcome is not None:
                    return
        except Exception as error:
            self._fail(job, error)
        job.exhausted = True

    def flush(self) -> None:
        while self.waiting:
            self._compute(self.waiting.pop(next(iter(self.waiting))))

    def finish(self, job: _Job) -> tuple[Path, Any]:
        try:
            if job.outcome is None:
                job.outcome = self.pipeline.collect(job.sample, torch.stack(job.rows) if job.rows else torch.empty(0))
        except Exception as error:
            job.outcome = _failure(job.source, error)
        finally:
            self.close(job)
        return job.source, job.outcome

    def close(self, job: _Job) -> None:
        if job.sample is not None:
            self.pipeline.close(job.sample)
            job.sample = None

    def _compute(self, batch: list[tuple[_Job, int, Tensor]]) -> None:
        try:
            rows = self.pipeline.infer(torch.stack([item for _, _, item in batch]))
        except Exception as error:
            for job, _, _ in batch:
                self._fail(job, error)
            return
        counts: dict[int, tuple[_Job, int]] = {}
        for (job, place, _), row in zip(batch, rows, strict=True):
            job.rows[place] = row
            job.waiting -= 1
            counts[id(job)] = (job, counts.get(id(job), (job, 0))[1] + 1)
        for job, count in counts.values():
            self.on_progress(job.source, count)

    def _fail(self, job: _Job, error: Exception) -> None:
        """Gives up one source; its items leave the waiting batches."""
        job.outcome = _failure(job.source, error)
        for kind, batch in list(self.waiting.items()):
            self.waiting[kind] = [entry for entry in batch if entry[0] is not job]


def _failure(source: Path, error: Exception) -> Failure:
    if isinstance(error, VitrineError):
        return Failure(str(source), error.reason, error)
    return Failure(str(source), f"unexpected {type(error).__name__}: {error}; --debug shows where", error)
