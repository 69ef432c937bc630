"""A camera that is mounted on its side: what is looked at is turned, what is told is not."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """``degrees`` clockwise (0, 90, 180 or 270) that make an image of ``shape`` (height, width)
    upright. A pixel's place is its index; a box's edges lie between pixels."""

    degrees: int
    shape: tuple[int, int]

    def image(self, image: np.ndarray) -> np.ndarray:
        """The upright image."""
        if not self.degrees:
            return image
        return np.ascontiguousarray(np.rot90(image, -self.degrees // 90))

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (n, 4 or 5) of the image as those of the upright one."""
        return self._boxes(boxes, self._forward)

    def boxes_back(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes of the upright image as those of the image."""
        return self._boxes(boxes, self._backward)

    def points_back(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the upright image, by pixels' indices, as those of the image."""
        height, width = self.shape
        return self._backward(points, width - 1, height - 1)

    def _boxes(self, boxes: np.ndarray, move) -> np.ndarray:
        height, width = self.shape
        ends = [
            move(boxes[:, :2], width, height),
            move(boxes[:, :2] + boxes[:, 2:4], width, height),
        ]
        low, high = np.minimum(*ends), np.maximum(*ends)
        return np.concatenate((low, high - low, boxes[:, 4:]), axis=1)

    def _forward(self, points: np.ndarray, width: float, height: float) -> np.ndarray:
        x, y = points[..., 0], points[..., 1]
        moved = {0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}
        return np.stack(moved[self.degrees], axis=-1)

    def _backward(self, points: np.ndarray, width: float, height: float) -> np.ndarray:
        x, y = points[..., 0], points[..., 1]
        moved = {0: (x, y), 90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}
        return np.stack(moved[self.degrees], axis=-1)
