"""OpenCV's YuNet as a face detector, from a model file of the user's."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vitrail.errors import InputError
from vitrail.faces.base import Detector
from vitrail.faces.face import Face
from vitrail.sources import require_file, sha256

MIN_SCORE, MAX_OVERLAP = 0.7, 0.3


class YuNet(Detector):
    """The network of Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", run by
    ``cv2.FaceDetectorYN``.

    ``path`` is an ONNX file of it, such as ``face_detection_yunet_2023mar.onnx`` of the OpenCV Zoo;
    any other file raises InputError.
    """

    def __init__(self, path: Path, min_score: float = MIN_SCORE):
        require_file(path)
        try:
            self._network = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), min_score, MAX_OVERLAP
            )
            self._network.detect(np.zeros((320, 320, 3), np.uint8))
        except cv2.error as error:
            raise InputError(
                path, "is not a YuNet face detector", "give face_detection_yunet_2023mar.onnx"
            ) from error
        self.sha256 = sha256(path)

    def search(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        return [self._search_one(image) for image in images]

    def _search_one(self, image: np.ndarray) -> list[Face]:
        self._network.setInputSize((image.shape[1], image.shape[0]))
        _, rows = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if rows is None:
            return []
        return [_face(row) for row in rows[rows[:, 14].argsort()[::-1]]]


def _face(row: np.ndarray) -> Face:
    """A row is x, y, width, height, five landmarks (x, y), score; its landmarks are in our order
    already."""
    x, y, width, height = row[:4].tolist()
    return Face(
        (x, y, x + width, y + height), float(row[14]), row[4:14].reshape(5, 2).astype(np.float32)
    )
