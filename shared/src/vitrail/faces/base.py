"""What all face detectors share: the sizes at which a picture is searched."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import cv2
import numpy as np

from vitrail.faces.face import Face

LONG_SIDE, SECOND_LONG_SIDE = 640, 1280


class Detector(ABC):
    """Finds faces in uint8 RGB pictures (H, W, 3).

    ``sha256`` is the checksum of its weights. What has a score below ``certain`` in most frames of
    a video is perhaps no face.
    """

    sha256: str
    certain: float = 0.0

    @abstractmethod
    def search(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """The faces of each picture, best first, at the size that it has."""

    def __call__(self, image: np.ndarray) -> list[Face]:
        """The faces of one picture, best first, in its own pixels."""
        return self.many([image])[0]

    def many(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """The faces of each picture, best first, in its own pixels.

        A picture is searched at a long side of at most 640 pixels, and once more at 1280 where that
        found nothing.
        """
        found = self._search_at(LONG_SIDE, images)
        again = [
            n for n, image in enumerate(images) if not found[n] and max(image.shape[:2]) > LONG_SIDE
        ]
        for n, faces in zip(
            again, self._search_at(SECOND_LONG_SIDE, [images[n] for n in again]), strict=True
        ):
            found[n] = faces
        return found

    def _search_at(self, long_side: int, images: Sequence[np.ndarray]) -> list[list[Face]]:
        if not images:
            return []
        small = [shrink(image, long_side) for image in images]
        return [
            [_enlarged(face, image.shape, reduced.shape) for face in faces]
            for image, reduced, faces in zip(images, small, self.search(small), strict=True)
        ]


def shrink(image: np.ndarray, long_side: int) -> np.ndarray:
    """The picture with its longer side cut down to ``long_side``; a smaller one stays as it is."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _enlarged(face: Face, full: tuple[int, ...], small: tuple[int, ...]) -> Face:
    if full == small:
        return face
    scale = np.array([full[1] / small[1], full[0] / small[0]], np.float32)
    box = tuple((np.reshape(face.box, (2, 2)) * scale).ravel().tolist())
    return Face(box, face.score, face.landmarks * scale)
