"""The siamese U-Net that ChangeViT is measured against, of segmentation-models-pytorch's parts."""

from collections.abc import Mapping
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from vitrail.backbones import pretrained

ENCODER = "tu-tf_efficientnet_lite0"


class SiameseUNet(nn.Module):
    """One encoder for both dates; the decoder sees the sizes of their differences at each scale."""

    def __init__(self, depth: int = 4, decoder: tuple[int, ...] = (64, 48, 32, 16)):
        super().__init__()
        unet = smp.Unet(
            ENCODER, encoder_depth=depth, encoder_weights=None, decoder_channels=tuple(decoder)
        )
        self.encoder, self.decoder, self.head = unet.encoder, unet.decoder, unet.segmentation_head

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        """Images (B, 3, H, W) to logits (B, 1, H, W)."""
        size = earlier.shape[0]
        maps = self.encoder(torch.cat([earlier, later]))
        return self.head(self.decoder([(one[:size] - one[size:]).abs() for one in maps]))


def build_unet(config: Mapping[str, Any], *, from_imagenet: bool) -> SiameseUNet:
    """Fresh, or with EfficientNet-Lite0's ImageNet weights in its encoder."""
    network = SiameseUNet(**config)
    if from_imagenet:
        import timm

        from change_detect.training.starts import LITE, rescale_stem

        trunk = network.encoder.model
        pretrained.load_pretrained(trunk, LITE, timm.create_model(LITE))
        rescale_stem(trunk.conv_stem, trunk.bn1)
    return network
