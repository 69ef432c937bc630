"""The siamese U-Net that ChangeViT is measured against, of segmentation-models-pytorch's parts
(extra ``train``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from change_detect import system
from change_detect.networks import WINDOW, ChangeNetwork
from vitrail.architectures import build
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state

YARDSTICK = "unet"
ENCODER = "tu-tf_efficientnet_lite0"


@dataclass(frozen=True)
class UNetConfig:
    """``depth`` stages of EfficientNet-Lite0; ``decoder`` has the channels of each step up."""

    depth: int = 4
    decoder: Sequence[int] = (64, 48, 32, 16)


class SiameseUNet(nn.Module):
    """One encoder for both dates; the decoder sees the sizes of their differences at each scale."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        unet = smp.Unet(
            ENCODER,
            encoder_depth=config.depth,
            encoder_weights=None,
            decoder_channels=tuple(config.decoder),
        )
        self.encoder, self.decoder, self.head = unet.encoder, unet.decoder, unet.segmentation_head

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 1, H, W)."""
        size = earlier.shape[0]
        maps = self.encoder(torch.cat([earlier, later]))
        return self.head(self.decoder([(one[:size] - one[size:]).abs() for one in maps]))


def build_yardstick(config: Mapping[str, Any]) -> SiameseUNet:
    """With fresh weights; UsageError for an option that does not exist."""
    return build({YARDSTICK: (SiameseUNet, UNetConfig)}, YARDSTICK, config)


def yardstick_network(path: Path) -> ChangeNetwork:
    """What 'vitrail train' made of it, for the same job; MissingError where it has not run."""
    weights = resolve(system, str(path))
    example = np.zeros((2, 3, WINDOW, WINDOW), np.float32)
    return ChangeNetwork(
        name=YARDSTICK,
        build=partial(_loaded, path),
        example=(example, example),
        weights=weights,
        code=(__name__,),
        threshold=float(weights.metadata["threshold"]),
        gsd=weights.metadata["gsd"],
    )


def _loaded(path: Path) -> nn.Module:
    state, metadata = read_state(path)
    network = build_yardstick(metadata["config"])
    load_into(network, state, subject=path)
    return network.eval()
