"""What a face detector finds."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture.

    ``box`` is (x0, y0, x1, y1) in pixels, from the forehead's middle to the chin; ``score`` lies in
    0..1; ``landmarks`` is float32 (5, 2) in pixels: image-left eye, image-right eye, nose tip,
    image-left and image-right mouth corner.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @property
    def size(self) -> float:
        """The geometric mean of the box's sides, in pixels."""
        x0, y0, x1, y1 = self.box
        return float(np.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0)))
