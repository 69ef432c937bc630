"""Images, boxes and landmarks under a similarity."""

import cv2
import numpy as np

MIRRORED = [1, 0, 2, 4, 3]  # where each landmark is found in a mirrored face


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


def extent(shape: tuple[int, ...], matrix: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """Ones where a warped picture of ``shape`` lies on a canvas of shape ``target``, its mirrored
    border left out."""
    right, bottom = shape[1] - 2, shape[0] - 2
    corners = (
        np.array([[1, 1], [right, 1], [right, bottom], [1, bottom]]) @ matrix[:, :2].T
        + matrix[:, 2]
    )
    return cv2.fillConvexPoly(np.zeros(target, np.float32), np.round(corners).astype(np.int32), 1.0)


def similarity(
    source: np.ndarray, target: np.ndarray, scale: float, angle: float, mirror: bool
) -> np.ndarray:
    """The matrix (2, 3) that takes a point to another, scales, turns by ``angle`` degrees and may
    mirror."""
    cosine, sine = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    linear = np.array([[cosine, -sine], [sine, cosine]]) * ((-1, 1) if mirror else (1, 1))
    return np.concatenate((linear, (target - linear @ source)[:, None]), axis=1)


def move_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) around the turned ellipses that fill the given boxes: a face is round."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    halves = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix[:, :2].T ** 2))
    return np.concatenate((centres - halves, centres + halves), axis=1).astype(np.float32)


def move_landmarks(landmarks: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Landmarks (n, 5, 2), left and right exchanged where the matrix mirrors."""
    moved = (landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    return moved[:, MIRRORED] if np.linalg.det(matrix[:, :2]) < 0 else moved
