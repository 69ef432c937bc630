"""Faces brought to one size and pose, cut out with what is around them, and moved with their
landmarks."""

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

MIRRORED = [1, 0, 2, 4, 3]  # where each landmark is found in a mirrored face


def align(image: np.ndarray, landmarks: np.ndarray, size: int = TEMPLATE_SIZE) -> np.ndarray:
    """The face as uint8 RGB (size, size, 3), turned and scaled so that its landmarks (5, 2) lie on
    the usual template.

    Beyond the image's border it is black, as in the data sets of face recognition. InputError
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
    the image."""
    x0, y0, x1, y1 = face.box
    x, y = margin * (x1 - x0), margin * (y1 - y0)
    return round(x0 - x), round(y0 - y), round(x1 + x), round(y1 + y)


def crop(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The pixels (y1 - y0, x1 - x0, 3) of a box in whole pixels; beyond the image's border its
    edge is repeated.

    InputError for a box without any pixel.
    """
    x0, y0, x1, y1 = box
    if x1 <= x0 or y1 <= y0:
        raise InputError("box", f"{box} holds no pixel")
    rows = np.arange(y0, y1).clip(0, image.shape[0] - 1)
    columns = np.arange(x0, x1).clip(0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def warp_image(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) under a similarity ``matrix`` (2, 3) to ``size`` (width, height), mirrored
    beyond its border."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.7:  # by pixel area first: the warp itself looks at four pixels only
        height, width = image.shape[:2]
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        matrix = matrix * (width / image.shape[1], height / image.shape[0], 1)
    kind = cv2.INTER_CUBIC if scale > 1.5 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, size, flags=kind, borderMode=cv2.BORDER_REFLECT_101)


def move_landmarks(landmarks: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Landmarks (n, 5, 2), left and right exchanged where the matrix mirrors."""
    moved = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return moved[:, MIRRORED] if np.linalg.det(matrix[:, :2]) < 0 else moved
