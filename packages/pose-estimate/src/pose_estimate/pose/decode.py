"""From heat maps to joints in the image, for all joints of all people at once."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from pose_estimate.pose.crop import (
    STRIDE,
    CropShape,
    Frame,
    crop_matrix,
    inverse,
    moved,
    straight_matrix,
)

KERNEL = 11  # cells of the blur before the step; OpenCV derives a sigma of 2 from it
KINDS = ("udp", "dark", "shift", "argmax")


def decode(maps: np.ndarray, frames: Sequence[Frame], *, kind: str = "udp") -> np.ndarray:
    """Joints float64 (n, K, 3), x and y in the image of each frame and the map's largest value,
    from heat maps (n, K, rows, columns).

    ``udp`` takes a Newton step on the logarithm of the blurred map (DARK, Zhang et al. 2020) in
    unbiased coordinates; ``dark``, ``shift`` and ``argmax`` are the older rules, in biased ones.
    """
    peaks, values = largest(maps)
    step = {"udp": _newton_unbiased, "dark": _newton, "shift": _quarter, "argmax": _stay}[kind]
    places = step(maps, peaks)
    rows, columns = maps.shape[2:]
    shape = CropShape((rows * STRIDE, columns * STRIDE))
    if kind == "udp":
        places = places * (np.array(shape.size[::-1]) - 1) / (np.array([columns, rows]) - 1)
    else:
        places = places * STRIDE
    matrix_of = crop_matrix if kind == "udp" else straight_matrix
    back = [inverse(matrix_of(frame, shape)) for frame in frames]
    found = [moved(place, matrix) for place, matrix in zip(places, back, strict=True)]
    found = np.array(found, np.float64).reshape(*values.shape, 2)
    return np.concatenate((found, values[..., None]), axis=-1)


def frames_of_crops(shape: CropShape, count: int) -> list[Frame]:
    """The frames under which what is decoded lies in the crops themselves."""
    size = np.array(shape.size[::-1], np.float64) - 1
    return [Frame(size / 2, size)] * count


def largest(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell (n, K, 2) as column and row of each map's largest value, and that value (n, K); the
    cell is -1 where no value is positive."""
    flat = maps.reshape(*maps.shape[:2], maps.shape[2] * maps.shape[3])
    at = flat.argmax(axis=2)
    values = np.take_along_axis(flat, at[..., None], axis=2)[..., 0]
    cells = np.stack((at % maps.shape[3], at // maps.shape[3]), axis=-1).astype(np.float64)
    cells[values <= 0] = -1
    return cells, values


def flip_back(maps: np.ndarray | object, pairs: Sequence[Sequence[int]]) -> np.ndarray:
    """Heat maps (n, K, rows, columns) of mirrored images as if of the images: mirrored, left and
    right joints exchanged."""
    maps = np.asarray(maps)
    order = np.arange(maps.shape[1])
    for left, right in pairs:
        order[[left, right]] = right, left
    return np.ascontiguousarray(maps[:, order, :, ::-1])


def mean_with_flipped(
    maps: np.ndarray, flipped: np.ndarray, pairs: Sequence[Sequence[int]]
) -> np.ndarray:
    """The mean of the heat maps of images and of their mirrored copies."""
    return (maps + flip_back(flipped, pairs)) / 2


def _stay(maps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    return peaks


def _quarter(maps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """A quarter of a cell towards the larger neighbour, not at the border."""
    at = _Around(maps, peaks)
    inner = at.is_inner(margin=1)
    slope = np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), axis=-1)
    return peaks + 0.25 * np.sign(slope) * inner[..., None]


def _newton(maps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """DARK's step as it was first published: differences over two cells, the blurred map brought
    back to its height, no step near the border."""
    border = KERNEL // 2
    wide = np.pad(maps.astype(np.float64), ((0, 0), (0, 0), (border, border), (border, border)))
    blurred = _blur(wide)[:, :, border:-border, border:-border]
    highest = blurred.max(axis=(2, 3), keepdims=True)
    blurred = blurred * maps.max(axis=(2, 3), keepdims=True) / np.where(highest > 0, highest, 1)
    at = _Around(np.log(np.maximum(blurred, 1e-10)), peaks)
    middle = at(0, 0)
    slope = 0.5 * np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), axis=-1)
    xx = 0.25 * (at(2, 0) - 2 * middle + at(-2, 0))
    yy = 0.25 * (at(0, 2) - 2 * middle + at(0, -2))
    xy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
    # A cell more on the far side than the quarter shift leaves out: two cells are looked across.
    return peaks + _step(slope, xx, xy, yy, 0.0) * at.is_inner(margin=2)[..., None]


def _newton_unbiased(maps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """DARK's step as UDP takes it: single cells, values clipped, edges repeated."""
    at = _Around(np.log(np.clip(_blur(maps.astype(np.float64)), 1e-3, 50)), peaks)
    middle = at(0, 0)
    slope = 0.5 * np.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), axis=-1)
    xx, yy = at(1, 0) - 2 * middle + at(-1, 0), at(0, 1) - 2 * middle + at(0, -1)
    diagonal = at(1, 1) + at(-1, -1) + 2 * middle
    xy = 0.5 * (diagonal - at(1, 0) - at(-1, 0) - at(0, 1) - at(0, -1))
    return peaks + _step(slope, xx, xy, yy, float(np.finfo(np.float32).eps))


