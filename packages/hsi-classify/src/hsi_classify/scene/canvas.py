"""The map as it fills."""

import numpy as np

from vitrail.errors import InputError


class Canvas:
    """Classes of the pixels, the winner's probability and its lead; 0 where nothing was put."""

    def __init__(self, size: tuple[int, int], ids: tuple[int, ...]):
        self.ids = ids
        self.classes = np.zeros(size, np.uint16)
        self.probability, self.margin = (np.zeros(size, np.float32) for _ in range(2))

    def put(self, rows: np.ndarray, columns: np.ndarray, shares: np.ndarray) -> None:
        """Probabilities (N, K) of pixels. InputError where one is no number."""
        if not np.isfinite(shares).all():
            raise InputError("network", "gives no finite numbers for this cube", "see --bad-bands")
        self.classes[rows, columns] = np.array(self.ids)[shares.argmax(1)]
        self.probability[rows, columns] = shares.max(1)
        self.margin[rows, columns] = lead(shares)


def lead(shares: np.ndarray) -> np.ndarray:
    """(N,) of the likeliest class before the next, of probabilities (N, K)."""
    if shares.shape[1] < 2:
        return shares[:, 0]
    ordered = np.partition(shares, -2, axis=1)
    return ordered[:, -1] - ordered[:, -2]
