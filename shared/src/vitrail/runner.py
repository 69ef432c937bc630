"""The runner: jobs wait where they ask, batches fill across all of them, each gets its rows."""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from vitrail.job import Ask, Item, Job, Steps, Tell, failure
from vitrail.sources import Source

MAX_OPEN = 64  # sources, each of which may hold a file open

Kind = tuple[str, Any]
Compute = Callable[..., Any]  # an engine, or whatever computes in its place


def run(
    job: Job,
    sources: Iterable[Source],
    *,
    batch_size: int,
    on_progress: Callable[[Source, int], None] | None = None,
    on_tell: Callable[[Source, Any], None] | None = None,
) -> Iterator[tuple[Source, Any]]:
    """Yields each source with its result or its Failure, in the order of ``sources``.

    Items of several sources share a batch when network, shapes and dtypes agree. Another source is
    opened only while fewer than ``2 * batch_size`` items wait, no batch is full, and fewer than
    ``MAX_OPEN`` sources are open; so what waits is bounded by that and by one ``Ask``. A batch that
    goes wrong is computed again for each of its sources alone, so that one never fails another.
    ``on_progress`` hears of each computed batch: a source, and how many of its items were in it.
    ``on_tell`` hears what jobs tell.
    """
    runner = _Runner(job, batch_size, on_progress, on_tell)
    rest, more = iter(sources), True
    try:
        while more or runner.open:
            while more and runner.has_room():
                source = next(rest, None)
                if source is None:
                    more = False
                else:
                    runner.begin(source)
            runner.compute_next()
            yield from runner.finished()
    finally:
        runner.close()


def stream(networks: Mapping[str, Compute], steps: Steps, *, batch_size: int) -> Generator:
    """Runs one generator alone: yields what it tells, as soon as it does, and returns its result.

    Errors pass through it first, so that its ``with`` blocks are left.
    """
    move = partial(steps.send, None)
    try:
        while True:
            step = move()
            if isinstance(step, Tell):
                yield step.value
                move = partial(steps.send, None)
                continue
            try:
                rows = _answer(networks[step.network], step.items, batch_size)
                move = partial(steps.send, rows)
            except Exception as error:
                move = partial(steps.throw, error)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def solve(networks: Mapping[str, Compute], steps: Steps, *, batch_size: int = 16) -> Any:
    """The result of one generator; what it tells is not heard, and errors pass."""
    running = stream(networks, steps, batch_size=batch_size)
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value


def _steps(job: Job, source: Source) -> Steps:
    source.require_found()
    return (yield from job.process(source))


def _answer(engine: Compute, items: Sequence[Item], batch_size: int) -> list:
    """The rows of ``items``, computed in batches of consecutive ones of one kind."""
    rows: list = []
    batch: list[Item] = []
    for item in items:
        if batch and (len(batch) == batch_size or _kind(item) != _kind(batch[0])):
            rows += _compute(engine, batch)
            batch = []
        batch.append(item)
    return rows + (_compute(engine, batch) if batch else [])


def _compute(engine: Compute, items: Sequence[Item]) -> list:
    """One row for each of ``items``, which are of one kind."""
    parts = zip(*items, strict=True) if isinstance(items[0], tuple) else [items]
    output = engine(*(np.stack(part) for part in parts))
    rows = list(zip(*output, strict=True)) if isinstance(output, tuple) else list(output)
    if len(rows) != len(items):
        raise ValueError(f"{len(rows)} rows came back for {len(items)} items")
    return rows


def _kind(item: Item) -> Any:
    """What items must share to share a batch."""
    if isinstance(item, tuple):
        return tuple(map(_kind, item))
    return item.shape, item.dtype


@dataclass(eq=False)
class _Open:
    """One source on its way: where it waits, the rows that came back, what became of it."""

    source: Source
    steps: Steps
    rows: list = field(default_factory=list)
    missing: int = 0
    outcome: Any = None
    done: bool = False


class _Waiting(NamedTuple):
    """An item that waits for its batch to fill, and where its row belongs."""

    owner: _Open
    place: int
    item: Item