def _step(
    slope: np.ndarray, xx: np.ndarray, xy: np.ndarray, yy: np.ndarray, eps: float
) -> np.ndarray:
    """Minus the inverse of the Hessian, with ``eps`` on its diagonal, times the slope; 0 where it
    has no inverse."""
    xx, yy = xx + eps, yy + eps
    determinant = xx * yy - xy**2
    x = yy * slope[..., 0] - xy * slope[..., 1]
    y = xx * slope[..., 1] - xy * slope[..., 0]
    safe = np.where(determinant != 0, determinant, np.inf)
    return -np.stack((x, y), axis=-1) / safe[..., None]


class _Around:
    """The values of maps (n, K, rows, columns) beside the cells (n, K, 2); beyond the border its
    edge is repeated."""

    def __init__(self, maps: np.ndarray, cells: np.ndarray):
        self.maps = maps
        self.cells = np.maximum(cells, 0).astype(np.int64)
        self.places = np.ogrid[: maps.shape[0], : maps.shape[1]]

    def __call__(self, right: int, down: int) -> np.ndarray:
        rows, columns = self.maps.shape[2:]
        column = np.clip(self.cells[..., 0] + right, 0, columns - 1)
        row = np.clip(self.cells[..., 1] + down, 0, rows - 1)
        return self.maps[self.places[0], self.places[1], row, column]

    def is_inner(self, margin: int) -> np.ndarray:
        """Whether a cell lies more than one cell from the near border, and more than ``margin``
        from the far one."""
        far = np.array(self.maps.shape[:1:-1]) - margin
        return np.all((self.cells > 1) & (self.cells < far), axis=-1)


def _blur(maps: np.ndarray) -> np.ndarray:
    """All maps (n, K, rows, columns) blurred as OpenCV blurs them one by one, by two products."""
    rows, columns = maps.shape[2:]
    return _blurring(rows) @ maps @ _blurring(columns).T


@cache
def _blurring(count: int) -> np.ndarray:
    """The blur along one axis as a matrix (count, count); the border mirrors without repeating."""
    unit = np.eye(count)
    kernel = cv2.getGaussianKernel(KERNEL, 0, cv2.CV_64F).ravel()
    border = cv2.BORDER_REFLECT_101
    return cv2.sepFilter2D(unit, cv2.CV_64F, np.ones(1), kernel, borderType=border)
