"""A closer look at a face: exact landmarks from an upright cut-out around rough ones."""

from collections.abc import Generator, Sequence

import cv2
import numpy as np

from vitrail.faces.align import TEMPLATE, TEMPLATE_SIZE, alignment, move_landmarks, warp_image
from vitrail.job import Ask

LANDMARKER = "face_landmarker"
SIDE = 80  # pixels of the cut-out
LOOKS = 2  # the second from the landmarks of the first, so better centred
MIN_SPREAD = 1.0  # pixels over which rough landmarks must spread
USUAL = TEMPLATE * (SIDE / TEMPLATE_SIZE)  # where landmarks lie in a cut-out: 5, 2
EYE_DISTANCE = float(USUAL[1, 0] - USUAL[0, 0])  # pixels


def sharpen(
    images: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]
) -> Generator[Ask, list, list[np.ndarray]]:
    """Better landmarks (5, 2) for the rough ones of each face, by two looks; ``images`` names for
    each face the uint8 RGB image (H, W, 3) that shows it.

    Asks ``face_landmarker`` with cut-outs uint8 (3, 80, 80) for landmarks (5, 2) in their pixels.
    Rough ones that lie on one spot stay as they are.
    """
    better = list(landmarks)
    for _ in range(LOOKS):
        matrices = {
            n: alignment(five, SIDE)
            for n, five in enumerate(better)
            if np.ptp(five, axis=0).max() > MIN_SPREAD
        }
        cut_outs = [
            warp_image(images[n], matrix, (SIDE, SIDE)).transpose(2, 0, 1)
            for n, matrix in matrices.items()
        ]
        found = yield Ask(LANDMARKER, cut_outs)
        for (number, matrix), five in zip(matrices.items(), found, strict=True):
            better[number] = move_landmarks(five, cv2.invertAffineTransform(matrix))
    return better
