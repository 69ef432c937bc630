"""Networks as ONNX: written by PyTorch's exporter, run by ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail.engine.devices import threads
from vitrail.engine.output import Arrays, Output, Run, library, quiet, single
from vitrail.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


def write_onnx(module: "nn.Module", sample: Arrays, path: Path) -> None:
    """Writes one ONNX file for batches of any length, from a ``sample`` of one array per input.

    Raises UsageError for a network that can only be exported for one length, MissingError without
    the libraries onnx and onnxscript.
    """
    import torch

    from vitrail.engine.graph import export_program, fixed_rows

    library("onnx", "onnx")
    library("onnxscript", "onnx")
    program = export_program(module, sample)
    if fixed_rows(program):
        raise UsageError(
            "onnx", "this network computes with the length of a batch", "use another engine"
        )
    names = [f"input_{number}" for number in range(len(sample))] if len(sample) > 1 else ["input"]
    options = {"input_names": names, "dynamo": True, "verbose": False}
    with quiet():
        try:
            written = torch.onnx.export(program, (), **options)
        except (
            Exception
        ):  # onnxscript's optimiser fails on some good graphs, such as a chunk of the batch axis
            written = torch.onnx.export(program, (), optimize=False, **options)
    assert written is not None  # without a file's name the exporter gives the program
    for node in written.model.graph.all_nodes():
        node.metadata_props.clear()  # they tell where the code lies on this machine
    written.save(path, external_data=False)


def open_onnx(path: Path) -> Run:
    """An ONNX file as a function of batches; MissingError without the library onnxruntime."""
    runtime = library("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.log_severity_level = 4  # its errors are raised as well
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def run(*batch: np.ndarray) -> Output:
        fed = {name: np.ascontiguousarray(part) for name, part in zip(names, batch, strict=True)}
        return single(tuple(map(np.asarray, session.run(None, fed))))

    return run
