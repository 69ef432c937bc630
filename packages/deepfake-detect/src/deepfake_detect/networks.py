"""The two networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from deepfake_detect import checkpoint, system
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.decide.verdict import Thresholds
from vitrail.engine import Network, choose_device
from vitrail.errors import UsageError
from vitrail.weights.catalogue import Weights, resolve

if TYPE_CHECKING:
    from torch import Tensor

BUNDLED = ("ed", "vae")
NETS = ("ed", "vae", "both", "cascade")
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
    if net not in (None, *NETS):
        raise UsageError(net, "is not a choice of networks", f"use {', '.join(NETS)}")
    wanted = {"ed": ["ed"], "vae": ["vae"]}.get(net or "", list(BUNDLED))
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


class NoisyEngine:
    """Runs network B in PyTorch with noise in its latent, which the official code draws even at
    inference.

    ``seeded`` adds the same noise to every face, so that neither batch nor order changes a score;
    ``official`` draws it anew for each, so that no two runs agree.
    """

    name = "eager"

    def __init__(self, network: FakeNetwork, kind: str, seed: int, device: str):
        self.network, self.kind, self.seed = network, kind, seed
        self.device = choose_device(device)
        self.weights = network.weights.sha256 if network.weights else ""

    def __call__(self, *batch: np.ndarray) -> np.ndarray:
        import torch

        (images,) = batch
        module = self.network.module.to(self.device)
        with torch.inference_mode():
            noise = self._noise(len(images)).to(self.device)
            return module(torch.from_numpy(images).to(self.device), noise).cpu().numpy()

    def _noise(self, rows: int) -> "Tensor":
        import torch

        if self.kind == "official":
            return torch.randn(rows, *self._shape)
        return self._fixed.expand(rows, *self._shape)

    @cached_property
    def _fixed(self) -> "Tensor":
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(1, *self._shape, generator=generator)

    @property
    def _shape(self) -> tuple[int, int, int]:
        from deepfake_detect.model import GenConViTVAE

        module = self.network.module
        assert isinstance(module, GenConViTVAE)
        return module.encoder.latent_shape
