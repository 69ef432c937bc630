"""The ways to run one network: PyTorch's own, and those of other libraries."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from vitrail.engine.exported import (
    Output,
    Run,
    compile_ir,
    convert_to_ir,
    open_onnx,
    quiet,
    write_onnx,
)
from vitrail.errors import UsageError, VitrailError

EXPORTED = (
    "openvino",
    "openvino-bfloat16",
    "onnx",
)  # these run on the CPU, and serve one shape of input
ENGINES = ("auto", "eager", "bfloat16", "compile", *EXPORTED)


class Backends:
    """All ways to run ``module`` on batches like ``batch``; what two ways need is made once.

    ``store`` is a folder that keeps converted networks, None to keep nothing.
    """

    def __init__(self, module: nn.Module, batch: Tensor, device: str, store: Path | None = None):
        self.module, self.sample, self.device, self.store = (
            module.to(device),
            batch[:2].to(device),
            device,
            store,
        )
        if device == "cpu":
            _lay_out(self.module, self.sample)

    def build(self, name: str) -> Run:
        """A function of batches; MissingError without its library, UsageError where it cannot run
        this network."""
        ways: dict[str, Callable[[], Run]] = {
            "eager": self._eager,
            "bfloat16": self._bfloat16,
            "compile": self._compile,
            "openvino": lambda: compile_ir(self._ir, "f32"),
            "openvino-bfloat16": lambda: compile_ir(self._ir, "bf16"),
            "onnx": self._onnx,
        }
        try:
            run = ways[name]()
        except VitrailError:
            raise
        except Exception as error:  # compilers and exporters raise every kind there is
            problem = f"cannot run this network ({type(error).__name__})"
            raise UsageError(name, problem, "use --engine eager; --debug shows why") from error
        return lambda batch: _plain(run(batch))

    def _eager(self) -> Run:
        return lambda batch: self.module(batch.to(self.device))

    def _bfloat16(self) -> Run:
        def run(batch: Tensor) -> Output:
            with torch.autocast(self.device, torch.bfloat16):
                return self.module(batch.to(self.device))

        return run

    def _compile(self) -> Run:
        compiled = torch.compile(self.module)
        with quiet():
            compiled(self.sample)  # compiles, so that a network that cannot be compiled fails here
        return lambda batch: compiled(batch.to(self.device))

    def _onnx(self) -> Run:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            write_onnx(self.module, self.sample, path)
            return open_onnx(path)

    @cached_property
    def _ir(self):
        return convert_to_ir(self.module, self.sample, self.store)


def _lay_out(module: nn.Module, sample: Tensor) -> None:
    """Puts channels last, which makes convolutions on CPUs up to 1.9 times as fast, where the
    network can run so."""
    if sample.ndim != 4 or not any(isinstance(part, nn.Conv2d) for part in module.modules()):
        return
    try:
        module.to(memory_format=torch.channels_last)
        module(sample)
    except RuntimeError:  # a parameter with five axes, or a view that needs channels first
        module.to(memory_format=torch.contiguous_format)


def _plain(output: Output) -> Output:
    if isinstance(output, Tensor):
        return output.cpu().float() if output.is_floating_point() else output.cpu()
    return tuple(_plain(part) for part in output)
