"""What a face detector finds."""

from dataclasses import dataclass

import numpy as np

LANDMARKS = 5


@dataclass(frozen=True, eq=False)
class Face:
    """One face in an image.

    ``box`` is (x0, y0, x1, y1) in pixels, from the forehead's middle to the chin; ``score`` lies in
    0..1; ``landmarks`` is float32 (5, 2) in pixels: image-left eye, image-right eye, nose tip,
    image-left and image-right mouth corner.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @classmethod
    def of(cls, row: np.ndarray) -> "Face":
        """The face of a row (15,): score, box, landmarks."""
        landmarks = row[5:].reshape(5, 2).astype(np.float32)
        return cls(tuple(row[1:5].tolist()), float(row[0]), landmarks)

    @property
    def size(self) -> float:
        """The geometric mean of the box's sides, in pixels."""
        x0, y0, x1, y1 = self.box
        return float(np.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0)))
