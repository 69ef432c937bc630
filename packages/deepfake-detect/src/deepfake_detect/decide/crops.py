"""The one rule by which a face becomes a network's input; it travels with the weights."""

from dataclasses import asdict, dataclass
from typing import Literal

import cv2
import numpy as np

from vitrail.faces.face import Face
from vitrail.faces.others import official_box
from vitrail.preprocess.image import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class CropRule:
    """Which part of the image a network sees, and at what size.

    ``box`` is ``hog`` for a tight square like dlib's HOG box, on which the official weights were
    trained, or ``detector`` for a square of the detector's own box area. The square's side grows by
    ``margin`` on both ends.
    """

    img_size: int = 224
    box: Literal["hog", "detector"] = "hog"
    margin: float = 0.0
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def to_dict(self) -> dict:
        return asdict(self)

    def square(self, face: Face) -> tuple[int, int, int, int]:
        """The square (x0, y0, x1, y1) in whole pixels; it may reach beyond the image."""
        x0, y0, x1, y1 = official_box(face.box) if self.box == "hog" else face.box
        side = np.sqrt(max(x1 - x0, 1.0) * max(y1 - y0, 1.0)) * (1 + 2 * self.margin)
        left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
        return round(left), round(top), round(left + side), round(top + side)

    def share_inside(self, image: np.ndarray, face: Face) -> float:
        """The share of the square that lies within the image (H, W, 3): below 1 the image's
        edge cuts it off."""
        x0, y0, x1, y1 = self.square(face)
        height, width = image.shape[:2]
        inside = max(0, min(x1, width) - max(x0, 0)) * max(0, min(y1, height) - max(y0, 0))
        return inside / max((x1 - x0) * (y1 - y0), 1)

    def cut(self, image: np.ndarray, face: Face) -> np.ndarray:
        """The crop as uint8 RGB (img_size, img_size, 3); beyond the image's border its edge
        pixels are repeated."""
        return cut_square(image, self.square(face), self.img_size)


def cut_square(image: np.ndarray, square: tuple[int, int, int, int], size: int) -> np.ndarray:
    """Cuts ``square`` (x0, y0, x1, y1) out of a uint8 RGB image and resizes it by pixel area to
    (size, size, 3)."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = square
    inside = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    borders = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(borders):
        inside = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_REPLICATE)
    return cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA)
