"""One door to the image backbones that the systems are built on."""

import difflib
import inspect
from collections.abc import Collection, Sequence

import timm
import torch
from torch import nn

from vitrail.backbones import convmixer, cvt  # noqa: F401 (importing them makes their networks known to timm)
from vitrail.errors import UsageError

# What timm.create_model itself takes: where weights come from and how features are cut out, no
# option of a network.
_LOADER_OPTIONS = {
    *inspect.signature(timm.create_model).parameters,
    "features_only",
    "out_indices",
    "feature_cfg",
}


def create_backbone(
    name: str,
    *,
    num_classes: int = 0,
    in_chans: int = 3,
    features: bool | Sequence[int] = False,
    **config,
) -> nn.Module:
    """Builds the network ``name`` of timm, or our ``cvt`` or ``convmixer``, with fresh weights;
    nothing is downloaded.

    ``config`` holds the options of the network's own class (``depths``, ``dims``, ``img_size``, …).
    The module maps (B, in_chans, H, W) to (B, num_classes), or to pooled features when
    ``num_classes`` is 0. With ``features`` it returns a list of (B, C, H', W') maps instead, of all
    stages (of a plain ViT: its last blocks) or of those named by number;
    ``feature_info.channels()`` and ``.reduction()`` tell their sizes.

    Raises UsageError for a name or an option that does not exist, with the nearest one that does,
    and for a value that the network refuses.
    """
    if not timm.is_model(name):
        raise UsageError(name, "no backbone has this name", _nearest(name, timm.list_models()))
    for option in config.keys() & _LOADER_OPTIONS:
        raise UsageError(name, f"has no option {option}", "weights are loaded after it is built")
    cut = {} if features is False else {"features_only": True, "feature_cls": "getter"}
    if not isinstance(features, bool):
        cut["out_indices"] = tuple(features)
    try:
        return timm.create_model(name, num_classes=num_classes, in_chans=in_chans, **cut, **config)
    except TypeError as error:
        for option in config.keys() - set(_options(name)):
            raise _unknown_option(name, option) from error
        raise UsageError(
            name, f"cannot be built: {error}", "check the values of its options"
        ) from error
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        raise UsageError(
            name, f"cannot be built: {error}", "check the values of its options"
        ) from error


def _options(name: str) -> list[str]:
    with torch.device("meta"):
        return list(inspect.signature(type(timm.create_model(name))).parameters)


def _unknown_option(name: str, option: str) -> UsageError:
    return UsageError(name, f"has no option {option}", _nearest(option, _options(name)))


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known)[:5])}, …"
