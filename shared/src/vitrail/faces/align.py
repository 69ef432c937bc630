"""Faces brought to one size and pose, and cut out with what is around them."""

import cv2
import numpy as np

from vitrail.errors import InputError
from vitrail.faces.face import Face

# Where face recognition expects the five landmarks in a crop of 112 x 112 (Deng et al. 2019,
# ArcFace).
TEMPLATE_SIZE = 112
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)


def align(image: np.ndarray, landmarks: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """The face as uint8 RGB (size, size, 3), turned and scaled so that its landmarks (5, 2) lie on
    the usual template.

    Beyond the picture's border it is black, as in the data sets of face recognition. InputError
    where the landmarks are not known (dlib's HOG gives none) or all lie on one spot.
    """
    matrix = alignment(landmarks, size)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)


def alignment(landmarks: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """The similarity (2, 3), without mirroring, from ``landmarks`` (5, 2) to the template, by least
    squares."""
    x, y = np.asarray(landmarks, float).T
    if not np.isfinite(x + y).all() or max(np.ptp(x), np.ptp(y)) < 1e-3:
        raise InputError(
            "landmarks", "are not known for this face", "use a detector that gives landmarks"
        )
    one, zero = np.ones_like(x), np.zeros_like(x)
    # x' = a x - b y + c and y' = b x + a y + d, for all five points at once
    equations = np.concatenate(
        (np.stack((x, -y, one, zero), axis=1), np.stack((y, x, zero, one), axis=1))
    )
    template = (TEMPLATE * (size / TEMPLATE_SIZE)).T.ravel()
    a, b, c, d = np.linalg.lstsq(equations, template, rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def crop_box(face: Face, margin: float) -> tuple[int, int, int, int]:
    """The face's box in whole pixels, grown at each end by ``margin`` times its side; it may leave
    the picture."""
    x0, y0, x1, y1 = face.box
    x, y = margin * (x1 - x0), margin * (y1 - y0)
    return round(x0 - x), round(y0 - y), round(x1 + x), round(y1 + y)


def crop(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The pixels (y1 - y0, x1 - x0, 3) of a box in whole pixels; beyond the picture's border its
    edge is repeated.

    InputError for a box without any pixel.
    """
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise InputError("box", f"{box} holds no pixel")
    rows = np.arange(y0, y1).clip(0, image.shape[0] - 1)
    columns = np.arange(x0, x1).clip(0, image.shape[1] - 1)
    return image[rows[:, None], columns]
