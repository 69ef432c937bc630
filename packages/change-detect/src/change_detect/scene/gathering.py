"""What is gathered while a scene is looked at: crops for the network, strips of its answers,
reduced pictures, counts."""

from collections.abc import Iterator

import numpy as np

from change_detect.scene.pixels import normalise
from change_detect.scene.scene import Scene
from change_detect.scene.spool import Spool
from vitrail.grids import Grid

PICTURE = 1024  # pixels along the longer side of a quick look


class Strips:
    """Strips of probabilities in 0..1, kept on disk until all are there."""

    def __init__(self, shape: tuple[int, int]):
        self.spool = Spool(shape, np.float32)

    def add(self, top: int, strip: np.ndarray) -> None:
        assert top == self.spool.rows
        self.spool.add(strip)

    def read(self) -> Iterator[tuple[int, np.ndarray]]:
        for rows, strip in self.spool.strips():
            yield rows.start, strip


class Pictures:
    """Both dates, reduced to at most ``PICTURE`` pixels along a side by leaving pixels out."""

    def __init__(self, scene: Scene):
        self.step = -(-max(scene.shape) // PICTURE)
        sides = [-(-side // self.step) for side in scene.shape]
        first, second = (np.full((*sides, 3), 128, np.uint8) for _ in range(2))
        self.both = (first, second)

    def add(self, which: int, top: int, left: int, rgb: np.ma.MaskedArray) -> None:
        """A window (3, rows, columns) whose first pixel is (top, left)."""
        first = [-start % self.step for start in (top, left)]
        part = rgb[:, first[0] :: self.step, first[1] :: self.step]
        if part.size:
            row, column = (top + first[0]) // self.step, (left + first[1]) // self.step
            place = (slice(row, row + part.shape[1]), slice(column, column + part.shape[2]))
            self.both[which][place] = np.moveaxis(part.filled(128), 0, -1)


class Counts:
    """Pixels and square metres: all, with data, changed."""

    def __init__(self, scene: Scene):
        self.scene = scene
        self.pixels = {"all": scene.shape[0] * scene.shape[1], "valid": 0, "changed": 0}
        self.areas = {"valid": 0.0, "changed": 0.0}
        self.knows_area = scene.pixel_area(slice(0, 1)) is not None

    def add(self, top: int, valid: np.ndarray, what: str = "valid") -> None:
        per_row = np.count_nonzero(valid, axis=1)
        self.pixels[what] += int(per_row.sum())
        area = self.scene.pixel_area(slice(top, top + len(valid)))
        if area is not None:
            self.areas[what] += float((per_row * area).sum())

    def add_changed(self, top: int, changed: np.ndarray) -> None:
        self.add(top, changed, "changed")


def crops_of(
    scene: Scene, numbers: tuple[int, int], grid: Grid, number: int, pictures: Pictures
) -> tuple[tuple[np.ndarray, np.ndarray] | None, np.ndarray]:
    """Both dates of a window as the network takes them, None without data, and where both hold
    data (float32)."""
    window = grid.window(number)
    parts = [scene.colours(scene.read(which, window)) for which in numbers]
    for place, part in enumerate(parts):
        pictures.add(place, window[0].start, window[1].start, part)
    valid = ~(np.ma.getmaskarray(parts[0]).any(axis=0) | np.ma.getmaskarray(parts[1]).any(axis=0))
    sides = zip(grid.before, valid.shape, grid.patch, strict=True)
    padding = [(before, patch - before - side) for before, side, patch in sides]
    if not valid.any():
        return None, np.pad(valid, padding)
    crops = []
    for part in parts:
        values = normalise(part.data)
        values[:, ~valid] = 0  # the mean of training: neither dark nor bright
        crops.append(np.pad(values, [(0, 0), *padding], mode="symmetric"))
    return (crops[0], crops[1]), np.pad(valid, padding).astype(np.float32)
