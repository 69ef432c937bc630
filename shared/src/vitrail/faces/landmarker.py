"""A closer look at a face: exact landmarks from an upright cut-out around rough ones."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vitrail.faces.align import TEMPLATE, TEMPLATE_SIZE, alignment
from vitrail.faces.model import LANDMARKS, Config, ConvNormAct, FaceNet, Residual
from vitrail.faces.warp import move_landmarks, warp_image

SIDE = 80  # pixels of the cut-out
LOOKS = 2  # the second from the landmarks of the first, so better centred
SMALLEST = 1.0  # pixels over which rough landmarks must spread
USUAL = TEMPLATE * (SIDE / TEMPLATE_SIZE)  # where landmarks lie in a cut-out: 5, 2
EYE_DISTANCE = float(USUAL[1, 0] - USUAL[0, 0])  # pixels


class Landmarker(nn.Module):
    """Cut-outs as RGB of 0..255, float (B, 3, 80, 80), to landmarks (B, 5, 2) in their pixels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            ConvNormAct(3, 12, stride=2),
            ConvNormAct(12, 24, stride=2),
            Residual(24),
            ConvNormAct(24, 32, stride=2),
            Residual(32),
            ConvNormAct(32, 40, stride=2),  # B, 40, 5, 5
            nn.Flatten(),
            nn.Linear(40 * (SIDE // 16) ** 2, 2 * LANDMARKS),
        )
        nn.init.normal_(self.layers[-1].weight, std=0.001)
        nn.init.zeros_(self.layers[-1].bias)
        self.register_buffer("usual", torch.tensor(USUAL, dtype=torch.float32), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        return (
            self.layers(crops / 64 - 2).float().unflatten(1, (LANDMARKS, 2)) * EYE_DISTANCE
            + self.usual
        )


class FaceModel(nn.Module):
    """What a weight file holds: ``finder`` finds faces with rough landmarks, ``landmarker`` makes
    these exact."""

    def __init__(self, config: Config = Config()):
        super().__init__()
        self.finder, self.landmarker = FaceNet(config), Landmarker()


def sharpen(
    model: Landmarker, image: np.ndarray, landmarks: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Better landmarks (5, 2) for the rough ones of each face of a uint8 RGB picture (H, W, 3), by
    two looks. Rough ones that lie on one spot stay as they are."""
    better = list(landmarks)
    for _ in range(LOOKS):
        matrices = {
            n: alignment(five, SIDE)
            for n, five in enumerate(better)
            if np.ptp(five, axis=0).max() > SMALLEST
        }
        if not matrices:
            return better
        crops = np.stack([warp_image(image, matrix, (SIDE, SIDE)) for matrix in matrices.values()])
        with torch.inference_mode():
            found = model(torch.from_numpy(crops).movedim(-1, 1).float()).numpy()
        for (number, matrix), five in zip(matrices.items(), found, strict=True):
            better[number] = move_landmarks(five, cv2.invertAffineTransform(matrix))
    return better
