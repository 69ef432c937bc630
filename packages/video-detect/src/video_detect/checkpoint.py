"""Any weights file of TGBFormer: what it is, and the modules that it fills."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from video_detect import system
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import TRAINED, complete

if TYPE_CHECKING:
    from torch import nn

    from video_detect.models import TGBFormer


@dataclass(frozen=True)
class Facts:
    """What a file says beside its tensors. ``side`` is the longer side of what the network sees;
    ``score`` the threshold that was chosen on validation pictures."""

    config: Mapping[str, Any]
    labels: tuple[str, ...]
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    has_memory: bool
    score: float


def describe(weights: Weights) -> Facts:
    """The facts of a file that ``vitrail train`` wrote, from its header alone; InputError for
    another."""
    if "architecture" not in weights.metadata:
        raise InputError(weights.path, "does not say what network it is for", TRAINED)
    with complete(weights.path, system.name):
        metadata = weights.metadata
        labels = tuple(map(str, metadata["labels"]))
        config = metadata["config"]
        if metadata["architecture"] != "tgbformer":
            raise ValueError(f"architecture {metadata['architecture']}")
        if config["num_classes"] != len(labels):
            raise ValueError(f"{len(labels)} names for {config['num_classes']} classes")
        return Facts(
            config,
            labels,
            int(metadata["side"]),
            tuple(map(float, metadata["mean"])),
            tuple(map(float, metadata["std"])),
            metadata["stage"] == "clip",
            float(metadata.get("score", 0.3)),
        )


def load_model(weights: Weights) -> "TGBFormer":
    """The whole network in evaluation mode."""
    from video_detect.models import build_model
    from vitrail.weights.files import load_into, read_state

    config = describe(weights).config
    with complete(weights.path, system.name):
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
        model = build_model("tgbformer", options)
    load_into(model, read_state(weights.path)[0], subject=weights.path)
    return model.eval()


def frame_part(weights: Weights) -> "nn.Module":
    import torch

    from video_detect.models import FramePart

    facts = describe(weights)
    return FramePart(load_model(weights), torch.tensor(facts.mean), torch.tensor(facts.std)).eval()


def clip_part(weights: Weights, net: str) -> "nn.Module":
    from video_detect.models import ClipPart

    return ClipPart(load_model(weights), net).eval()
