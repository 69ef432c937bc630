"""How an image is searched: brought to size, filled up, few pixels at once; of overlapping boxes
the best stays."""

import cv2
import numpy as np

from vitrail.engine import NetworkEngine
from vitrail.preprocess.boxes import nms

COARSEST = 64  # the detector's largest stride: sides of its input are multiples of it
GREY = 128  # what an image is filled up with
MAX_PIXELS = 8 * 640 * 640  # that are searched at once


class BoundedEngine:
    """The detector where it runs, fed few images at a time where they are large: memory stays
    bounded, whatever the batch."""

    def __init__(self, engine: NetworkEngine):
        self.engine, self.device, self.weights = engine, engine.device, engine.weights

    @property
    def name(self) -> str:
        return self.engine.name

    def __call__(self, *batch: np.ndarray) -> np.ndarray:
        (images,) = batch
        step = max(MAX_PIXELS // (images.shape[2] * images.shape[3]), 1)
        parts = [self.engine(images[at : at + step]) for at in range(0, len(images), step)]
        return np.concatenate(parts)


def shrink(image: np.ndarray, long_side: int) -> np.ndarray:
    """The image with its longer side cut down to ``long_side``; a smaller one stays as it is."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def padded(image: np.ndarray) -> np.ndarray:
    """The image as uint8 (3, H, W), filled up with grey below and to the right to multiples of the
    coarsest stride."""
    height, width = (-(-side // COARSEST) * COARSEST for side in image.shape[:2])
    whole = np.full((3, height, width), GREY, np.uint8)
    whole[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
    return whole


def likely_rows(rows: np.ndarray, min_score: float, max_overlap: float) -> np.ndarray:
    """The rows (n, 5 + 2 L), best first and with scores of 0..1, in the network's output
    (N, 5 + 2 L) for one image, whose scores are logits; of overlapping ones the best is kept."""
    scores = 1 / (1 + np.exp(-rows[:, 0].clip(-80, 80)))
    likely = scores >= min_score
    rows = np.concatenate((scores[likely, None], rows[likely, 1:]), axis=1)
    return rows[nms(rows[:, 1:5], rows[:, 0], max_overlap)]
