"""Proves a system against goldens of its official implementation.

``python -m vitrail.testing.parity IMPORT_NAME FOLDER`` asks the system's ``parity.check`` about a
folder of goldens.
"""

import argparse
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from vitrail.errors import InputError, MissingError, VitrailError

_BLOCK = 1 << 18


@dataclass(frozen=True)
class Comparison:
    """One number of ours against the official one: by how much it is off, and by how much it may
    be."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance  # a NaN fails

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{verdict}  {self.name}  error {self.error:.3g}  allowed {self.tolerance:.3g}"


def compare(name: str, got: Tensor, expected: Tensor, rtol: float, atol: float) -> Comparison:
    """Compares two tensors element by element.

    Each may be off by ``atol + rtol * |expected|``. The comparison tells the element that is
    nearest to its bound or farthest beyond it. Another shape fails.
    """
    if got.shape != expected.shape:
        return Comparison(
            f"{name} of shape {tuple(got.shape)}, not {tuple(expected.shape)}", math.inf, atol
        )
    if got.numel() == 0:
        return Comparison(name, 0.0, atol)
    error = (got.double() - expected.double()).abs().flatten()
    allowed = atol + rtol * expected.double().abs().flatten()
    worst = (error - allowed).argmax()
    return Comparison(name, error[worst].item(), allowed[worst].item())


def same(name: str, got: object, expected: object) -> Comparison:
    """Compares two plain values that must be equal."""
    return Comparison(name, 0.0 if got == expected else math.inf, 0.0)


def read_pack(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """A golden's description and the tensors of the safetensors file beside it (none where there is
    no such file).

    Raises InputError for a description that is not JSON.
    """
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            path.name, f"is not a readable golden ({error})", "it should be a JSON file"
        ) from error
    tensors = path.with_suffix(".safetensors")
    return spec, load_file(tensors) if tensors.exists() else {}


def check_packs(
    folder: Path, check: Callable[[Path, dict, dict[str, Tensor]], Iterable[Comparison]]
) -> list[Comparison]:
    """Every golden in ``folder``, by ``check(path, description, tensors)``; a comparison's name
    begins with that of its file."""
    comparisons = []
    for path in sorted(Path(folder).glob("*.json")):
        comparisons += [
            Comparison(f"{path.stem}: {one.name}", one.error, one.tolerance)
            for one in check(path, *read_pack(path))
        ]
    return comparisons


def formula_tensor(key: str, shape: Sequence[int]) -> Tensor:
    """The weights that the goldens call by formula: a hash of the official ``key`` and of each
    element's flat index.

    float32 of ``shape``, or an int64 zero for a counter. Filled in blocks, so that it needs little
    more memory than its result.
    """
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return torch.zeros(tuple(shape), dtype=torch.int64)
    base, scale = _base_and_scale(kind, shape)
    offset = zlib.crc32(key.encode()) * 0x9E3779B1
    out = np.empty(math.prod(shape), np.float32)
    for start in range(0, out.size, _BLOCK):
        stop = min(start + _BLOCK, out.size)
        index = (np.arange(start, stop, dtype=np.uint64) + np.uint64(offset % 2**32)).astype(
            np.uint32
        )
        out[start:stop] = base + scale * (2 * (_scramble(index) / 2**32) - 1)
    return torch.from_numpy(out.reshape(tuple(shape)))


def _base_and_scale(kind: str, shape: Sequence[int]) -> tuple[float, float]:
    named = {
        "running_mean": (0.0, 0.1),
        "running_var": (1.0, 0.5),
        "gamma": (0.5, 0.3),
        "bias": (0.0, 0.1),
    }
    if kind in named:
        return named[kind]
    return (1.0, 0.2) if len(shape) == 1 else (0.0, math.sqrt(3 / math.prod(shape[1:])))


def _scramble(h: np.ndarray) -> np.ndarray:
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h


def _bridge(package: str) -> ModuleType:
    try:
        return import_module(f"{package}.parity")
    except ModuleNotFoundError as error:
        raise MissingError(
            package, f"cannot be imported: {error}", "give a system's import name"
        ) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line a comparison; returns 0 when all passed, 1 when one failed or nothing was there
    to check."""
    parser = argparse.ArgumentParser(
        prog="python -m vitrail.testing.parity",
        description="Proves a system against goldens of its official implementation.",
    )
    parser.add_argument(
        "package", metavar="IMPORT_NAME", help="the system's import name, such as deepfake_detect"
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a folder of goldens")
    options = parser.parse_args(arguments)
    try:
        if not options.folder.is_dir():
            raise InputError(options.folder, "is not a folder", "name a folder of goldens")
        comparisons = _bridge(options.package).check(options.folder)
    except VitrailError as error:
        print(f"parity: {error}", file=sys.stderr)
        return error.exit_status
    for comparison in comparisons:
        print(comparison)
    failed = sum(not comparison.passed for comparison in comparisons)
    print(f"{len(comparisons) - failed} passed, {failed} failed")
    return int(failed > 0 or not comparisons)


if __name__ == "__main__":
    sys.exit(main())