class _Runner:
    """The open sources in order, and the items that wait, by network and kind, the oldest first."""

    def __init__(self, job: Job, batch_size: int, on_progress: Any, on_tell: Any):
        self.job, self.batch_size = job, batch_size
        self.on_progress, self.on_tell = on_progress, on_tell
        self.open: deque[_Open] = deque()
        self.waiting: dict[Kind, list[_Waiting]] = {}

    def has_room(self) -> bool:
        """Whether another source should be opened before anything is computed."""
        sizes = [len(queue) for queue in self.waiting.values()]
        crowded = sum(sizes) >= 2 * self.batch_size or max(sizes, default=0) >= self.batch_size
        return len(self.open) < MAX_OPEN and not crowded and not self._first_is_done()

    def begin(self, source: Source) -> None:
        owner = _Open(source, _steps(self.job, source))
        self.open.append(owner)
        self._step(owner, partial(owner.steps.send, None))

    def compute_next(self) -> None:
        """Runs a full batch if there is one, else the one that has waited longest."""
        full = (kind for kind, queue in self.waiting.items() if len(queue) >= self.batch_size)
        kind = next(full, None) or next(iter(self.waiting), None)
        if kind is None or self._first_is_done():
            return
        queue = self.waiting.pop(kind)
        batch, rest = queue[: self.batch_size], queue[self.batch_size :]
        if rest:
            self.waiting = {kind: rest, **self.waiting}
        self._run(kind[0], batch)

    def finished(self) -> Iterator[tuple[Source, Any]]:
        """The outcomes of the sources that are done, as far as all before them are."""
        while self._first_is_done():
            owner = self.open.popleft()
            yield owner.source, owner.outcome

    def close(self) -> None:
        while self.open:
            with suppress(Exception):  # nobody is left to hear of it, and the others must close too
                self.open.popleft().steps.close()

    def _first_is_done(self) -> bool:
        return bool(self.open) and self.open[0].done

    def _run(self, network: str, batch: Sequence[_Waiting]) -> None:
        owners = list(dict.fromkeys(waiting.owner for waiting in batch))
        try:
            rows = _compute(self.job.networks[network], [waiting.item for waiting in batch])
        except Exception as error:
            if len(owners) == 1:
                self._give_up(owners[0], error)
                return
            for owner in owners:
                self._run(network, [waiting for waiting in batch if waiting.owner is owner])
            return
        for waiting, row in zip(batch, rows, strict=True):
            waiting.owner.rows[waiting.place] = row
            waiting.owner.missing -= 1
        if self.on_progress:
            for owner, count in Counter(waiting.owner for waiting in batch).items():
                self.on_progress(owner.source, count)
        for owner in owners:
            if not owner.missing:
                self._resume(owner)

    def _resume(self, owner: _Open) -> None:
        rows, owner.rows = owner.rows, []
        self._step(owner, partial(owner.steps.send, rows))

    def _give_up(self, owner: _Open, error: Exception) -> None:
        """Throws a network's error into the job that asked it; its other items leave the queues."""
        kept = {
            kind: [waiting for waiting in queue if waiting.owner is not owner]
            for kind, queue in self.waiting.items()
        }
        self.waiting = {kind: queue for kind, queue in kept.items() if queue}
        self._step(owner, partial(owner.steps.throw, error))

    def _step(self, owner: _Open, move: Callable[[], Ask | Tell]) -> None:
        """Lets a job go on to where it asks next, or to its end."""
        try:
            step = move()
            while isinstance(step, Tell) or not step.items:
                if isinstance(step, Tell) and self.on_tell:
                    self.on_tell(owner.source, step.value)
                step = owner.steps.send(None if isinstance(step, Tell) else [])
            items = [((step.network, _kind(item)), item) for item in step.items]
        except StopIteration as end:
            owner.outcome, owner.done = end.value, True
            return
        except Exception as error:
            owner.steps.close()
            owner.outcome, owner.done = failure(owner.source, error), True
            return
        owner.rows, owner.missing = [None] * len(items), len(items)
        for place, (kind, item) in enumerate(items):
            self.waiting.setdefault(kind, []).append(_Waiting(owner, place, item))
