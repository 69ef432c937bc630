"""The network of the closer look, and the pair of networks that a weights file holds."""

import torch
from torch import Tensor, nn

from vitrail.detection.model import Config, ConvNormAct, PointDetector, Residual
from vitrail.faces.face import LANDMARKS
from vitrail.faces.looks import EYE_DISTANCE, SIDE, USUAL


class Landmarker(nn.Module):
    """Cut-outs as RGB of 0..255, uint8 or float (B, 3, 80, 80), to landmarks (B, 5, 2) in their
    pixels."""

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
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=0.001)
        nn.init.zeros_(last.bias)
        self.register_buffer("usual", torch.tensor(USUAL, dtype=torch.float32), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        return (
            self.layers(crops / 64 - 2).float().unflatten(1, (LANDMARKS, 2)) * EYE_DISTANCE
            + self.usual
        )


class FaceModel(nn.Module):
    """What a weights file holds: ``finder`` finds faces with rough landmarks, ``landmarker`` makes
    these exact."""

    def __init__(self, config: Config = Config()):
        super().__init__()
        self.finder, self.landmarker = PointDetector(config, LANDMARKS), Landmarker()
