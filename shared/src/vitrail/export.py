"""Networks as ONNX files that are proven to give PyTorch's numbers."""

from pathlib import Path

import torch
from torch import Tensor, nn

from vitrail.engine.exported import Run, largest_error, open_onnx, write_onnx
from vitrail.errors import UsageError, VitrailError
from vitrail.output import atomic_file
from vitrail.testing.parity import Comparison

CHECKED_ROWS = (1, 2, 5)
FILE_LIMIT = (1 << 31) - (
    1 << 24
)  # an ONNX file is one message of at most 2 GiB: the weights, and some room


def export_onnx(
    module: nn.Module, example: Tensor, path: Path, *, tolerance: float = 1e-4
) -> Comparison:
    """Writes ``module`` as ONNX for batches of any length, and compares ONNX Runtime with PyTorch
    on it.

    ``example`` (B, ...) is a batch of valid inputs; the comparison is made on random ones of its
    shape and range, of 1, 2 and 5 rows. Its error is the largest absolute difference, relative to
    the largest output where that exceeds 1. Raises UsageError, and writes nothing, where the error
    exceeds ``tolerance``, the network cannot be exported or its weights do not fit into one file;
    InputError where ``path`` cannot be written; MissingError without the libraries onnx, onnxscript
    and onnxruntime.
    """
    weights = (*module.parameters(), *module.buffers())
    if sum(tensor.numel() * tensor.element_size() for tensor in weights) > FILE_LIMIT:
        raise UsageError(
            path, "would exceed the 2 GiB that one ONNX file can hold", "export a smaller network"
        )
    module, example = module.eval().cpu(), example.cpu()
    with atomic_file(path) as temporary:
        try:
            write_onnx(module, example, temporary)
            error = _largest_error(module, open_onnx(temporary), example)
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


@torch.no_grad()
def _largest_error(module: nn.Module, run: Run, example: Tensor) -> float:
    generator = torch.Generator().manual_seed(0)
    batches = [_random_like(example, rows, generator) for rows in CHECKED_ROWS]
    errors = [largest_error(run(batch), module(batch), relative=True) for batch in batches]
    return torch.tensor(errors).max().item()  # NaN where one is


def _random_like(example: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """``rows`` inputs of the shape and the range of ``example``; normal noise where all its values
    are the same."""
    shape, (low, high) = (rows, *example.shape[1:]), example.aminmax()
    if not example.is_floating_point():
        return torch.randint(int(low), int(high) + 1, shape, generator=generator).to(example.dtype)
    if low == high:
        return torch.randn(shape, generator=generator).to(example.dtype)
    return (low + (high - low) * torch.rand(shape, generator=generator)).to(example.dtype)
