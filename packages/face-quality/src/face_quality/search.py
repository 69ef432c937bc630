"""Faces of a picture, also of one that lies on its side."""

import numpy as np

from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.job import Steps

# Of a face in a picture that was turned to find it: in photographs without people nothing but small
# things reached it (``vitrail.faces.detector``)
MIN_TURNED = 0.65


def find_faces(finder: Finder, image: np.ndarray) -> Steps:
    """The faces of an image (H, W, 3), best first, in its own pixels. Where none is found it is
    searched again in quarter turns, as cameras and scanners leave it that tell no orientation."""
    (found,) = yield from finder.find([image])
    if found:
        return list(found)
    turned = yield from finder.find([np.ascontiguousarray(np.rot90(image, k)) for k in (1, 2, 3)])
    sets = [
        [turned_back(face, k, image.shape) for face in faces if face.score >= MIN_TURNED]
        for k, faces in enumerate(turned, 1)
    ]
    return max(sets, key=lambda faces: max((face.score for face in faces), default=0.0))


def turned_back(face: Face, quarters: int, shape: tuple[int, ...]) -> Face:
    """A face found in ``np.rot90(image, quarters)``, in the pixels of the image, of ``shape``."""
    corners = np.array([face.box[:2], face.box[2:]], float)
    ends, landmarks = (_back(points, quarters, shape) for points in (corners, face.landmarks))
    (x0, y0), (x1, y1) = ends.min(axis=0).tolist(), ends.max(axis=0).tolist()
    return Face((x0, y0, x1, y1), face.score, landmarks.astype(np.float32))


def _back(points: np.ndarray, quarters: int, shape: tuple[int, ...]) -> np.ndarray:
    """Points (n, 2) as x and y."""
    height, width = shape[:2]
    x, y = points.T
    if quarters == 1:
        return np.stack((width - 1 - y, x), axis=1)
    if quarters == 2:
        return np.stack((width - 1 - x, height - 1 - y), axis=1)
    return np.stack((y, height - 1 - x), axis=1)
