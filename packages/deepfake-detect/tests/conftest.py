"""Small networks with fresh weights, and inputs that the tests make or the package brings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake_detect.crops import CropRule
from deepfake_detect.model import build_model
from deepfake_detect.networks import FakeNetwork
from deepfake_detect.verdict import Thresholds
from vitrine.weights import Weights

PORTRAIT = Path(__file__).parents[1] / "examples" / "portrait.mp4"
SMALL = {
    "img_size": 64,
    "backbone": "convnext_atto",
    "backbone_options": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
    "embedding": 12,
    "hidden": 8,
}
SMALL_VAE = {"encoder_widths": (4, 8, 8, 8), "latent_channels": 4}


@pytest.fixture
def portrait() -> Path:
    """75 frames of one real face, 480x480, 25 frames a second."""
    return PORTRAIT


def small_config(name: str) -> dict:
    """The options of a network of a few thousand parameters at 64 px."""
    return SMALL | (SMALL_VAE if name == "vae" else {})


def small_network(name: str, seed: int = 0) -> FakeNetwork:
    torch.manual_seed(seed)
    module = build_model(f"genconvit-{name}", small_config(name)).eval()
    return FakeNetwork(
        name=name,
        module=module,
        example=torch.zeros(2, 3, 64, 64),
        weights=Weights(name=name, path=Path(f"{name}.safetensors"), sha256=name.ljust(64, "0"), metadata={}),
        crop=CropRule(img_size=64, box="detector", margin=0.2),
        temperature=1.0,
        thresholds=Thresholds(0.4, 0.6),
    )


@pytest.fixture
def networks() -> list[FakeNetwork]:
    return [small_network("ed"), small_network("vae", seed=1)]


@pytest.fixture(scope="session")
def portrait_frame() -> np.ndarray:
    from vitrine.preprocess.video import open_video

    return next(open_video(PORTRAIT).frames([0])).image
