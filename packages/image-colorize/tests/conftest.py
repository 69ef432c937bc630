"""What the tests share: one job, and small images."""

import numpy as np
import pytest
import torch

from image_colorize import load
from image_colorize.job import ColorizeJob
from image_colorize.model import Config, IColoriT
from image_colorize.networks import ColorizeNetwork
from image_colorize.seen import Shape

torch.set_num_threads(1)  # tiny networks: several threads would only wait for each other


@pytest.fixture(scope="session")
def job():
    """The bundled network, run by PyTorch: nothing is converted or kept."""
    return load(engine="eager")


@pytest.fixture(scope="session")
def small_job():
    """A network that says nothing sensible, at once: for what does not hang on the colours."""
    module = IColoriT(Config(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2))
    example = np.zeros((2, 4, 16, 16), np.float32)
    network = ColorizeNetwork(
        "small", module.eval, example, weights=None, shape=Shape(16, 2, False)
    )
    return ColorizeJob(network, engine="eager")


@pytest.fixture
def scene() -> np.ndarray:
    """A grey image (60, 90) uint8 of three areas with a little texture."""
    rng = np.random.default_rng(0)
    image = np.full((60, 90), 90.0)
    image[:, 45:] = 160
    image[40:] = 60
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
