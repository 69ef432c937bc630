"""Any weights file of GenConViT: its architecture, its config, its metadata and its state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepfake_detect import official, system
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.decide.verdict import Thresholds
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import as_dataclass, complete

if TYPE_CHECKING:
    from torch import Tensor, nn

OFFICIAL_THRESHOLDS = Thresholds(real_below=0.5, fake_above=0.5)


@dataclass(frozen=True)
class Facts:
    """What a file says beside its tensors. An official one was never calibrated."""

    architecture: str
    config: Mapping[str, Any]
    crop: CropRule
    temperature: float = 1.0
    thresholds: Thresholds = OFFICIAL_THRESHOLDS


def describe(weights: Weights) -> Facts:
    """The facts of a file that ``vitrail train`` wrote, from its header alone, or of an official
    one, from the shapes of its tensors.

    Raises InputError for a file of another kind.
    """
    if "architecture" in weights.metadata:
        return _facts(weights)
    from vitrail.weights.files import open_state

    architecture, config = official.read_config(open_state(weights.path))
    return Facts(architecture, config, CropRule(img_size=config.get("img_size", 224)))


def read(weights: Weights) -> "tuple[str, Mapping[str, Any], Mapping[str, Any], dict[str, Tensor]]":
    """Architecture, config, metadata (empty for an official file) and state, under our keys."""
    from vitrail.weights.files import read_state

    state, metadata = read_state(weights.path)
    if "architecture" in metadata:
        facts = _facts(weights)
        return facts.architecture, facts.config, metadata, state
    return *official.read_config(state), {}, official.convert(state)


def build(weights: Weights) -> "nn.Module":
    """The network in evaluation mode with the weights of the file."""
    import torch

    from deepfake_detect.model import build_model
    from vitrail.weights.files import load_into

    architecture, config, metadata, state = read(weights)
    if metadata:
        module = build_model(architecture, config)
        load_into(module, state, subject=weights.path)
    else:  # 1.4 GB, which are taken as they are
        with torch.device("meta"):
            module = build_model(architecture, config)
        load_into(module, state, subject=weights.path, assign=True)
    return module.eval()


def _facts(weights: Weights) -> Facts:
    metadata = weights.metadata
    with complete(weights.path, system.name):
        return Facts(
            metadata["architecture"],
            metadata["config"],
            as_dataclass(CropRule, metadata["crop"]),
            float(metadata["temperature"]),
            as_dataclass(Thresholds, metadata["thresholds"]),
        )
