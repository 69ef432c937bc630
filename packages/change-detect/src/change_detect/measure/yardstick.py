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
from change_detect.models.detail import LiteDetail
from change_detect.networks import WINDOW, ChangeNetwork
from vitrail.architectures import build
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state

YARDSTICK = "unet"
ENCODER = "tu-tf_efficientnet_lite0"


@dataclass(frozen=True)
class UNetConfig:
    """``decoder`` has the channels of each of four steps up."""

    decoder: Sequence[int] = (64, 48, 32, 16)


class SiameseUNet(nn.Module):
    """ChangeViT's detail branch for both dates, as deep as ``nano`` has it; a U-Net's decoder sees
    the sizes of their differences at each scale."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        unet = smp.Unet(
            ENCODER,
            encoder_depth=len(config.decoder),
            encoder_weights=None,
            decoder_channels=tuple(config.decoder),
        )
        self.encoder = LiteDetail(deep=True)
        self.decoder, self.head = unet.decoder, unet.segmentation_head

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 1, H, W)."""
        size = earlier.shape[0]
        maps = self.encoder(torch.cat([earlier, later]))
        return self.compare([one[:size] for one in maps], [one[size:] for one in maps])

    def compare(self, earlier: list[Tensor], later: list[Tensor]) -> Tensor:
        """The same from what the encoder made of each date."""
        maps = [(one - other).abs() for one, other in zip(earlier, later, strict=True)]
        rows, columns = maps[0].shape[2:]
        image = maps[0].new_zeros(maps[0].shape[0], 3, 2 * rows, 2 * columns)
        return self.head(self.decoder([image, *maps]))  # of the image the decoder takes the size


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
