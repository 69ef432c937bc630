"""The two architectures, and MONAI's UNet as the yardstick: one door to every network that a recipe
can name. Importing this package imports torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from medical_segment.models.segformer3d import SegFormer3D, SegFormer3DConfig
from medical_segment.models.xlstm_unet import XLSTMUNet, XLSTMUNetConfig
from vitrail.architectures import build
from vitrail.errors import MissingError


@dataclass(frozen=True)
class UNetConfig:
    """MONAI's residual U-Net: ``channels`` per level, each but the last halved by its stride."""

    dims: int = 3
    in_channels: int = 1
    num_classes: int = 2
    channels: Sequence[int] = (16, 32, 64, 128, 256)
    num_res_units: int = 2


def monai_unet(config: UNetConfig) -> nn.Module:
    """MissingError without MONAI, which only training and this yardstick need."""
    try:
        from monai.networks.nets import UNet
    except ModuleNotFoundError as error:
        raise MissingError(
            "unet", "this network needs the library monai", "install vitrail-medical-segment[train]"
        ) from error
    strides = (2,) * (len(config.channels) - 1)
    return UNet(
        config.dims,
        config.in_channels,
        config.num_classes,
        config.channels,
        strides,
        num_res_units=config.num_res_units,
    )


ARCHITECTURES = {
    "segformer3d": (SegFormer3D, SegFormer3DConfig),
    "xlstm-unet": (XLSTMUNet, XLSTMUNetConfig),
    "unet": (monai_unet, UNetConfig),
}


def build_model(architecture: str, config: Mapping) -> nn.Module:
    """The network ``segformer3d``, ``xlstm-unet`` or ``unet`` with fresh weights: (B, C, spatial…)
    -> logits.

    Raises UsageError for an architecture or an option that does not exist, and for sizes that do
    not go together; MissingError for ``unet`` without MONAI.
    """
    return build(ARCHITECTURES, architecture, config)
