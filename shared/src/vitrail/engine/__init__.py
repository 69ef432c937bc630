"""Where and how a network runs. ``prepare`` is the door; ``auto`` measures, and keeps the fastest
way that agrees. PyTorch is one way among several, and imported only where it must compute."""

import difflib
from collections import Counter
from pathlib import Path

import numpy as np

from vitrail.engine.backends import ENGINES, EXPORTED, Backends
from vitrail.engine.choice import CHOICE_FILE, Trial, choose
from vitrail.engine.devices import cuda_devices
from vitrail.engine.ir import FOLDER as IR_FOLDER
from vitrail.engine.network import Network
from vitrail.engine.output import Output, Run
from vitrail.engine.store import store_for
from vitrail.errors import MissingError, UsageError

__all__ = ["ENGINES", "Network", "NetworkEngine", "Trial", "prepare"]

FREE_SHAPES = 4  # that are converted at once; further ones run eagerly until many rows have come
MANY_ROWS = 64

Shape = tuple[tuple[int, ...], ...]


class NetworkEngine:
    """A network that takes float arrays (B, ...) and gives float32: an array, or a tuple of them.

    Each shape of input has a way of its own, since converted networks serve one. ``trials`` tells
    what ``auto`` measured for the latest, on this machine now or earlier.
    """

    def __init__(self, network: Network, engine: str, device: str, tolerance: float):
        self.network, self.engine, self.device = network, engine, device
        self.tolerance = tolerance
        self.trials: list[Trial] = []
        self._runs: dict[Shape, tuple[str, Run]] = {}
        self._rows: Counter[Shape] = Counter()
        self._put_off: set[Shape] = set()

    @property
    def name(self) -> str:
        """How it computes: ``auto`` until the first batch; joined by ``+`` where shapes differ."""
        used = dict.fromkeys(name for name, _ in self._runs.values())
        return "+".join(used) or self.engine

    def __getstate__(self) -> dict:
        """For another process: what runs here cannot run there."""
        return {**self.__dict__, "_runs": {}}

    @property
    def weights(self) -> str:
        """The sha256 of the weights' file."""
        return self.network.weights.sha256 if self.network.weights else ""

    def __call__(self, *batch: np.ndarray) -> Output:
        shape = tuple(part.shape[1:] for part in batch)
        self._rows[shape] += len(batch[0])
        is_frequent = shape in self._put_off and self._rows[shape] >= MANY_ROWS
        if shape not in self._runs or is_frequent:
            self._runs[shape] = self._way(shape, batch)
        return self._runs[shape][1](*batch)

    def _way(self, shape: Shape, batch: tuple[np.ndarray, ...]) -> tuple[str, Run]:
        store = store_for(self.network, batch, self.device)
        backends = Backends(self.network, batch, self.device, store)
        if self._is_put_off(shape, store):
            self._put_off.add(shape)
            return "eager", backends.build("eager")
        self._put_off.discard(shape)
        if self.engine != "auto":
            return self.engine, backends.build(self.engine)
        name, run, self.trials = choose(backends, batch, self.tolerance)
        return name, run

    def _is_put_off(self, shape: Shape, store: Path | None) -> bool:
        """Whether converting for a rare shape would take longer than running it eagerly."""
        if self.device != "cpu" or self.engine not in ("auto", *EXPORTED):
            return False
        if len(self._runs) < FREE_SHAPES or self._rows[shape] >= MANY_ROWS:
            return False
        return not (store and ((store / CHOICE_FILE).exists() or (store / IR_FOLDER).exists()))


def prepare(
    network: Network, *, engine: str = "auto", device: str = "auto", tolerance: float = 0.02
) -> NetworkEngine:
    """Makes a network ready to run.

    ``engine``: ``eager`` and ``compile`` compute in float32, ``bfloat16`` under autocast,
    ``openvino`` and ``onnx`` in float32 with those libraries on the CPU, ``openvino-bfloat16`` as
    its name says. ``auto`` measures those that are installed (``compile``, which takes minutes, is
    never among them) on the first batch. ``tolerance`` is the largest absolute difference from
    eager float32, in the units of the network's output, that ``auto`` accepts in any element (in
    the typical one where the network ranks candidates); an engine asked for by name is not held to
    it. Decisions and converted networks are kept in the cache folder, by weights, code, shape and
    machine.

    Raises UsageError for a name that does not exist or does not go with the device, MissingError
    without a CUDA device; the first batch raises MissingError without the engine's library and
    UsageError for a network that it cannot run.
    """
    if engine not in ENGINES:
        near = difflib.get_close_matches(engine, ENGINES, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"one of {', '.join(ENGINES)}"
        raise UsageError(engine, "is not an engine", remedy)
    return NetworkEngine(network, engine, choose_device(device, engine), tolerance)


def choose_device(device: str, engine: str = "auto") -> str:
    """``cpu`` or ``cuda``; errors as in ``prepare``."""
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(device, "is not a device", "one of auto, cpu, cuda")
    if device == "cuda" and engine in EXPORTED:
        raise UsageError(engine, "runs on the CPU only", "use --device cpu, or another engine")
    if device == "cuda" and not cuda_devices():
        raise MissingError(device, "no CUDA device is found on this machine", "use --device cpu")
    wants_gpu = device == "cuda" or (device == "auto" and engine not in EXPORTED)
    return "cuda" if wants_gpu and cuda_devices() else "cpu"
