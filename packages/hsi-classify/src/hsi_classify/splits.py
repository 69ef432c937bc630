"""Which labelled pixels are learned from and which are tested: the field's custom, and one that a
person's own labels are like. Lists of them can be written and read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitrail.errors import InputError
from vitrail.output import atomic_file

GUARD = 14  # pixels: two 15 x 15 windows that are farther apart share none
PATCH_LABELS = 20  # of a class at most, in one compact patch
KINDS = ("random", "patch")


@dataclass(frozen=True)
class Split:
    """Flat numbers of pixels, row by row: those learned from and those tested."""

    kind: str
    seed: int
    train: np.ndarray
    test: np.ndarray


def make_split(labels: np.ndarray, kind: str, count: int, seed: int) -> Split:
    """``random``: ``count`` pixels a class from anywhere, all others are the test. ``patch``: for
    each class one compact patch of at most ``PATCH_LABELS`` pixels, and only what lies farther than
    ``GUARD`` from every one of them is tested.

    ``labels`` (rows, columns) are 0 where nobody knows. Classes with fewer than twice ``count``
    pixels are left out of both parts.
    """
    rng, flat = np.random.default_rng(seed), labels.ravel()
    values, counts = np.unique(flat[flat > 0], return_counts=True)
    kept = values[counts >= 2 * count]
    known = np.flatnonzero(np.isin(flat, kept))
    if kind == "random":
        train = np.concatenate(
            [rng.choice(np.flatnonzero(flat == value), count, replace=False) for value in kept]
        )
        return Split(kind, seed, np.sort(train), np.setdiff1d(known, train))
    train = np.concatenate([_patch(labels == value, rng) for value in kept])
    near = _within(train, labels.shape, GUARD)
    return Split(kind, seed, np.sort(train), known[~near.ravel()[known]])


def _patch(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pixels of ``mask`` that lie nearest to a random one of them, as many as a patch has."""
    rows, columns = np.nonzero(mask)
    start = rng.integers(len(rows))
    far = np.maximum(np.abs(rows - rows[start]), np.abs(columns - columns[start]))
    # A class with no pixel outside the guard could not be tested, so half of it at most is drawn.
    size = min(PATCH_LABELS, len(rows) // 2)
    chosen = np.argsort(far, kind="stable")[:size]
    return rows[chosen] * mask.shape[1] + columns[chosen]


def _within(pixels: np.ndarray, shape: tuple[int, int], reach: int) -> np.ndarray:
    """(rows, columns) bool: at most ``reach`` rows and columns from one of ``pixels``."""
    near = np.zeros(shape, bool)
    for row, column in zip(*np.unravel_index(pixels, shape), strict=True):
        near[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1] = 1
    return near


def write_splits(path: Path, shape: tuple[int, int], splits: Sequence[Split]) -> None:
    """The splits of one scene as JSON."""
    listed = [
        {"kind": s.kind, "seed": s.seed, "train": s.train.tolist(), "test": s.test.tolist()}
        for s in splits
    ]
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps({"shape": list(shape), "splits": listed}) + "\n")


def read_splits(path: Path, shape: tuple[int, int]) -> list[Split]:
    """What ``write_splits`` wrote; InputError for another file, or another scene's."""
    try:
        content = json.loads(path.read_text())
        written, listed = tuple(content["shape"]), content["splits"]
        splits = [
            Split(
                str(one["kind"]),
                int(one["seed"]),
                *(np.array(one[part], dtype=np.int64) for part in ("train", "test")),
            )
            for one in listed
        ]
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(path, "is not a list of splits", "give one that was written") from error
    last = shape[0] * shape[1]
    numbers = [n for s in splits for n in (s.train, s.test) if len(n)]
    if written != shape or any(n.min() < 0 or n.max() >= last for n in numbers):
        sizes = f"is of a scene of {written}, and this one has {shape}"
        raise InputError(path, sizes, "give that of this scene")
    return splits
