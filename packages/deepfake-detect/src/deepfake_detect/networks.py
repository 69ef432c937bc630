"""The two networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from deepfake_detect import official, system
from deepfake_detect.crops import CropRule
from deepfake_detect.model import build_model
from deepfake_detect.verdict import Thresholds
from vitrail.engine.network import Network
from vitrail.errors import InputError, UsageError
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.files import load_into, read_state

BUNDLED = ("ed", "vae")
OFFICIAL_THRESHOLDS = Thresholds(real_below=0.5, fake_above=0.5)


@dataclass(frozen=True)
class FakeNetwork(Network):
    """``temperature`` divides the logits before the softmax; 1 where nothing was calibrated."""

    crop: CropRule
    temperature: float
    thresholds: Thresholds

    def probability(self, logits: torch.Tensor) -> torch.Tensor:
        """P(fake) (B,) from logits (B, 2)."""
        return (logits / self.temperature).softmax(dim=1)[:, 0]


def load_networks(weights: Sequence[str] = ()) -> list[FakeNetwork]:
    """Loads the named or given weight files (both bundled ones by default), in the order ed,
    vae."""
    networks = [_load(resolve(system, name)) for name in weights or BUNDLED]
    return sorted(networks, key=lambda network: network.name)


def choose_networks(net: str | None, weights: Sequence[str] = ()) -> list[FakeNetwork]:
    """The networks that ``net`` (ed, vae, both or cascade; None: what the weights are for) asks
    for.

    Raises UsageError where the weights do not fit, or were trained on different crops of the face.
    """
    wanted = {"ed": ["ed"], "vae": ["vae"]}.get(net, list(BUNDLED))
    networks = load_networks(weights or wanted)
    names = [network.name for network in networks]
    if len(set(names)) < len(names):
        raise UsageError(
            ", ".join(weights), f"two weight files for the network {names[0]}", "give one a network"
        )
    if net and names != wanted:
        raise UsageError(
            ", ".join(weights),
            f"holds {' and '.join(names)}, but --net {net} needs {' and '.join(wanted)}",
        )
    if len({network.crop for network in networks}) > 1:
        raise UsageError(
            ", ".join(weights) or "weights",
            "were trained on different crops of the face",
            "run them one by one with --net",
        )
    return networks


def _load(weights: Weights) -> FakeNetwork:
    state, metadata = read_state(weights.path)
    if "architecture" in metadata:
        return _own(weights, state, metadata)
    return _official(weights, state)


def _own(weights: Weights, state: dict, metadata: dict) -> FakeNetwork:
    try:
        architecture, config = metadata["architecture"], metadata["config"]
        crop = CropRule(
            **{key: tuple(v) if isinstance(v, list) else v for key, v in metadata["crop"].items()}
        )
        temperature, thresholds = (
            float(metadata["temperature"]),
            Thresholds(**metadata["thresholds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            weights.path,
            f"its metadata lacks what {system.name} needs ({error})",
            "use a file that 'vitrail train' wrote",
        ) from error
    module = build_model(architecture, config)
    load_into(module, state, subject=weights.path)
    return _network(architecture, module, weights, crop, temperature, thresholds)


def _official(weights: Weights, state: dict) -> FakeNetwork:
    architecture, config = official.read_config(state)
    with torch.device("meta"):
        module = build_model(architecture, config)
    load_into(module, official.convert(state), subject=weights.path, assign=True)
    return _network(
        architecture,
        module,
        weights,
        CropRule(img_size=module.config.img_size),
        1.0,
        OFFICIAL_THRESHOLDS,
    )


def _network(architecture, module, weights, crop, temperature, thresholds) -> FakeNetwork:
    return FakeNetwork(
        name=architecture.removeprefix("genconvit-"),
        module=module.eval(),
        example=torch.zeros(2, 3, crop.img_size, crop.img_size),
        weights=weights,
        crop=crop,
        temperature=temperature,
        thresholds=thresholds,
    )
