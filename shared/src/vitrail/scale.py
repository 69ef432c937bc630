"""The runner spread over processes and machines by Ray Data: some sources at a time per worker."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from vitrail import runner
from vitrail.errors import MissingError, UsageError, VitrailError, one_line
from vitrail.job import Engine, Failure, Job
from vitrail.sources import Source

LOCAL = "local"
SOURCES_AT_ONCE = 8  # so that batches fill across sources, and a lost worker repeats little


def run(
    job: Job,
    sources: Sequence[Source],
    *,
    batch_size: int,
    on_progress: Callable[[Source, int], None] | None = None,
    ray: str = LOCAL,
) -> Iterator[tuple[Source, Any]]:
    """As ``runner.run``, by workers that Ray keeps.

    ``ray`` is a cluster's address, or ``local`` for a cluster of this machine's processors that
    ends with the call.

    Each worker has the job for itself, with one network of each kind. The sources of a worker that
    dies are given to another. ``on_progress`` hears of each source that is done; what jobs tell is
    not heard. Files must be reachable under the same paths from all machines. Raises MissingError
    without the library ray, UsageError where the cluster does not answer.
    """
    if not sources:
        return
    data = _connect(ray)
    dataset = data.from_items(list(sources), override_num_blocks=_blocks(len(sources)))
    done = dataset.map_batches(
        _Worker,
        fn_constructor_args=(job, batch_size),
        batch_size=SOURCES_AT_ONCE,
        compute=data.ActorPoolStrategy(min_size=1, max_size=_workers(len(sources))),
    )
    for source, row in zip(sources, done.iter_rows(), strict=True):
        job.networks = row["engines"]  # which say how the workers compute
        if on_progress:
            on_progress(source, 1)
        yield source, row["outcome"]


@dataclass(frozen=True)
class Elsewhere:
    """An engine in another process, as far as a row tells of it."""

    name: str
    device: str
    weights: str

    @classmethod
    def of(cls, engine: Engine) -> "Elsewhere":
        return cls(engine.name, engine.device, engine.weights)

    def __call__(self, *batch: np.ndarray) -> Any:
        raise RuntimeError("this network runs in another process")


class _Worker:
    """A process of Ray with the job in it."""

    def __init__(self, job: Job, batch_size: int):
        self.job, self.batch_size = job, batch_size

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        sources = list(batch["item"])
        found = runner.run(self.job, sources, batch_size=self.batch_size)
        outcomes = [_portable(outcome) for _, outcome in found]
        engines = {name: Elsewhere.of(engine) for name, engine in self.job.networks.items()}
        return {"outcome": _column(outcomes), "engines": _column([engines] * len(outcomes))}


def _portable(outcome: Any) -> Any:
    """A failure whose error travels between processes: libraries' own errors may not."""
    if isinstance(outcome, Failure) and not isinstance(outcome.error, VitrailError):
        told = RuntimeError(f"{type(outcome.error).__name__}: {outcome.error}")
        return Failure(outcome.source, outcome.reason, told)
    return outcome


def _column(values: list) -> np.ndarray:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _connect(address: str) -> Any:
    """The module ``ray.data``, with a cluster behind it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report over the network
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        library, data = import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise MissingError(
            "ray", "this library is not installed", "install vitrail[ray]"
        ) from error
    context = data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    where = {"include_dashboard": False} if address == LOCAL else {"address": address}
    try:
        library.init(ignore_reinit_error=True, logging_level="ERROR", log_to_driver=False, **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        problem = f"no Ray cluster answers ({one_line(str(error), 80)})"
        raise UsageError(f"--ray {address}", problem, "give its address, or local") from error
    return data


def _blocks(count: int) -> int:
    return -(-count // SOURCES_AT_ONCE)


def _workers(count: int) -> int:
    processors = int(import_module("ray").cluster_resources().get("CPU", 1))
    return max(1, min(processors, _blocks(count)))
