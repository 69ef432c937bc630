"""What all ways of running a network share: arrays, their differences, and silence."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from types import ModuleType

import numpy as np

from vitrail.errors import MissingError

Arrays = tuple[np.ndarray, ...]
Output = np.ndarray | Arrays
Run = Callable[..., Output]


def largest_error(output: Output, reference: Output, *, relative: bool = False) -> float:
    """The largest absolute difference, NaN where there is one.

    ``relative`` divides it by the largest absolute value of ``reference`` where that exceeds 1.
    ValueError where the shapes or the numbers of outputs differ.
    """
    errors = []
    for got, expected in zip(_parts(output), _parts(reference), strict=True):
        error, scale = _differences(got, expected, relative=relative)
        errors.append(error.max(initial=0.0) / scale)
    return float(np.max(errors))


def typical_error(output: Output, reference: Output, *, relative: bool = False) -> float:
    """The median absolute difference within a row, the largest over rows and outputs; otherwise as
    ``largest_error``.

    For networks that answer with the best of many candidates: two of nearly equal rank may change
    places between engines, which changes a few elements by much, and the most not at all.
    """
    errors = []
    for got, expected in zip(_parts(output), _parts(reference), strict=True):
        error, scale = _differences(got, expected, relative=relative)
        rows = error.reshape(len(error), -1)
        errors.append(np.median(rows, axis=1).max(initial=0.0) / scale if rows.size else 0.0)
    return float(np.max(errors))


def _differences(
    got: np.ndarray, expected: np.ndarray, *, relative: bool
) -> tuple[np.ndarray, float]:
    """All absolute differences, and what they are divided by."""
    if got.shape != expected.shape:
        raise ValueError(f"shapes {got.shape} and {expected.shape}")
    scale = np.abs(expected.astype(float)).max(initial=1.0) if relative else 1.0
    return np.abs(got.astype(float) - expected.astype(float)), float(scale)


def _parts(output: Output) -> Arrays:
    return (output,) if isinstance(output, np.ndarray) else output


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
        remedy = f"install vitrail[{extra}]" if extra else "install vitrail again"
        raise MissingError(name, "this library is not installed", remedy) from error


def in_pieces(compute: Callable[[Arrays], Arrays], batch: Arrays, rows: int) -> Arrays:
    """Feeds a network that takes ``rows`` rows only, the last piece filled up with its first
    row."""
    pieces = []
    for start in range(0, len(batch[0]), rows):
        piece = tuple(part[start : start + rows] for part in batch)
        count = len(piece[0])
        filled = tuple(np.concatenate([part, *[part[:1]] * (rows - count)]) for part in piece)
        pieces.append(tuple(part[:count] for part in compute(filled)))
    return tuple(np.concatenate(parts) for parts in zip(*pieces, strict=True))


def single(parts: Arrays) -> Output:
    """One output as itself, several as a tuple."""
    return parts[0] if len(parts) == 1 else parts
