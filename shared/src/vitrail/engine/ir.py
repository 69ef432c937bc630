"""Networks in OpenVINO: converted once, kept in the cache, opened again without PyTorch."""

import hashlib
import sys
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from vitrail.engine.devices import threads
from vitrail.engine.network import Network
from vitrail.engine.output import (
    Arrays,
    Output,
    Run,
    in_pieces,
    library,
    quiet,
    single,
)
from vitrail.engine.store import remove_old
from vitrail.errors import InputError
from vitrail.output import atomic_folder

if TYPE_CHECKING:
    from torch import nn

FOLDER, FILE, SUMS = "openvino", "network.xml", "sha256.txt"
SAME = 1e-3  # relative error of float32 in another order of summation, with room


def compile_ir(model: Any, precision: str) -> Run:
    """An OpenVINO model as a function of batches; ``precision`` is ``f32`` or ``bf16``."""
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads()}
    compiled = _core().compile_model(model, "CPU", options)
    request = compiled.create_infer_request()
    first = model.input(0).partial_shape[0]
    rows = first.get_length() if first.is_static else None

    def compute(batch: Arrays) -> Arrays:
        given = [np.ascontiguousarray(part) for part in batch]
        # Never by ``infer``: with one thread it swallows an error and leaves its task in the
        # thread's queue, where the next inference of any network runs it, freed or not.
        request.start_async(given, share_inputs=True)
        request.wait()
        return tuple(tensor.data.copy() for tensor in request.output_tensors)

    return lambda *batch: single(in_pieces(compute, batch, rows) if rows else compute(batch))


def convert(network: Network, sample: Arrays, reference: Output) -> Any:
    """The network as an OpenVINO model for batches of any length, checked against ``reference``,
    what eager gives for ``sample``.

    By tracing, which takes a second and leaves the compiler's stack alone; by ``torch.export``
    where the trace gives other numbers for other lengths. MissingError without the library
    openvino.
    """
    module = network.module
    _openvino()  # absent: said before anything is traced
    with quiet():
        try:
            model = _traced(module, sample)
            if agrees(network, model, sample, reference):
                return model
        except Exception:  # tracers raise every kind there is; the exporter decides
            pass
    return _exported(module, sample)


def agrees(network: Network, model: Any, sample: Arrays, reference: Output) -> bool:
    """Whether it gives the reference's numbers for batches of one and of three of these rows."""
    run = compile_ir(model, "f32")
    wanted = (reference,) if isinstance(reference, np.ndarray) else reference
    for rows in ([-1], [0, 0, -1]):
        output = run(*(part[rows] for part in sample))
        part = single(tuple(part[rows] for part in wanted))
        if not network.error(output, part, relative=True) < SAME:
            return False
    return True


def keep(model: Any, store: Path) -> None:
    """Writes the model into the cache; a full or read-only cache must not stop the work."""
    try:
        with atomic_folder(store / FOLDER) as temporary:
            _save(model, temporary)
            (temporary / SUMS).write_text(_sums(temporary))
    except (InputError, RuntimeError):
        return
    remove_old(store)


def read_kept(store: Path) -> Any:
    """The model that ``keep`` wrote; None where it is not there or not as it was."""
    folder = store / FOLDER
    try:
        if (folder / SUMS).read_text() != _sums(folder):
            return None
        return _read(folder)
    except (OSError, UnicodeDecodeError, RuntimeError):  # damaged: converted again
        return None


def _sums(folder: Path) -> str:
    files = [folder / FILE, (folder / FILE).with_suffix(".bin")]
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)


def _traced(module: "nn.Module", sample: Arrays) -> Any:
    import torch

    from vitrail.engine.graph import two_rows

    openvino = _openvino()
    decoder = library("openvino.frontend.pytorch.ts_decoder", "").TorchScriptPythonDecoder
    # PyTorch's check of a trace imports sympy, which takes seconds; ``agrees`` is ours.
    options = {"check_trace": False}
    with torch.no_grad(), warnings.catch_warnings():
        # Such a length becomes a constant, and OpenVINO reads beyond the rows of another batch.
        warnings.filterwarnings("error", "Using len to get tensor shape")
        traced = decoder(module, example_input=two_rows(sample), trace_kwargs=options)
        model = openvino.convert_model(traced, example_input=two_rows(sample))
    return _fitted(model, sample, -1)


def _exported(module: "nn.Module", sample: Arrays) -> Any:
    from vitrail.engine.graph import export_program, fixed_rows

    program = export_program(module, sample)
    with quiet():
        model = _openvino().convert_model(program)
    return _fitted(model, sample, fixed_rows(program) or -1)


def _fitted(model: Any, sample: Arrays, rows: int) -> Any:
    """With the sample's sizes, since the conversion loosens what is fixed, and with weights of its
    own: a converted model's lie in the module's memory, which may be freed or laid out anew."""
    model.reshape(
        {port: [rows, *part.shape[1:]] for port, part in zip(model.inputs, sample, strict=True)}
    )
    with TemporaryDirectory() as folder:
        _save(model, Path(folder))
        return _read(Path(folder))


def _save(model: Any, folder: Path) -> None:
    _openvino().save_model(model, folder / FILE, compress_to_fp16=False)


def _read(folder: Path) -> Any:
    # Mapped into memory, a file that is changed or cut meanwhile would end the process.
    return _core().read_model(folder / FILE, config={"ENABLE_MMAP": False})


@cache
def _core() -> Any:
    """One Core for the life of the process.

    The CPU plug-in gives a thread an alternate signal stack when a Core is made and puts the former
    one back when it is freed; of two Cores freed in the order in which they were made, the second
    puts back the first one's, which is gone by then, and the next signal kills the process.
    """
    return _openvino().Core()


def _openvino() -> ModuleType:
    # It would report each import and conversion over the network; None forbids that module.
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
    return library("openvino", "")
