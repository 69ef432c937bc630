"""The way of the data: read, items, infer, collect; and the runner that batches across sources."""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from vitrail.errors import MAX_LINE, MAX_SUBJECT, VitrailError, one_line
from vitrail.sources import sha256

Sample = TypeVar("Sample")
Result = TypeVar("Result")

MAX_OPEN = 64  # sources, each of which may hold a file open


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
        """The result from all rows of one source, in the order of its items; ``outputs`` is empty
        where it had none."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that two runs must share to give the same numbers: model, version, weights,
        options."""

    @abstractmethod
    def runtime(self) -> dict[str, Any]:
        """Where the networks run: ``device`` and ``engine``."""

    def fingerprint(self, source: Path) -> str:
        """Hex SHA-256 of all that ``source`` stands for; by it ``--resume`` knows whether the input
        is the same."""
        return sha256(source)

    def close(self, sample: Sample) -> None:
        """Releases what ``read`` opened."""


@dataclass(frozen=True)
class Failure:
    """A source that could not be done, and why, without its name."""

    source: str
    reason: str
    error: Exception


def run(
    pipeline: Pipeline[Sample, Result],
    sources: Iterable[Path],
    *,
    batch_size: int,
    on_progress: Callable[[Path, int], None] | None = None,
) -> Iterator[tuple[Path, Result | Failure]]:
    """Yields each source with its result or its failure, in the order of ``sources``.

    Items of several sources share a batch when their shapes and dtypes agree; all rows of one
    source must be of one shape. A source is opened only when those before it have given all their
    items. At most ``2 * batch_size`` items wait and ``MAX_OPEN`` sources are open: where more
    would, a batch is computed before it is full. ``on_progress`` hears of each computed batch: a
    source, and how many of its items were in it. An error in ``read``, ``items``, ``collect`` or
    ``close`` fails its source, one in ``infer`` the sources of that batch.
    """
    runner = _Runner(pipeline, batch_size, on_progress)
    try:
        for source in sources:
            runner.take(source)
            yield from runner.finished()
            while len(runner.jobs) >= MAX_OPEN:
                runner.compute_oldest()
                yield from runner.finished()
        while runner.jobs:
            runner.compute_oldest()
            yield from runner.finished()
    finally:
        runner.close()


def compute(pipeline: Pipeline[Sample, Result], sample: Sample, *, batch_size: int) -> Result:
    """The result of one open sample, in batches of consecutive items of one shape; errors pass
    through."""
    rows = _Rows()
    for batch in _alike(pipeline.items(sample), batch_size):
        for row in pipeline.infer(torch.stack(batch)):
            rows.put(rows.reserve(), row)
    return pipeline.collect(sample, rows.stacked())


