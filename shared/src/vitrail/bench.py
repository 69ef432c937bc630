"""Every installed engine beside eager PyTorch, on the same input in the same run; and the clock of
the scripts under benchmarks/."""

import time
from collections.abc import Callable

import numpy as np

from vitrail.engine import ENGINES, Network, prepare
from vitrail.engine.choice import measure
from vitrail.engine.output import Arrays, Output
from vitrail.errors import MissingError


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the cheapest of some runs."""
    runs = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        runs.append(time.process_time() - started)
    return min(runs)


def compare_engines(network: Network, device: str, batch_size: int) -> list[dict]:
    """One row per engine: milliseconds per item, speed as a ratio to float32 eager, largest
    absolute difference from it.

    An engine whose library is not installed has a row that says so.
    """
    batch = tuple(np.repeat(part[:1], batch_size, axis=0) for part in network.inputs)
    reference, eager_seconds = _measure(network, "eager", device, batch)
    rows = [_row(network.name, "eager", eager_seconds, 1.0, 0.0)]
    for name in ENGINES:
        if name in ("auto", "eager"):
            continue
        try:
            output, seconds = _measure(network, name, device, batch)
        except MissingError as missing:
            rows.append(_row(network.name, name, note=missing.problem))
            continue
        error = network.error(output, reference)
        rows.append(_row(network.name, name, seconds, eager_seconds / seconds, error))
    return rows


def _measure(network: Network, name: str, device: str, batch: Arrays) -> tuple[Output, float]:
    return measure(prepare(network, engine=name, device=device), batch)


def _row(
    network: str,
    engine: str,
    seconds: float | None = None,
    speedup: float | None = None,
    error: float | None = None,
    note: str = "",
) -> dict:
    return {
        "network": network,
        "engine": engine,
        "ms_per_item": None if seconds is None else round(1000 * seconds, 2),
        "speedup": None if speedup is None else round(speedup, 2),
        "error": error,
        "note": note,
    }
