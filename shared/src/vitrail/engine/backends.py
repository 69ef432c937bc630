"""The ways to run one network: PyTorch's own, and those of other libraries."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vitrail.engine import ir
from vitrail.engine.network import Network
from vitrail.engine.output import Arrays, Output, Run
from vitrail.errors import MissingError, UsageError, VitrailError

if TYPE_CHECKING:
    from vitrail.engine.pytorch import Eager

EXPORTED = ("openvino", "openvino-bfloat16", "onnx")  # these run on the CPU, without PyTorch
SAMPLE_ROWS = 4  # enough to measure: on CPUs a row costs the same in any batch
ENGINES = ("auto", "eager", "bfloat16", "compile", *EXPORTED)


class Backends:
    """All ways to run ``network`` on batches like ``batch``; what two ways need is made once.

    The module is built only for what PyTorch must compute or convert. ``store`` is a folder that
    keeps converted networks, None to keep nothing. ``reference`` is what eager gives for
    ``sample``, once somebody computed it.
    """

    def __init__(self, network: Network, batch: Arrays, device: str, store: Path | None = None):
        self.network, self.device, self.store = network, device, store
        self.sample = tuple(part[:SAMPLE_ROWS] for part in batch)
        self.reference: Output | None = None

    def build(self, name: str) -> Run:
        """A function of batches; MissingError without its library, UsageError where it cannot run
        this network."""
        ways: dict[str, Callable[[], Run]] = {
            "eager": lambda: self.eager,
            "bfloat16": lambda: self.eager.bfloat16(),
            "compile": lambda: self.eager.compiled(self.sample),
            "openvino": lambda: ir.compile_ir(self._ir, "f32"),
            "openvino-bfloat16": lambda: ir.compile_ir(self._ir, "bf16"),
            "onnx": self._onnx,
        }
        try:
            return ways[name]()
        except VitrailError:
            raise
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise MissingError(
                "torch", "is needed to convert this network", "install torch"
            ) from error
        except Exception as error:  # compilers and exporters raise every kind there is
            problem = f"cannot run this network ({type(error).__name__})"
            raise UsageError(name, problem, "use --engine eager; --debug shows why") from error

    @cached_property
    def eager(self) -> "Eager":
        from vitrail.engine.pytorch import Eager

        return Eager(self.network.module, self.sample, self.device)

    @cached_property
    def _ir(self) -> Any:
        if self.store and (model := ir.read_kept(self.store)):
            return model
        if self.reference is None:
            self.reference = self.eager(*self.sample)
        model = ir.convert(self.network, self.sample, self.reference)
        if self.store:
            ir.keep(model, self.store)
        return model

    def _onnx(self) -> Run:
        from vitrail.engine.onnx import open_onnx, write_onnx

        with TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            write_onnx(self.network.module, self.sample, path)
            return open_onnx(path)
