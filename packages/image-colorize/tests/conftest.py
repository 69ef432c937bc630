"""What the tests share: one job, and small images."""

import numpy as np
import pytest
import torch

from image_colorize import load

torch.set_num_threads(1)  # tiny networks: several threads would only wait for each other


@pytest.fixture(scope="session")
def job():
    """The bundled network, run by PyTorch: nothing is converted or kept."""
    return load(engine="eager")


@pytest.fixture
def scene() -> np.ndarray:
    """A grey image (60, 90) uint8 of three areas with a little texture."""
    rng = np.random.default_rng(0)
    image = np.full((60, 90), 90.0)
    image[:, 45:] = 160
    image[40:] = 60
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
