"""LoLA-SpecViT, and the convolutions that it is judged against: one door to every network that a
recipe can name. Importing this package imports torch."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from hsi_classify.models.conv import ConvConfig, ConvNet
from hsi_classify.models.specvit import SpecViT, SpecViTConfig
from vitrail.architectures import build

ARCHITECTURES = {"specvit": (SpecViT, SpecViTConfig), "conv": (ConvNet, ConvConfig)}


def build_model(architecture: str, config: Mapping[str, Any]) -> nn.Module:
    """``specvit`` or ``conv`` with fresh weights; UsageError for what does not exist."""
    return build(ARCHITECTURES, architecture, config)
