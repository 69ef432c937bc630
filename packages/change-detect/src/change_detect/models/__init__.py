"""The architectures by name. Importing this package, or ``models.config``, loads no PyTorch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURE, YARDSTICK = "changevit", "unet"


def build_model(architecture: str, config: Mapping[str, Any]) -> "nn.Module":
    """A ChangeViT with fresh weights, or the U-Net it is measured against.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together.
    """
    from vitrail.architectures import build

    if architecture == YARDSTICK:
        from change_detect.models.unet import SiameseUNet, UNetConfig

        return build({YARDSTICK: (SiameseUNet, UNetConfig)}, architecture, config)
    from change_detect.models.changevit import ChangeViT
    from change_detect.models.config import ChangeViTConfig

    return build({ARCHITECTURE: (ChangeViT, ChangeViTConfig)}, architecture, config)
