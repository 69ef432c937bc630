"""From a person's box to the crop that a network sees, and back; and the heat maps that it learns.

Unbiased data processing (Huang et al. 2020): a pixel's place is its index, so that a side of n
pixels is n - 1 long, in the image, in the crop and in the heat map alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PADDING = 1.25  # how much larger than the box, of the crop's shape, a crop is
STRIDE = 4  # pixels of the crop to a cell of the heat map
SIGMA = 2.0  # cells


@dataclass(frozen=True)
class CropShape:
    """``size`` is (height, width) of the network's input in pixels."""

    size: tuple[int, int]

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of a heat map."""
        return self.size[0] // STRIDE, self.size[1] // STRIDE


@dataclass(frozen=True, eq=False)
class Frame:
    """What a crop shows: the point ``centre`` (x, y) of the image and a piece of ``size`` (width,
    height) around it, turned by ``angle`` degrees."""

    centre: np.ndarray
    size: np.ndarray
    angle: float = 0.0


def frame_of(
    box: Sequence[float] | np.ndarray,
    shape: CropShape,
    *,
    padding: float = PADDING,
    angle: float = 0.0,
) -> Frame:
    """The crop's frame for a ``box`` (x, y, width, height): its shorter side enlarged to the crop's
    proportions, then all by ``padding``."""
    x, y, width, height = np.asarray(box, np.float64)
    aspect = shape.size[1] / shape.size[0]
    size = np.array([max(width, height * aspect), max(height, width / aspect)])
    return Frame(np.array([x + width / 2, y + height / 2]), size * padding, angle)


def crop_matrix(frame: Frame, shape: CropShape) -> np.ndarray:
    """(2, 3) from the image to the crop, unbiased."""
    scale = (np.array(shape.size[::-1]) - 1) / frame.size
    cosine, sine = np.cos(np.radians(frame.angle)), np.sin(np.radians(frame.angle))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    offset = frame.size / 2 - linear @ frame.centre
    return scale[:, None] * np.concatenate((linear, offset[:, None]), axis=1)


def straight_matrix(frame: Frame, shape: CropShape) -> np.ndarray:
    """The same as codes before UDP have it: one scale, by the widths; turned the other way."""
    target = np.array(shape.size[::-1])
    scale = target[0] / frame.size[0]
    cosine, sine = np.cos(np.radians(frame.angle)), np.sin(np.radians(frame.angle))
    linear = scale * np.array([[cosine, sine], [-sine, cosine]])
    return np.concatenate((linear, (target / 2 - linear @ frame.centre)[:, None]), axis=1)


def cut(image: np.ndarray, matrix: np.ndarray, shape: CropShape) -> np.ndarray:
    """The crop uint8 (height, width, 3), black beyond the image's border."""
    return cv2.warpAffine(image, matrix, shape.size[::-1], flags=cv2.INTER_LINEAR)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (..., 2) under a matrix (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def inverse(matrix: np.ndarray) -> np.ndarray:
    """The matrix (2, 3) that undoes another."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate((linear, -(linear @ matrix[:, 2:])), axis=1)


def targets(
    joints: np.ndarray, labelled: np.ndarray, shape: CropShape, *, unbiased: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Heat maps float32 (n, K, rows, columns) and weights (n, K) for ``joints`` (n, K, 2) in pixels
    of the crop, of which those ``labelled`` (n, K) count.

    A Gaussian of two cells around each, of 13 x 13 cells; a joint farther outside than that has
    weight 0. Without ``unbiased`` the centre is rounded to whole cells.
    """
    rows, columns = shape.cells
    size, cells = np.array(shape.size[::-1]), np.array([columns, rows])
    stride = (size - 1) / (cells - 1) if unbiased else size / cells
    place = np.where(labelled[..., None], joints, 0) / stride
    nearest = np.trunc(place + 0.5)
    centre, reach = place if unbiased else nearest, int(3 * SIGMA)
    inside = (nearest - reach < cells).all(axis=-1) & (nearest + reach + 1 >= 0).all(axis=-1)
    waves = []
    for axis, count in enumerate(cells):
        cell = np.arange(count)
        wave = np.exp(-((cell - centre[..., axis, None]) ** 2) / (2 * SIGMA**2))
        waves.append(wave * (np.abs(cell - nearest[..., axis, None]) <= reach))
    weights = (labelled & inside).astype(np.float32)
    maps = waves[1][..., :, None] * waves[0][..., None, :] * weights[..., None, None]
    return maps.astype(np.float32), weights
