"""A network with fresh weights, and a film for it."""

from pathlib import Path

import pytest

from vitrail.testing.media import write_clip

from .fakes import film, save_tiny


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """Twelve frames, a red square that moves, ten frames a second."""
    return write_clip(tmp_path_factory.mktemp("films") / "street.mp4", film(), fps=10)
