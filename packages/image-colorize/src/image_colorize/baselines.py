"""Colourings without a network, which stand beside it: the nearest hint's colour, and Levin's
optimisation."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from image_colorize.seen import Placed

AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
LEAST_VARIANCE = 2e-6  # of lightness in 0..1, below which a neighbourhood counts as even


def nearest(lightness: np.ndarray, placed: Sequence[Placed]) -> np.ndarray:
    """Chroma (C, C, 2) of cells (C, C): each has the colour of the nearest hint."""
    shape = lightness.shape
    if not placed:
        return np.zeros((*shape, 2), np.float32)
    tree = KDTree([(one.row, one.column) for one in placed])
    cells = np.indices(shape).reshape(2, -1).T
    _, which = tree.query(cells)
    return np.array([one.ab for one in placed], np.float32)[which].reshape(*shape, 2)


def levin(lightness: np.ndarray, placed: Sequence[Placed]) -> np.ndarray:
    """Chroma (C, C, 2) of cells with lightness (C, C) in 0..100: neighbours of like lightness have
    like colours (Levin et al., "Colorization using Optimization", 2004)."""
    rows, columns = lightness.shape
    if not placed:
        return np.zeros((rows, columns, 2), np.float32)
    y = lightness.astype(np.float64) / 100
    padded, inside = np.pad(y, 1), np.pad(np.ones_like(y), 1)
    moved = np.stack([_moved(padded, step) for step in AROUND])
    there = np.stack([_moved(inside, step) for step in AROUND])
    count = there.sum(0) + 1
    mean = ((moved * there).sum(0) + y) / count
    variance = (((moved - mean) ** 2 * there).sum(0) + (y - mean) ** 2) / count
    variance = np.maximum(0.6 * variance, LEAST_VARIANCE)
    weights = np.exp(-((moved - y) ** 2) / variance) * there
    weights /= weights.sum(0)
    number = np.arange(rows * columns).reshape(rows, columns)
    free = np.ones(rows * columns, bool)
    values = np.zeros((rows * columns, 2))
    for one in placed:
        free[number[one.row, one.column]] = False
        values[number[one.row, one.column]] = one.ab
    i, j, w = [], [], []
    for step, weight in zip(AROUND, weights, strict=True):
        kept = weight > 0
        i.append(number[kept])
        j.append(_moved(np.pad(number, 1), step)[kept])
        w.append(weight[kept])
    matrix = coo_matrix(
        (np.concatenate(w), (np.concatenate(i), np.concatenate(j))), shape=(number.size,) * 2
    ).tocsr()
    system = diags(np.ones(number.size)) - diags(free.astype(float)) @ matrix
    solved = splu(system.tocsc()).solve(values)
    return solved.reshape(rows, columns, 2).astype(np.float32)


def _moved(padded: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """The neighbour in one direction of each place of an array padded by one."""
    dy, dx = step
    rows, columns = padded.shape
    return padded[1 + dy : rows - 1 + dy, 1 + dx : columns - 1 + dx]
