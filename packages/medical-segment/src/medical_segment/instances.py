"""Many alike objects, cells above all, told apart and measured."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

INTERIOR, BOUNDARY = 1, 2
MAX_OBJECTS = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Thing:
    """One object: its number in the instance map, page, area in pixels, centre (row, column) and
    mean intensity."""

    number: int
    page: int
    area: int
    row: float
    column: float
    mean_intensity: float


def separate(labels: np.ndarray, min_area: int = 1) -> np.ndarray:
    """Label map (rows, columns) of background 0, interior 1 and boundary 2 -> int32 instances 1, 2,
    … and 0.

    Each connected interior is one object (touching by an edge); it then grows into the boundary
    around it, as far as that is connected to it. A boundary without an interior is no object, nor
    is one of fewer than ``min_area`` pixels.
    """
    from skimage.segmentation import watershed

    interiors, count = ndimage.label(labels == INTERIOR)
    if not count:
        return np.zeros(labels.shape, np.int32)
    depth = ndimage.distance_transform_edt(interiors == 0)
    grown = watershed(depth, interiors, mask=np.isin(labels, (INTERIOR, BOUNDARY)))
    areas = np.bincount(grown.ravel())
    kept = np.flatnonzero(areas >= max(1, min_area))
    kept = kept[kept > 0]
    numbers = np.zeros(len(areas), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[grown]


def measure(instances: np.ndarray, image: np.ndarray, page: int = 0) -> list[Thing]:
    """Each object of (rows, columns), in the order of their numbers; ``image`` (C, rows, columns)
    as it was read."""
    numbers = np.unique(instances)
    numbers = numbers[numbers > 0]
    if not len(numbers):
        return []
    grey = image.astype(np.float64).mean(axis=0)
    areas = ndimage.sum_labels(np.ones(instances.shape), instances, numbers)
    centres = ndimage.center_of_mass(np.ones(instances.shape), instances, numbers)
    means = ndimage.mean(grey, instances, numbers)
    return [
        Thing(int(number), page, int(area), round(row, 2), round(column, 2), round(float(mean), 3))
        for number, area, (row, column), mean in zip(numbers, areas, centres, means, strict=True)
    ]
