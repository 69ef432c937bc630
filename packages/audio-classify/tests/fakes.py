"""Small networks with fresh weights, and sounds, for tests."""

from pathlib import Path

import numpy as np
import torch

from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.networks import AudioNetwork
from audio_classify.sound.features import Features
from vitrail.weights.catalogue import Weights

RATE = 16_000
LABELS = ("low", "high", "noise")
SMALL = {
    "num_classes": 3,
    "num_frames": 64,
    "patch": (16, 16),
    "stride": (16, 16),
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
}


def tone(hertz: float, seconds: float, rate: int = RATE, loudness: float = 0.3) -> np.ndarray:
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def hiss(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(
        np.float32
    )


def silence(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.zeros(round(seconds * rate), np.float32)


def small_network(**changes) -> AudioNetwork:
    torch.manual_seed(0)
    config = SMALL | changes
    module = build_model("ssast", config)
    return AudioNetwork(
        name="small",
        build=lambda: module,
        example=np.zeros((2, config["num_frames"], 128), np.float32),
        weights=Weights("small", Path("small.safetensors"), "0" * 64),
        features=Features(RATE, -6.0, 4.0, config["num_frames"]),
        labels=LABELS[: config["num_classes"]],
        min_frames=16,
    )


class Bands(torch.nn.Module):
    """A network that can really tell the three sounds apart: by where in the spectrum the energy
    lies."""

    config = SSASTConfig(**SMALL)

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """(B, frames, bins) -> logits (B, 3)."""
        energy = (8 * spectrogram).exp().mean(1)  # (B, bins): the loudest frames decide
        share = energy / energy.sum(1, keepdim=True)
        low, high = share[:, :50].sum(1), share[:, 50:].sum(1)
        spread = (share.square().sum(1) < 0.05).float()
        return 20 * torch.stack([low * (1 - spread), high * (1 - spread), spread], dim=1)
