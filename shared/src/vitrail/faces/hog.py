"""dlib's HOG face detector: the one whose boxes official deepfake weights were trained on."""

from collections.abc import Sequence

import numpy as np

from vitrail.errors import MissingError
from vitrail.faces.base import Detector
from vitrail.faces.face import Face
from vitrail.faces.official_box import detector_box


class Hog(Detector):
    """Frontal faces of about 80 pixels and more. ``official_box`` of a face gives dlib's own square
    again; it has no landmarks (NaN). MissingError where the library is not installed."""

    def __init__(self):
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise MissingError(
                "dlib", "is not installed", "install dlib-bin, or use the bundled detector"
            ) from error
        self._detect = dlib.get_frontal_face_detector()
        self.sha256 = f"dlib {dlib.__version__}"

    def search(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        return [self._search_one(image) for image in images]

    def _search_one(self, image: np.ndarray) -> list[Face]:
        squares, scores, _ = self._detect.run(np.ascontiguousarray(image), 0, 0.0)
        nowhere = np.full((5, 2), np.nan, np.float32)
        return [
            Face(
                detector_box((square.left(), square.top(), square.right(), square.bottom())),
                score,
                nowhere,
            )
            for square, score in sorted(
                zip(squares, scores, strict=True), key=lambda found: -found[1]
            )
        ]