def _alike(items: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    """At most ``size`` consecutive items of one shape at a time."""
    batch: list[Tensor] = []
    for item in items:
        if batch and (len(batch) == size or item.shape != batch[0].shape):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


class _Rows:
    """Rows of output, all of one shape, in one buffer that doubles: thousands of small tensors
    between the large ones of the work would keep memory from being given back."""

    def __init__(self):
        self.count = 0
        self._buffer = torch.empty(0)

    def reserve(self) -> int:
        self.count += 1
        return self.count - 1

    def put(self, place: int, row: Tensor) -> None:
        if place >= len(self._buffer):
            filled, self._buffer = self._buffer, row.new_empty((2 * self.count, *row.shape))
            if len(filled):
                self._buffer[: len(filled)] = filled
        if row.shape != self._buffer.shape[1:]:
            raise ValueError(
                f"rows of the shapes {tuple(row.shape)} and {tuple(self._buffer.shape[1:])}"
            )
        self._buffer[place] = row

    def stacked(self) -> Tensor:
        """(rows, ...), empty where none was reserved."""
        return self._buffer[: self.count]


@dataclass(eq=False)
class _Job:
    """One source: its sample while that is open, the rows that came back, and what became of it."""

    source: Path
    sample: Any = None
    rows: _Rows = field(default_factory=_Rows)
    waiting: int = 0
    outcome: Any = None


class _Waiting(NamedTuple):
    """An item that waits for its batch to fill, and where its row belongs."""

    job: _Job
    place: int
    item: Tensor


class _Runner:
    """The open sources in order, and the batches that fill up, by shape and dtype, the oldest
    first."""

    def __init__(
        self, pipeline: Pipeline, batch_size: int, on_progress: Callable[[Path, int], None] | None
    ):
        self.pipeline, self.batch_size, self.on_progress = pipeline, batch_size, on_progress
        self.jobs: deque[_Job] = deque()
        self.batches: dict[tuple, list[_Waiting]] = {}

    def take(self, source: Path) -> None:
        """Opens a source and takes all its items, computing each batch as soon as it is full."""
        job = _Job(source)
        self.jobs.append(job)
        try:
            job.sample = self.pipeline.read(source)
            for item in self.pipeline.items(job.sample):
                self._add(job, item)
                if job.outcome is not None:  # a batch with items of this source went wrong
                    return
        except Exception as error:
            self._fail(job, error)

    def finished(self) -> Iterator[tuple[Path, Any]]:
        """The outcomes of the sources that nothing keeps waiting any more, first come first."""
        while self.jobs and (self.jobs[0].outcome is not None or not self.jobs[0].waiting):
            job = self.jobs.popleft()
            try:
                if job.outcome is None:
                    job.outcome = self.pipeline.collect(job.sample, job.rows.stacked())
            except Exception as error:
                job.outcome = _failure(job.source, error)
            finally:
                self._close(job)
            yield job.source, job.outcome

    def compute_oldest(self) -> None:
        """Runs the batch that has waited longest, full or not."""
        if self.batches:
            self._compute(next(iter(self.batches)))

    def close(self) -> None:
        while self.jobs:
            self._close(self.jobs.popleft())

    def _add(self, job: _Job, item: Tensor) -> None:
        kind = (item.shape, item.dtype)
        self.batches.setdefault(kind, []).append(_Waiting(job, job.rows.reserve(), item))
        job.waiting += 1
        if len(self.batches[kind]) == self.batch_size:
            self._compute(kind)
        elif sum(map(len, self.batches.values())) >= 2 * self.batch_size:
            self.compute_oldest()

    def _compute(self, kind: tuple) -> None:
        batch = self.batches.pop(kind)
        try:
            rows = self.pipeline.infer(torch.stack([waiting.item for waiting in batch]))
            if len(rows) != len(batch):
                raise ValueError(f"{len(rows)} rows came back for {len(batch)} items")
            for waiting, row in zip(batch, rows, strict=True):
                waiting.job.rows.put(waiting.place, row)
                waiting.job.waiting -= 1
        except Exception as error:
            for job in {waiting.job for waiting in batch}:
                self._fail(job, error)
            return
        if self.on_progress:
            for job, count in Counter(waiting.job for waiting in batch).items():
                self.on_progress(job.source, count)

    def _fail(self, job: _Job, error: Exception) -> None:
        """Gives up one source; its items leave the batches."""
        job.outcome = _failure(job.source, error)
        rest = {
            kind: [waiting for waiting in batch if waiting.job is not job]
            for kind, batch in self.batches.items()
        }
        self.batches = {kind: batch for kind, batch in rest.items() if batch}

    def _close(self, job: _Job) -> None:
        sample, job.sample = job.sample, None
        if sample is None:
            return
        try:
            self.pipeline.close(sample)
        except Exception as error:
            job.outcome = _failure(job.source, error)


def _failure(source: Path, error: Exception) -> Failure:
    if isinstance(error, VitrailError):
        return Failure(str(source), error.reason, error)
    reason = one_line(
        f"unexpected {type(error).__name__}: {error}; --debug shows where", MAX_LINE - MAX_SUBJECT
    )
    return Failure(str(source), reason, error)
