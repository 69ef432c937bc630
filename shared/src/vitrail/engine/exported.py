"""Networks outside PyTorch: written as ONNX for ONNX Runtime, or converted for OpenVINO."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.errors import InputError, MissingError, UsageError
from vitrail.output import atomic_folder

Output = Tensor | tuple[Tensor, ...]
Run = Callable[[Tensor], Output]

IR_FOLDER, IR_FILE = "openvino", "network.xml"
SAME = 1e-3  # relative error of float32 in another order of summation, with room


def write_onnx(module: nn.Module, sample: Tensor, path: Path) -> None:
    """Writes one ONNX file for batches of any length.

    Raises UsageError for a network that can only be exported for one length, MissingError without
    the libraries onnx and onnxscript.
    """
    library("onnx", "onnx")
    library("onnxscript", "onnx")
    program = _export(module, sample)
    if _rows(program):
        raise UsageError(
            "onnx", "this network computes with the length of a batch", "use another engine"
        )
    options = {"input_names": ["input"], "dynamo": True, "verbose": False}
    with quiet():
        try:
            written = torch.onnx.export(program, (), **options)
        except (
            Exception
        ):  # onnxscript's optimiser fails on some good graphs, such as a chunk of the batch axis
            written = torch.onnx.export(program, (), optimize=False, **options)
    for node in written.model.graph.all_nodes():
        node.metadata_props.clear()  # they tell where the code lies on this machine
    written.save(path, external_data=False)


def open_onnx(path: Path) -> Run:
    """An ONNX file of one input as a function of batches; MissingError without the library
    onnxruntime."""
    runtime = library("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # its errors are raised as well
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return _batchwise(lambda array: session.run(None, {name: array}))


def convert_to_ir(module: nn.Module, sample: Tensor, store: Path | None) -> Any:
    """The network as an OpenVINO model, from ``store`` or kept there; MissingError without the
    library openvino.

    A kept one must still give PyTorch's numbers: the file may be damaged, or the network's code
    another by now.
    """
    openvino = _openvino()
    if (
        store
        and (model := _read_ir(openvino, store / IR_FOLDER / IR_FILE))
        and _is_right(model, module, sample)
    ):
        return model
    program = _export(module, sample)
    with quiet():
        model = openvino.convert_model(program)
    model.reshape(
        [_rows(program) or -1, *sample.shape[1:]]
    )  # the conversion loosens sizes that are fixed
    if store:
        _keep_ir(openvino, model, store / IR_FOLDER)
    return model


def compile_ir(model: Any, precision: str) -> Run:
    """An OpenVINO model of one input as a function of batches; ``precision`` is ``f32`` or
    ``bf16``."""
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = _openvino().Core().compile_model(model, "CPU", options)
    rows = model.input(0).partial_shape[0]
    return _batchwise(
        lambda array: compiled([array]).to_tuple(), rows.get_length() if rows.is_static else None
    )


def largest_error(output: Output, reference: Output, *, relative: bool = False) -> float:
    """The largest absolute difference, NaN where there is one.

    ``relative`` divides it by the largest absolute value of ``reference`` where that exceeds 1.
    """
    pairs = (
        [(output, reference)]
        if isinstance(reference, Tensor)
        else zip(output, reference, strict=True)
    )
    errors = []
    for got, expected in pairs:
        error = (got.double() - expected.double()).abs().max()
        errors.append(error / expected.double().abs().max().clamp(min=1) if relative else error)
    return torch.stack(errors).max().item()


@contextmanager
def quiet() -> Iterator[None]:
    """Compilers and exporters log, warn and print at length about attempts that may fail."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(StringIO()),
            redirect_stderr(StringIO()),
        ):
            yield
    finally:
        logging.disable(before)


def library(name: str, extra: str) -> ModuleType:
    """Imports an optional library; MissingError says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingError(
            name, "this library is not installed", f"install vitrail[{extra}]"
        ) from error


def _openvino() -> ModuleType:
    sys.modules.setdefault(
        "openvino_telemetry", None
    )  # it would report each import and conversion over the network
    return library("openvino", "openvino")


def _read_ir(openvino: ModuleType, path: Path) -> Any:
    try:
        return openvino.Core().read_model(path) if path.exists() else None
    except RuntimeError:  # damaged: converted again
        return None


def _is_right(model: Any, module: nn.Module, sample: Tensor) -> bool:
    try:
        return largest_error(compile_ir(model, "f32")(sample), module(sample), relative=True) < SAME
    except (RuntimeError, ValueError):  # another shape, another number of outputs
        return False


def _keep_ir(openvino: ModuleType, model: Any, folder: Path) -> None:
    try:
        with atomic_folder(folder) as temporary:
            openvino.save_model(model, temporary / IR_FILE, compress_to_fp16=False)
    except (InputError, RuntimeError):  # a full or read-only cache must not stop the work
        return


def _export(module: nn.Module, sample: Tensor) -> torch.export.ExportedProgram:
    """The network's graph for batches of any length; where it computes with that length, for
    batches of two."""

    def two_rows() -> tuple[
        Tensor
    ]:  # exporters take a batch of one for a constant, and leave marks on a tensor
        return (torch.cat([sample[:1], sample[:1]]),)

    shapes = ({0: torch.export.Dim.DYNAMIC},)
    with quiet():
        for strict in (False, True):
            try:
                return torch.export.export(module, two_rows(), dynamic_shapes=shapes, strict=strict)
            except Exception:  # each of the two ways knows networks that the other does not
                continue
        return torch.export.export(module, two_rows())


def _rows(program: torch.export.ExportedProgram) -> int | None:
    """The length of a batch that the graph was fixed to; None where it takes any."""
    source = [node for node in program.graph.nodes if node.op == "placeholder"][-1]
    rows = source.meta["val"].shape[0]
    return rows if isinstance(rows, int) else None


def _batchwise(
    compute: Callable[[np.ndarray], Sequence[np.ndarray]], rows: int | None = None
) -> Run:
    """A function of batches from one of arrays; ``rows`` is a number where the export fixed the
    length of a batch."""

    def run(batch: Tensor) -> Output:
        array = batch.cpu().contiguous().numpy()
        arrays = _in_pieces(compute, array, rows) if rows else compute(array)
        tensors = tuple(torch.from_numpy(np.asarray(part)) for part in arrays)
        return tensors[0] if len(tensors) == 1 else tensors

    return run


def _in_pieces(compute: Callable, array: np.ndarray, rows: int) -> list[np.ndarray]:
    """Feeds ``rows`` rows at a time, the last piece filled up with its first row."""
    pieces = []
    for start in range(0, len(array), rows):
        piece = array[start : start + rows]
        filled = np.concatenate([piece, *[piece[:1]] * (rows - len(piece))])
        pieces.append([part[: len(piece)] for part in compute(filled)])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
