"""Every installed engine beside eager PyTorch, on the same input in the same run."""

import time

from torch import Tensor

from vitrail.engine import ENGINES, prepare
from vitrail.engine.network import Network
from vitrail.errors import MissingError

REPEATS = 3


def compare_engines(network: Network, device: str, batch_size: int) -> list[dict]:
    """One row an engine: milliseconds an item, speed as a ratio to float32 eager, largest absolute
    difference from it.

    An engine whose library is not installed has a row that says so.
    """
    batch = network.example[:1].repeat(batch_size, *[1] * (network.example.ndim - 1))
    reference, eager_seconds = _measure(network, "eager", device, batch)
    rows = []
    for name in ENGINES:
        if name == "auto":
            continue
        try:
            output, seconds = (
                (reference, eager_seconds)
                if name == "eager"
                else _measure(network, name, device, batch)
            )
        except MissingError as missing:
            rows.append(_row(network.name, name, note=missing.problem))
            continue
        rows.append(
            _row(
                network.name,
                name,
                ms_per_item=round(1000 * seconds / batch_size, 2),
                speedup=round(eager_seconds / seconds, 2),
                error=float((output.float().cpu() - reference.float().cpu()).abs().max()),
            )
        )
    return rows


def _measure(
    network: Network, engine_name: str, device: str, batch: Tensor
) -> tuple[Tensor, float]:
    engine = prepare(network.module, engine=engine_name, device=device, key=network.weights.sha256)
    output = engine(batch)  # compiles and warms up
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        engine(batch)
        seconds.append(time.perf_counter() - started)
    return output, min(seconds)


def _row(
    network: str, engine: str, ms_per_item=None, speedup=None, error=None, note: str = ""
) -> dict:
    return {
        "network": network,
        "engine": engine,
        "ms_per_item": ms_per_item,
        "speedup": speedup,
        "error": error,
        "note": note,
    }
