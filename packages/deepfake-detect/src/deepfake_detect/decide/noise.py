"""Network B with its latent noise, which the official code draws even at inference."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from deepfake_detect.networks import FakeNetwork
from vitrail.engine import choose_device
from vitrail.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


class NoisyEngine:
    """Runs network B in PyTorch with noise in its latent.

    ``seeded`` adds the same noise to every face, so that neither batch nor order changes a score;
    ``official`` draws it anew for each, so that no two runs agree.
    """

    name = "eager"

    def __init__(self, network: FakeNetwork, kind: str, seed: int, device: str):
        if kind not in ("seeded", "official"):
            raise UsageError(kind, "is not a kind of noise", "use off, seeded or official")
        self.network, self.kind, self.seed = network, kind, seed
        self.device = choose_device(device)
        self.weights = network.weights.sha256 if network.weights else ""

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        import torch

        module = self.network.module.to(self.device)
        with torch.inference_mode():
            images = torch.from_numpy(batch).to(self.device)
            return module(images, self._noise(len(batch)).to(self.device)).cpu().numpy()

    def _noise(self, rows: int) -> "Tensor":
        import torch

        shape = self.network.module.encoder.latent_shape
        return (
            torch.randn(rows, *shape)
            if self.kind == "official"
            else self._fixed.expand(rows, *shape)
        )

    @cached_property
    def _fixed(self) -> "Tensor":
        import torch

        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(1, *self.network.module.encoder.latent_shape, generator=generator)
