"""Change vectors: how far each pixel moved, in deviations of its band (Malila 1980)."""

from collections.abc import Iterator

import numpy as np

from change_detect.scene.scene import Scene
from vitrail.errors import InputError
from vitrail.grids import Window

ROWS = 256  # read at once
MAX_SAMPLES = 1 << 22  # of lengths, from which the threshold is found


def strips(
    scene: Scene, numbers: tuple[int, int]
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Rows, both dates (2, bands, rows, columns) float64, and where both hold data."""
    for top in range(0, scene.shape[0], ROWS):
        rows = slice(top, min(top + ROWS, scene.shape[0]))
        window: Window = (rows, slice(0, scene.shape[1]))
        parts = [scene.read(number, window) for number in numbers]
        masks = [np.ma.getmaskarray(part).any(axis=0) for part in parts]
        both = np.stack([np.asarray(part.data, float) for part in parts])
        yield rows, both, np.asarray(~(masks[0] | masks[1]))


class ChangeVectors:
    """The length of the difference of two dates, each band of each date scaled to mean 0 and
    deviation 1; a threshold by Otsu's rule.

    Raises InputError where no pixel holds data on both dates.
    """

    name = "change vectors"

    def __init__(self, scene: Scene, numbers: tuple[int, int]):
        self.mean, self.deviation = _moments(scene, numbers)
        lengths = [
            self.measure(dates)[valid] for _, dates, valid in strips(scene, numbers) if valid.any()
        ]
        sample = np.concatenate(
            [one[:: 1 + scene.shape[0] * scene.shape[1] // MAX_SAMPLES] for one in lengths]
        )
        self.limit = otsu(sample)

    def measure(self, dates: np.ndarray) -> np.ndarray:
        """(2, bands, …) to lengths (…)."""
        scaled = (dates - _on_bands(self.mean, dates)) / _on_bands(self.deviation, dates)
        return np.sqrt(((scaled[1] - scaled[0]) ** 2).sum(axis=0))

    def probability(self, dates: np.ndarray) -> np.ndarray:
        """Lengths as numbers in 0..1 that are one half at the threshold."""
        lengths = self.measure(dates)
        return lengths / (lengths + self.limit)


def _on_bands(values: np.ndarray, dates: np.ndarray) -> np.ndarray:
    return values.reshape(*values.shape, *[1] * (dates.ndim - 2))


def _moments(scene: Scene, numbers: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations (2, bands) over the pixels that hold data on both dates."""
    count, total, squares = 0, 0.0, 0.0
    for _, dates, valid in strips(scene, numbers):
        values = dates[:, :, valid]
        count += values.shape[2]
        total, squares = total + values.sum(axis=2), squares + (values**2).sum(axis=2)
    if not count:
        problem = f"shares no pixel with data with {scene.paths[numbers[0]].name}"
        raise InputError(scene.paths[numbers[1]], problem, "give dates that overlap")
    mean = np.asarray(total) / count
    variance = np.maximum(np.asarray(squares) / count - mean**2, 0)
    deviation = np.sqrt(variance)
    return mean, np.where(deviation > 0, deviation, 1)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts ``values`` into two groups of least spread (Otsu 1979); above all of
    them where they are equal."""
    from skimage.filters import threshold_otsu

    if values.min(initial=np.inf) >= values.max(initial=0):
        return float(values.max(initial=0)) + 1.0
    return float(threshold_otsu(values))
