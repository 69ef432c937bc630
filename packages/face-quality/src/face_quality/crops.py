"""The face that a picture is about, and its crop on the usual template."""

from collections.abc import Sequence

import cv2
import numpy as np

from vitrail.faces.align import TEMPLATE_SIZE, align, alignment
from vitrail.faces.face import Face

MIN_SCALE = 0.7  # below it a face is shrunk by area first: the warp looks at four pixels only


def with_landmarks(faces: Sequence[Face]) -> tuple[list[Face], int]:
    """The faces that can be aligned, and how many cannot: their landmarks are unknown, or lie on
    one spot."""
    known = [face for face in faces if np.ptp(face.landmarks, axis=0).max() > 1]
    return known, len(faces) - len(known)


def main_face(shape: tuple[int, ...], faces: Sequence[Face]) -> int | None:
    """The number of the largest face near the centre: size counts less the farther away from it."""
    if not faces:
        return None
    centre = np.array([shape[1], shape[0]]) / 2

    def weight(face: Face) -> float:
        middle = np.reshape(face.box, (2, 2)).mean(axis=0)
        return face.size * (1 - 0.5 * min(1.0, float(np.abs((middle - centre) / centre).max())))

    return max(range(len(faces)), key=lambda number: weight(faces[number]))


def aligned(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face on the usual template, uint8 (112, 112, 3); a large one is shrunk by area first."""
    scale = float(np.sqrt(abs(np.linalg.det(alignment(landmarks)[:, :2]))))
    if scale >= MIN_SCALE:
        return align(image, landmarks)
    # Only the part that the crop can show, which a turned template fits in.
    middle, reach = landmarks.mean(axis=0), TEMPLATE_SIZE / scale
    x0, y0 = np.floor((middle - reach).clip(0)).astype(int)
    x1, y1 = np.ceil(middle + reach).astype(int)
    part = image[y0:y1, x0:x1]
    if not part.size:
        return align(image, landmarks)
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    growth = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
    return align(small, (landmarks - [x0, y0] + 0.5) * growth - 0.5)
