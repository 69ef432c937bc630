"""Where and how a network runs. ``prepare`` is the door; ``auto`` measures, and keeps the fastest
way that agrees."""

import difflib

import torch
from torch import Tensor, nn

from vitrail.engine.backends import ENGINES, EXPORTED, Backends
from vitrail.engine.choice import Trial, choose, store_for
from vitrail.errors import MissingError, UsageError

__all__ = ["ENGINES", "Engine", "Trial", "prepare"]


class Engine:
    """A network that takes batches of float32 (B, ...) and gives float32 on the CPU: one tensor, or
    a tuple of them.

    The first batch decides the way (``name`` is ``auto`` until then) and the shape that exported
    ways serve; they run a batch of another shape eagerly. ``trials`` tells what ``auto`` measured,
    on this machine now or earlier.
    """

    def __init__(self, module: nn.Module, name: str, device: str, tolerance: float, key: str):
        self.module, self.name, self.device, self.tolerance, self.key = (
            module,
            name,
            device,
            tolerance,
            key,
        )
        self.trials: list[Trial] = []
        self._run = self._eager = self._shape = None

    @torch.no_grad()
    def __call__(self, batch: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self._run is None:
            self._start(batch)
        other_shape = self.name in EXPORTED and batch.shape[1:] != self._shape
        return (self._eager if other_shape else self._run)(batch)

    def _start(self, batch: Tensor) -> None:
        store = store_for(self.key, self.module, batch, self.device)
        backends = Backends(self.module, batch, self.device, store)
        self._shape, self._eager = batch.shape[1:], backends.build("eager")
        if self.name == "auto":
            self.name, self._run, self.trials = choose(backends, batch, self.tolerance, store)
        else:
            self._run = self._eager if self.name == "eager" else backends.build(self.name)


def prepare(
    module: nn.Module,
    *,
    engine: str = "auto",
    device: str = "auto",
    tolerance: float = 0.02,
    key: str = "",
) -> Engine:
    """Makes a network ready to run, in evaluation mode and, where one is used, on the GPU
    (``module`` itself moves).

    ``engine``: ``eager`` and ``compile`` compute in float32, ``bfloat16`` under autocast,
    ``openvino`` and ``onnx`` in float32 with those libraries on the CPU, ``openvino-bfloat16`` as
    its name says. ``auto`` measures those that are installed (``compile``, which takes minutes, is
    never among them) on the first batch. ``tolerance`` is the largest absolute difference from
    eager float32, in the units of the network's output, that ``auto`` accepts in any element; an
    engine asked for by name is not held to it. ``key`` is the weights' sha256: with it ``auto``'s
    decision and converted networks are kept in the cache folder.

    Raises UsageError for a name that is none or does not go with the device, MissingError without a
    CUDA device; the first batch raises MissingError without the engine's library and UsageError for
    a network that it cannot run.
    """
    if engine not in ENGINES:
        near = difflib.get_close_matches(engine, ENGINES, n=1)
        raise UsageError(
            engine,
            "is no engine",
            f"did you mean {near[0]}?" if near else f"one of {', '.join(ENGINES)}",
        )
    return Engine(module.eval(), engine, _device(device, engine), tolerance, key)


def _device(device: str, engine: str) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(device, "is no device", "one of auto, cpu, cuda")
    if device == "cuda" and engine in EXPORTED:
        raise UsageError(engine, "runs on the CPU only", "use --device cpu, or another engine")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError(device, "no CUDA device is found on this machine", "use --device cpu")
    wants_gpu = device == "cuda" or (device == "auto" and engine not in EXPORTED)
    return "cuda" if wants_gpu and torch.cuda.is_available() else "cpu"
