"""Networks as ONNX files that are proven to give PyTorch's numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from vitrail.engine.onnx import open_onnx, write_onnx
from vitrail.engine.output import Arrays, Run, largest_error
from vitrail.engine.pytorch import Eager
from vitrail.errors import UsageError, VitrailError
from vitrail.output import atomic_file
from vitrail.testing.parity import Comparison

CHECKED_ROWS = (1, 2, 5)
FILE_LIMIT = (1 << 31) - (
    1 << 24
)  # an ONNX file is one message of at most 2 GiB: the weights, and some room


def export_onnx(
    module: nn.Module,
    example: Arrays,
    path: Path,
    *,
    tolerance: float = 1e-4,
    measure: Callable[..., float] = largest_error,
) -> Comparison:
    """Writes ``module`` as ONNX for batches of any length, and compares ONNX Runtime with PyTorch
    on it.

    ``example`` is a batch of valid inputs (B, ...), one array per input; the comparison is made on
    random ones of its shape and range, of 1, 2 and 5 rows. Its error is what ``measure`` (also
    ``Network.error``) finds, relative to the largest output where that exceeds 1. Raises
    UsageError, and writes nothing, where the error exceeds ``tolerance``, the network cannot be
    exported or its weights do not fit into one file; InputError where ``path`` cannot be written;
    MissingError without the libraries onnx, onnxscript and onnxruntime.
    """
    weights = (*module.parameters(), *module.buffers())
    if sum(tensor.numel() * tensor.element_size() for tensor in weights) > FILE_LIMIT:
        raise UsageError(
            path, "would exceed the 2 GiB that one ONNX file can hold", "export a smaller network"
        )
    module = module.eval().cpu()
    with atomic_file(path) as temporary:
        try:
            write_onnx(module, example, temporary)
            error = _largest_of_batches(module, open_onnx(temporary), example, measure)
        except (VitrailError, OSError):
            raise
        except Exception as failure:  # exporters raise every kind there is
            problem = f"this network cannot be exported ({type(failure).__name__})"
            raise UsageError(path, problem, "--debug shows why") from failure
        if not error <= tolerance:  # a NaN fails
            problem = (
                f"does not give PyTorch's numbers (off by {error:.1e}, allowed {tolerance:.1e})"
            )
            raise UsageError(path, problem, "it was not written")
    return Comparison(Path(path).name, error, tolerance)


def _largest_of_batches(
    module: nn.Module, run: Run, example: Arrays, measure: Callable[..., float]
) -> float:
    numbers = np.random.default_rng(0)
    eager = Eager(module, tuple(part[:2] for part in example), "cpu")
    errors = []
    for rows in CHECKED_ROWS:
        batch = tuple(_random_like(part, rows, numbers) for part in example)
        errors.append(measure(run(*batch), eager(*batch), relative=True))
    return float(np.max(errors))  # NaN where one is


def _random_like(example: np.ndarray, rows: int, numbers: np.random.Generator) -> np.ndarray:
    """``rows`` inputs of the shape and the range of ``example``; normal noise where all its values
    are the same."""
    shape, low, high = (rows, *example.shape[1:]), example.min(), example.max()
    if example.dtype.kind != "f":
        return numbers.integers(int(low), int(high) + 1, shape).astype(example.dtype)
    if low == high:
        return numbers.standard_normal(shape).astype(example.dtype)
    return numbers.uniform(low, high, shape).astype(example.dtype)
