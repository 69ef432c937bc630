"""Which patches hold a body whose joints are known already, as from the frame before: the selectors
that need no training."""

from collections.abc import Iterator, Sequence

import numpy as np

Cell = tuple[int, int]


def joint_ranks(joints: np.ndarray, size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Ranks float32 (rows * columns,), the higher the nearer to a joint: minus the distance in
    patches, the larger of rows and columns. ``joints`` (K, 2) are pixels of a crop of ``size``
    (height, width)."""
    return _ranks(cells_of(joints, size, grid), grid)


def skeleton_ranks(
    joints: np.ndarray,
    edges: Sequence[tuple[int, int]],
    size: tuple[int, int],
    grid: tuple[int, int],
) -> np.ndarray:
    """The same by the distance to the lines between joints."""
    cells = cells_of(joints, size, grid)
    lines = [cell for one, other in edges for cell in line(cells[one], cells[other])]
    return _ranks([*cells, *lines], grid)


def within(ranks: np.ndarray, radius: int) -> np.ndarray:
    """The numbers of the patches at most ``radius`` patches away."""
    return np.flatnonzero(ranks >= -radius)


def cells_of(joints: np.ndarray, size: tuple[int, int], grid: tuple[int, int]) -> list[Cell]:
    """The patch (row, column) of each joint (x, y); the nearest one for joints outside."""
    height, width = size
    rows = np.clip(joints[:, 1] / height * grid[0], 0, grid[0] - 1).astype(int)
    columns = np.clip(joints[:, 0] / width * grid[1], 0, grid[1] - 1).astype(int)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def line(start: Cell, end: Cell) -> Iterator[Cell]:
    """The cells of a straight line, both ends among them (Bresenham 1965)."""
    (row, column), (last_row, last_column) = start, end
    down, right = abs(last_row - row), abs(last_column - column)
    step_down = 1 if last_row > row else -1
    step_right = 1 if last_column > column else -1
    error = right - down
    while True:
        yield row, column
        if (row, column) == end:
            return
        doubled = 2 * error
        if doubled > -down:
            error -= down
            column += step_right
        if doubled < right:
            error += right
            row += step_down


def _ranks(cells: Sequence[Cell], grid: tuple[int, int]) -> np.ndarray:
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    places = np.array(cells).reshape(-1, 2)
    away = np.maximum(
        np.abs(rows.reshape(-1, 1) - places[:, 0]), np.abs(columns.reshape(-1, 1) - places[:, 1])
    )
    return -away.min(axis=1).astype(np.float32)
