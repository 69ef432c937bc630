"""Makes ``cat.mp4``: the camera moves over the photograph of a cat that scikit-image ships
(Chelsea, by Stefan van der Walt, public domain).

    python packages/video-detect/examples/make_film.py
"""

from pathlib import Path

import cv2
import numpy as np
from skimage.data import chelsea

from vitrail.testing.media import write_clip

LENGTH, FPS = 24, 12
WIDTH, HEIGHT = 320, 208


def frames() -> list[np.ndarray]:
    image = chelsea()
    found = []
    for number in range(LENGTH):
        share = number / (LENGTH - 1)
        scale = 0.72 + 0.1 * share
        x, y = (image.shape[1] * scale - WIDTH) * share, (image.shape[0] * scale - HEIGHT) * 0.3
        matrix = np.array([[scale, 0, -x], [0, scale, -y]])
        found.append(cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return found


if __name__ == "__main__":
    options = {"crf": "26", "g": "12"}
    write_clip(Path(__file__).with_name("cat.mp4"), frames(), fps=FPS, options=options)
