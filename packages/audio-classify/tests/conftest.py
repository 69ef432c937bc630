"""Small networks with fresh weights."""

import pytest

from audio_classify.networks import AudioNetwork
from audio_classify.testing import Bands, small_network


@pytest.fixture
def network() -> AudioNetwork:
    return small_network()


@pytest.fixture
def listener() -> AudioNetwork:
    """Hears low tones, high tones and noise."""
    return AudioNetwork(**{**vars(small_network()), "module": Bands()})
