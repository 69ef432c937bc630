"""The two networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deepfake_detect import checkpoint, system
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.decide.verdict import Thresholds
from vitrail.engine import Network
from vitrail.errors import UsageError
from vitrail.weights.catalogue import Weights, resolve

BUNDLED = ("ed", "vae")
CODE = ("deepfake_detect.model", "vitrail.architectures")


@dataclass(frozen=True, kw_only=True)
class FakeNetwork(Network):
    """``temperature`` divides the logits before the softmax; 1 where nothing was calibrated."""

    crop: CropRule
    temperature: float
    thresholds: Thresholds

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(fake) (B,) from logits (B, 2)."""
        scaled = logits / np.float32(self.temperature)
        shares = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return shares[:, 0] / shares.sum(axis=1)


def load_networks(weights: Sequence[str] = ()) -> list[FakeNetwork]:
    """Loads the named or given weights files (both bundled ones by default), in the order ed,
    vae."""
    networks = [_network(resolve(system, name)) for name in weights or BUNDLED]
    return sorted(networks, key=lambda network: network.name)


def choose_networks(net: str | None, weights: Sequence[str] = ()) -> list[FakeNetwork]:
    """The networks that ``net`` (ed, vae, both or cascade; None: what the weights are for) asks
    for.

    Raises UsageError where the weights do not fit, or were trained on different crops of the face.
    """
    wanted = {"ed": ["ed"], "vae": ["vae"]}.get(net, list(BUNDLED))
    networks = load_networks(weights or wanted)
    names = [network.name for network in networks]
    given = ", ".join(weights)
    if len(set(names)) < len(names):
        problem = f"two weights files for the network {names[0]}"
        raise UsageError(given, problem, "give one per network")
    if net and names != wanted:
        problem = f"holds {' and '.join(names)}, but --net {net} needs {' and '.join(wanted)}"
        raise UsageError(given, problem)
    if len({network.crop for network in networks}) > 1:
        problem = "were trained on different crops of the face"
        raise UsageError(given or "weights", problem, "run them one by one with --net")
    return networks


def _network(weights: Weights) -> FakeNetwork:
    facts = checkpoint.describe(weights)
    side = facts.crop.img_size
    return FakeNetwork(
        name=facts.architecture.removeprefix("genconvit-"),
        build=partial(checkpoint.build, weights),
        example=np.zeros((2, 3, side, side), np.float32),
        weights=weights,
        code=CODE,
        crop=facts.crop,
        temperature=facts.temperature,
        thresholds=facts.thresholds,
    )
