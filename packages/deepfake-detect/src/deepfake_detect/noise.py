"""Network B with its latent noise, which the official code draws even at inference."""

import torch
from torch import Tensor

from deepfake_detect.networks import FakeNetwork
from vitrail.errors import UsageError


class NoisyEngine:
    """Runs network B eagerly with noise in its latent.

    ``seeded`` adds the same noise to every face, so that neither batch nor order changes a score;
    ``official`` draws it anew for each, so that no two runs agree.
    """

    name = "eager"

    def __init__(self, network: FakeNetwork, kind: str, seed: int, device: str):
        if kind not in ("seeded", "official"):
            raise UsageError(kind, "is no kind of noise", "use off, seeded or official")
        self.device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self.module = network.module.to(self.device)
        self.shape = network.module.encoder.latent_shape
        generator = torch.Generator().manual_seed(seed)
        self.fixed = torch.randn(1, *self.shape, generator=generator) if kind == "seeded" else None

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        size = (len(batch), *self.shape)
        noise = torch.randn(size) if self.fixed is None else self.fixed.expand(size)
        return self.module(batch.to(self.device), noise.to(self.device))
