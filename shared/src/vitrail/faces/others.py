"""Face detectors of others as engines: dlib's HOG, and OpenCV's YuNet."""

from pathlib import Path

import cv2
import numpy as np

from vitrail.errors import InputError, MissingError
from vitrail.sources import require_file, sha256

MIN_SCORE, MAX_OVERLAP = 0.7, 0.3  # of YuNet

# Of dlib's square, in units of sqrt(width * height); all were fitted on 223 matched faces
SIDE = 0.96
SHIFT_X, SHIFT_Y = 0.018, 0.053  # of its centre, in units of width and height
ASPECT = 1.106 / 0.830  # height over width of a detector's box

Box = tuple[float, float, float, float]


class Hog:
    """dlib's HOG face detector, on whose boxes official deepfake weights were trained: frontal
    faces of about 80 pixels and more.

    ``official_box`` of a face gives dlib's own square again; it has no landmarks (NaN).
    MissingError where the library is not installed.
    """

    name, device = "dlib", "cpu"

    def __init__(self):
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise MissingError(
                "dlib", "is not installed", "install dlib-bin, or use the bundled detector"
            ) from error
        # A compiled module without stubs.
        self._detect = dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]
        self.weights = f"dlib {dlib.__version__}"

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """Rows (n, 15) for each of the images (B, H, W, 3), uint8 RGB."""
        (images,) = batch
        return [self._search(image) for image in images]

    def _search(self, image: np.ndarray) -> np.ndarray:
        squares, scores, _ = self._detect.run(np.ascontiguousarray(image), 0, 0.0)
        ends = [(s.left(), s.top(), s.right(), s.bottom()) for s in squares]
        rows = [
            (score, *detector_box(square), *[np.nan] * 10)
            for square, score in zip(ends, scores, strict=True)
        ]
        rows = np.array(rows, float).reshape(-1, 15)
        return rows[np.argsort(-rows[:, 0], kind="stable")]


class YuNet:
    """The network of Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector", run by
    ``cv2.FaceDetectorYN``.

    ``path`` is an ONNX file of it, such as ``face_detection_yunet_2023mar.onnx`` of the OpenCV Zoo;
    any other file raises InputError.
    """

    name, device = "opencv", "cpu"

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
        self.weights = sha256(path)

    def __call__(self, *batch: np.ndarray) -> list[np.ndarray]:
        """Rows (n, 15) for each of the images (B, H, W, 3), uint8 RGB."""
        (images,) = batch
        self._network.setInputSize((images.shape[2], images.shape[1]))
        return [self._search(image) for image in images]

    def _search(self, image: np.ndarray) -> np.ndarray:
        # A row of OpenCV's is x, y, width, height, five landmarks (in our order already), score.
        _, rows = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if rows is None:
            return np.zeros((0, 15), np.float32)
        rows = rows[rows[:, 14].argsort()[::-1]]
        corners = rows[:, :2].astype(float) + rows[:, 2:4]
        return np.concatenate((rows[:, 14:], rows[:, :2], corners, rows[:, 4:14]), axis=1)


def official_box(box: Box) -> Box:
    """The square (x0, y0, x1, y1) that dlib's HOG detector would give for a face whose detector box
    is ``box``."""
    x0, y0, x1, y1 = box
    width, height = max(x1 - x0, 0.0), max(y1 - y0, 0.0)
    half = SIDE * (width * height) ** 0.5 / 2
    x, y = (x0 + x1) / 2 + SHIFT_X * width, (y0 + y1) / 2 + SHIFT_Y * height
    return x - half, y - half, x + half, y + half


def detector_box(square: Box) -> Box:
    """The box of usual shape for which ``official_box`` gives ``square``."""
    x0, y0, x1, y1 = square
    width = (x1 - x0) / SIDE / ASPECT**0.5
    height = width * ASPECT
    x, y = (x0 + x1) / 2 - SHIFT_X * width, (y0 + y1) / 2 - SHIFT_Y * height
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
