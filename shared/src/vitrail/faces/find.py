"""Finding faces: the sizes at which an image is searched, whoever searches it."""

from collections.abc import Generator, Mapping, Sequence

import numpy as np

from vitrail.detection.search import shrink
from vitrail.faces.face import Face
from vitrail.job import Ask, Engine
from vitrail.runner import solve

LONG_SIDE, SECOND_LONG_SIDE = 640, 1280
DETECTOR = "face_detector"

Found = Generator[Ask, list, list[list[Face]]]


class Finder:
    """Finds faces in uint8 RGB images (H, W, 3).

    ``networks`` are the engines that ``find`` asks; this class's own search asks ``face_detector``,
    which takes images as they are and gives rows (n, 15) for each, best first: the score, the box
    and five landmarks.
    """

    def __init__(self, networks: Mapping[str, Engine]):
        self.networks = dict(networks)

    def certain(self, share: float) -> float:
        """The score that a face surely has whose width is ``share`` of the image's shorter side;
        what has less in most frames of a video is perhaps no face."""
        return 0.0

    def find(self, images: Sequence[np.ndarray]) -> Found:
        """The faces of each image, best first, in its own pixels; part of a job's generator.

        An image is searched at a long side of at most 640 pixels, and once more at 1280 where that
        found nothing.
        """
        found = yield from self._search_at(LONG_SIDE, images)
        again = [
            n for n, image in enumerate(images) if not found[n] and max(image.shape[:2]) > LONG_SIDE
        ]
        second = yield from self._search_at(SECOND_LONG_SIDE, [images[n] for n in again])
        for n, faces in zip(again, second, strict=True):
            found[n] = faces
        return found

    def predict(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """What ``find`` finds, outside a job."""
        return solve(self.networks, self.find(images))

    def search(self, images: Sequence[np.ndarray]) -> Found:
        """The faces of each image, best first, at the size that it has."""
        found = yield Ask(DETECTOR, list(images))
        return [[Face.of(row) for row in rows] for rows in found]

    def _search_at(self, long_side: int, images: Sequence[np.ndarray]) -> Found:
        small = [shrink(image, long_side) for image in images]
        found = yield from self.search(small)
        return [
            [_enlarged(face, image.shape, reduced.shape) for face in faces]
            for image, reduced, faces in zip(images, small, found, strict=True)
        ]


def _enlarged(face: Face, full: tuple[int, ...], small: tuple[int, ...]) -> Face:
    if full == small:
        return face
    scale = np.array([full[1] / small[1], full[0] / small[0]], np.float32)
    x0, y0, x1, y1 = (np.reshape(face.box, (2, 2)) * scale).ravel().tolist()
    return Face((x0, y0, x1, y1), face.score, face.landmarks * scale)
