"""Which way is the fastest that agrees with eager float32, and what was found out earlier."""

import math
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from vitrail.engine.backends import EXPORTED, Backends
from vitrail.engine.devices import has_bfloat16
from vitrail.engine.output import Arrays, Output, Run
from vitrail.engine.store import version
from vitrail.errors import InputError, MissingError, VitrailError, one_line
from vitrail.output import atomic_file

REPEATS = 2
ENOUGH = 0.2  # seconds of measuring, after which no repeat tells more
LONG = 2.0  # seconds of a first run, in which warming up is a small part
WORTHWHILE = 0.9  # of the time: what saves less is not worth other numbers
TORCH_START = 4.4  # CPU seconds that importing PyTorch takes, which a converted network saves
CLEARLY = 0.67  # of the time; on a busy machine one measurement misses by a third
USUAL_ROWS = 200  # of a call, over which those seconds are spread
START = TORCH_START / USUAL_ROWS
CANDIDATES = {  # beside eager; bfloat16 after those that may show that it cannot win
    "cpu": ("openvino", "openvino-bfloat16", "bfloat16", "onnx"),
    "cuda": ("bfloat16",),
}
CHOICE_FILE = "choice.json"


class Trial(BaseModel):
    """One way as ``auto`` saw it.

    ``seconds`` for one row, ``error`` the difference from eager float32 (``Network.error``); None,
    and a ``note`` that says why, where there is no such number.
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


def choose(backends: Backends, batch: Arrays, tolerance: float) -> tuple[str, Run, list[Trial]]:
    """The way to run batches like ``batch``: its name, the function, and all trials, from the
    backends' store where it knows."""
    if (known := _recall(backends.store, tolerance)) and (run := _rebuild(backends, known.name)):
        return known.name, run, known.trials
    rows = batch if backends.device == "cuda" else backends.sample
    eager = backends.build("eager")
    reference, seconds = measure(eager, rows, ENOUGH)
    backends.reference = reference if backends.device == "cpu" else None
    trials = [Trial(name="eager", seconds=seconds, error=0.0, accepted=True)]
    runs = {"eager": eager}
    for name in CANDIDATES[backends.device]:
        if reason := _pointless(name, backends.device, trials):
            trials.append(Trial(name=name, note=reason))
            continue
        trial, run = _try(backends, name, rows, reference)
        if run is not None:
            runs[name] = run
        accepted = trial.error is not None and trial.error <= tolerance
        trials.append(trial.model_copy(update={"accepted": accepted}))
    name = _best(trials, counts_start=backends.device == "cpu")
    _remember(backends.store, Choice(name=name, tolerance=tolerance, trials=trials))
    return name, runs[name], trials


def measure(run: Run, rows: Arrays, enough: float = math.inf) -> tuple[Output, float]:
    """What ``run`` gives, and its seconds per row, the smallest of a few: the first warms up, and
    none is repeated once ``enough`` seconds are over, or after a first that took ``LONG``."""
    seconds: list[float] = []
    for repeat in range(1 + REPEATS):
        started = time.perf_counter()
        output = run(*rows)
        seconds.append(time.perf_counter() - started)
        if seconds[0] >= LONG or (repeat and sum(seconds[1:]) >= enough):
            break
    return output, min(seconds) / len(rows[0])


def _best(trials: list[Trial], *, counts_start: bool) -> str:
    """The cheapest that agrees, and of those that are hardly dearer the nearest to eager's numbers.
    Where PyTorch's start counts, one that does without PyTorch, unless it is far dearer."""
    costs = {t: _cost(t, counts_start=counts_start) for t in trials if t.accepted}
    exported = {t: cost for t, cost in costs.items() if t.name in EXPORTED}
    if counts_start and exported and CLEARLY * min(exported.values()) <= min(costs.values()):
        costs = exported
    cheapest = min(costs.values())
    near = [trial for trial, cost in costs.items() if WORTHWHILE * cost <= cheapest]
    return min(near, key=lambda trial: trial.error or 0.0).name


def _cost(trial: Trial, *, counts_start: bool) -> float:
    """Seconds per row, PyTorch's start spread over the rows of a usual call."""
    if trial.seconds is None:  # it never ran
        return math.inf
    return trial.seconds + (START if counts_start and trial.name not in EXPORTED else 0.0)


def _pointless(name: str, device: str, trials: list[Trial]) -> str:
    """Why not to try it on this machine, after these trials; empty: try it."""
    if device == "cuda":
        return ""
    if name in ("bfloat16", "openvino-bfloat16") and not has_bfloat16():
        return "this processor does not compute in bfloat16"
    if name == "onnx" and version("openvino"):
        return "OpenVINO does the same"
    exported = [t.seconds for t in trials if t.accepted and t.name in EXPORTED]
    others = [seconds for seconds in exported if seconds is not None]
    if name == "bfloat16" and others and min(others) <= START:
        return "PyTorch's start alone takes longer"
    return ""


def _try(
    backends: Backends, name: str, rows: Arrays, reference: Output
) -> tuple[Trial, Run | None]:
    try:
        run = backends.build(name)
        output, seconds = measure(run, rows, ENOUGH)
        error = backends.network.error(output, reference)
    except MissingError as missing:
        return Trial(name=name, note=f"{missing.subject} is not installed"), None
    except (
        Exception
    ) as failure:  # whatever goes wrong in a library that is only tried, eager remains
        own = isinstance(failure, VitrailError)
        reason = failure.reason if own else f"{type(failure).__name__}: {failure}"
        return Trial(name=name, note=one_line(reason, 120)), None
    if math.isfinite(error):
        return Trial(name=name, seconds=seconds, error=error), run
    return Trial(name=name, seconds=seconds, note="gives NaN or infinity"), run


def _recall(store: Path | None, tolerance: float) -> Choice | None:
    try:
        content = (store / CHOICE_FILE).read_bytes() if store else b""
        choice = Choice.model_validate_json(content)
    except (OSError, ValidationError):
        return None
    return choice if choice.tolerance == tolerance else None


def _rebuild(backends: Backends, name: str) -> Run | None:
    """The way that was chosen earlier, if it is still there."""
    try:
        return backends.build(name)
    except Exception:  # a library went away, or the name is not one of ours
        return None


def _remember(store: Path | None, choice: Choice) -> None:
    if not store:
        return
    try:
        with atomic_file(store / CHOICE_FILE) as temporary:
            temporary.write_text(choice.model_dump_json(indent=1))
    except InputError:  # a full or read-only cache must not stop the work
        return
