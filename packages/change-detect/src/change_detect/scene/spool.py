"""A map of any size, kept on disk while it is made."""

import tempfile
from collections.abc import Iterator

import numpy as np

STRIP = 512  # rows


class Spool:
    """Rows of one dtype, added from the top, read back in strips; the file goes with the object."""

    def __init__(self, shape: tuple[int, int], dtype: str | type):
        self.shape, self.dtype, self.rows = shape, np.dtype(dtype), 0
        self._file = tempfile.TemporaryFile(prefix="change-detect-")  # noqa: SIM115 - it lives as the object

    def add(self, strip: np.ndarray) -> None:
        """(rows, columns)."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(strip, self.dtype).tobytes())
        self.rows += len(strip)

    def read(self, rows: slice) -> np.ndarray:
        """(rows, columns)."""
        line = self.shape[1] * self.dtype.itemsize
        self._file.seek(rows.start * line)
        data = self._file.read((rows.stop - rows.start) * line)
        return np.frombuffer(data, self.dtype).reshape(-1, self.shape[1]).copy()

    def strips(self, height: int = STRIP) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows, at most ``height`` at once, with where they are."""
        for top in range(0, self.shape[0], height):
            rows = slice(top, min(top + height, self.shape[0]))
            yield rows, self.read(rows)

    def array(self) -> np.ndarray:
        """Everything at once."""
        return self.read(slice(0, self.shape[0]))
