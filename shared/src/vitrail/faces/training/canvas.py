"""An image that grows by pasting others into it, and keeps account of the faces that can still be
seen; and the similarities by which they are pasted."""

import cv2
import numpy as np

from vitrail.faces.align import move_landmarks, warp_image
from vitrail.faces.training.data import Scene

Window = tuple[int, int, int, int]


class Canvas:
    """A black square of ``size`` pixels; ``scene`` is what has become of it."""

    def __init__(self, size: int):
        self.size = size
        nothing = np.zeros((0, 4), np.float32)
        self.scene = Scene(
            np.zeros((size, size, 3), np.uint8), nothing, np.zeros((0, 5, 2), np.float32), nothing
        )

    def paste(
        self,
        scene: Scene,
        matrix: np.ndarray,
        mask: np.ndarray,
        window: Window,
        *,
        bounded: bool = False,
    ) -> None:
        """Lays ``scene`` under the similarity ``matrix`` over a window (x0, y0, x1, y1) by a
        ``mask`` with values of 0..1, of the window's shape.

        Beyond its border the scene is mirrored, or, when ``bounded``, the canvas stays. A face that
        is half hidden becomes unsure, one that is hidden goes.
        """
        x0, y0, x1, y1 = window
        local = matrix - [[0, 0, x0], [0, 0, y0]]
        pixels = warp_image(scene.image, local, (x1 - x0, y1 - y0))
        if bounded:
            mask = mask * extent(scene.image.shape, local, mask.shape)
        below = self.scene.image[y0:y1, x0:x1]
        self.scene.image[y0:y1, x0:x1] = (
            below + (pixels.astype(np.float32) - below) * mask[..., None] + 0.5
        )
        old, new = self.scene, moved(scene, matrix)
        kept = _labels(
            old, 1 - covered(old.boxes, mask, window), 1 - covered(old.unsure, mask, window)
        )
        added = _labels(new, covered(new.boxes, mask, window), covered(new.unsure, mask, window))
        self.scene = Scene(
            old.image, *(np.concatenate(pair) for pair in zip(kept, added, strict=True))
        )


def covered(boxes: np.ndarray, mask: np.ndarray, window: Window) -> np.ndarray:
    """Which part of each box (n, 4) the ``mask`` over a window covers."""
    height, width = mask.shape
    corners = np.clip(
        np.round(boxes - np.tile(window[:2], 2)), 0, (width, height, width, height)
    ).astype(int)
    area = np.array([mask[y0:y1, x0:x1].sum() for x0, y0, x1, y1 in corners], np.float32)
    return area / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1)


def _labels(scene: Scene, shown: np.ndarray, unsure_shown: np.ndarray) -> tuple[np.ndarray, ...]:
    """Boxes, landmarks and unsure boxes of a scene of whose boxes such parts can be seen."""
    clear, gone = shown > 0.65, shown < 0.3
    unsure = np.concatenate((scene.boxes[~clear & ~gone], scene.unsure[unsure_shown > 0.2]))
    return scene.boxes[clear], scene.landmarks[clear], unsure


def moved(scene: Scene, matrix: np.ndarray) -> Scene:
    """The scene's labels under ``matrix``; its image stays as it is."""
    boxes, unsure = move_boxes(scene.boxes, matrix), move_boxes(scene.unsure, matrix)
    return Scene(scene.image, boxes, move_landmarks(scene.landmarks, matrix), unsure)


def extent(shape: tuple[int, ...], matrix: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """Ones where a warped image of ``shape`` lies on a canvas of shape ``target``, its mirrored
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
