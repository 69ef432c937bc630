"""Which way is the fastest that agrees with eager float32, and what was found out earlier."""

import hashlib
import json
import math
import platform
import time
from importlib import metadata
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor, nn

from vitrail.cache import cache_folder
from vitrail.engine.backends import Backends
from vitrail.engine.exported import Output, Run, largest_error
from vitrail.errors import InputError, MissingError, VitrailError, one_line
from vitrail.output import atomic_file

CPU_ROWS = 4  # on CPUs a row costs the same in any batch, so few are enough to measure
REPEATS = 2
WORTHWHILE = 0.9  # of eager's time: what saves less is not worth other numbers
# Seconds a row: with a quicker network a short job ends before another library is even loaded
EXPORT_PAYS = 0.030
CHOICE_FILE = "choice.json"


class Trial(BaseModel):
    """One way as ``auto`` saw it.

    ``seconds`` for the measured rows, ``error`` the largest absolute difference from eager float32;
    None, and a ``note`` that says why, where there is no such number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    seconds: float | None = None
    error: float | None = None
    accepted: bool = False
    note: str = ""


class Choice(BaseModel):
    """What was decided, as it is kept on disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    tolerance: float
    trials: list[Trial]


def choose(
    backends: Backends, batch: Tensor, tolerance: float, store: Path | None
) -> tuple[str, Run, list[Trial]]:
    """The way to run batches like ``batch``: its name, the function, and all trials, from ``store``
    where it knows."""
    rows = batch if backends.device == "cuda" else batch[:CPU_ROWS]
    if (known := _recall(store, tolerance)) and (run := _rebuild(backends, known.name)):
        return known.name, run, known.trials
    eager = backends.build("eager")
    reference, seconds = _measure(eager, rows)
    trials, runs = (
        [Trial(name="eager", seconds=seconds, error=0.0, accepted=True)],
        {"eager": eager},
    )
    for name, reason in _candidates(backends.device, seconds / len(rows)).items():
        trial, run = (
            (Trial(name=name, note=reason), None)
            if reason
            else _try(backends, name, rows, reference)
        )
        trials.append(
            trial.model_copy(
                update={"accepted": trial.error is not None and trial.error <= tolerance}
            )
        )
        runs[name] = run
    best = min((trial for trial in trials if trial.accepted), key=lambda trial: trial.seconds)
    name = best.name if best.seconds < WORTHWHILE * seconds else "eager"
    _remember(store, Choice(name=name, tolerance=tolerance, trials=trials))
    return name, runs[name], trials


def store_for(key: str, module: nn.Module, batch: Tensor, device: str) -> Path | None:
    """The cache folder of this network with these weights, this input shape and machine; None
    without ``key``."""
    try:
        folder = cache_folder("engines")
    except MissingError:
        return None
    if not key:
        return None
    libraries = [_version(name) for name in ("torch", "openvino", "onnxruntime")]
    machine = [
        device,
        torch.cuda.get_device_name() if device == "cuda" else _cpu(),
        torch.get_num_threads(),
    ]
    facts = [key, str(module), list(batch.shape[1:]), str(batch.dtype), libraries, machine]
    return folder / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _candidates(device: str, seconds_per_row: float) -> dict[str, str]:
    """The ways beside eager, each with the reason not to try it (empty: try it)."""
    if device == "cuda":
        return {"bfloat16": ""}
    quick = (
        f"eager takes under {1000 * EXPORT_PAYS:.0f} ms a row"
        if seconds_per_row < EXPORT_PAYS
        else ""
    )
    second = "OpenVINO does the same" if _version("openvino") else ""
    return {"bfloat16": "", "openvino": quick, "openvino-bfloat16": quick, "onnx": quick or second}


def _try(
    backends: Backends, name: str, rows: Tensor, reference: Output
) -> tuple[Trial, Run | None]:
    try:
        run = backends.build(name)
        output, seconds = _measure(run, rows)
        error = largest_error(output, reference)
    except MissingError as missing:
        return Trial(name=name, note=f"{missing.subject} is not installed"), None
    except (
        Exception
    ) as failure:  # whatever goes wrong in a library that is only tried, eager remains
        reason = (
            failure.reason
            if isinstance(failure, VitrailError)
            else f"{type(failure).__name__}: {failure}"
        )
        return Trial(name=name, note=one_line(reason, 120)), None
    if math.isfinite(error):
        return Trial(name=name, seconds=seconds, error=error), run
    return Trial(name=name, seconds=seconds, note="gives NaN or infinity"), run


def _measure(run: Run, rows: Tensor) -> tuple[Output, float]:
    output = run(rows)  # warms up
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run(rows)
        seconds.append(time.perf_counter() - started)
    return output, min(seconds)


def _recall(store: Path | None, tolerance: float) -> Choice | None:
    try:
        choice = Choice.model_validate_json((store / CHOICE_FILE).read_bytes()) if store else None
    except (OSError, ValidationError):
        return None
    return choice if choice and choice.tolerance == tolerance else None


def _rebuild(backends: Backends, name: str) -> Run | None:
    """The way that was chosen earlier, if it is still there."""
    try:
        return backends.build(name)
    except Exception:  # a library went away, or the name is none
        return None


def _remember(store: Path | None, choice: Choice) -> None:
    if not store:
        return
    try:
        with atomic_file(store / CHOICE_FILE) as temporary:
            temporary.write_text(choice.model_dump_json(indent=1))
    except InputError:  # a full or read-only cache must not stop the work
        return


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
