"""Small networks with fresh weights."""

from dataclasses import replace

import pytest

from audio_classify.networks import AudioNetwork

from .fakes import Bands, small_network


@pytest.fixture
def network() -> AudioNetwork:
    return small_network()


@pytest.fixture
def listener() -> AudioNetwork:
    """Hears low tones, high tones and noise."""
    return replace(small_network(), build=Bands)
