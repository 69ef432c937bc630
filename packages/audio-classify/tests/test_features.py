"""Centred features forget the microphone; silence and padding do not disturb them."""

import numpy as np
import pytest
import torch

from audio_classify.features import Features
from audio_classify.testing import RATE, hiss
from vitrail.preprocess.filterbank import SILENCE

PLAIN = Features(RATE, -6.0, 4.0, 64)
CENTRED = Features(RATE, -6.0, 4.0, 64, kept_bins=97, centred=True)


@pytest.fixture
def spectrogram() -> torch.Tensor:
    return PLAIN.raw(torch.from_numpy(hiss(0.5, seed=1)))


def test_a_microphone_of_its_own_response_changes_nothing(spectrogram):
    response = torch.linspace(-3, 3, 128)
    assert torch.allclose(
        CENTRED.normalise(spectrogram)[:, :97],
        CENTRED.normalise(spectrogram + response)[:, :97],
        atol=1e-5,
    )
    assert not torch.allclose(
        PLAIN.normalise(spectrogram), PLAIN.normalise(spectrogram + response), atol=0.1
    )


def test_padding_with_silence_changes_no_frame(spectrogram):
    padded = torch.nn.functional.pad(spectrogram, (0, 0, 0, 10), value=SILENCE)
    both = CENTRED.normalise(torch.stack([padded, padded]))
    assert torch.allclose(both[0, : len(spectrogram)], CENTRED.normalise(spectrogram), atol=1e-6)
    assert torch.allclose(both[:, len(spectrogram) :], torch.tensor((SILENCE + 6) / 8))


def test_bins_that_are_not_kept_stay_silent(spectrogram):
    assert torch.allclose(CENTRED.normalise(spectrogram)[:, 97:], torch.tensor((SILENCE + 6) / 8))


@pytest.mark.parametrize("features", [PLAIN, CENTRED])
def test_pure_silence_is_finite(features):
    assert features.network_input(torch.zeros(RATE), exact=False).isfinite().all()


@pytest.mark.parametrize(
    ("exact", "after", "value"), [(True, False, 6 / 8), (True, True, 0.0), (False, False, None)]
)
def test_what_is_padded(exact, after, value):
    sound = torch.from_numpy(np.float32(hiss(0.2, seed=2)))
    image = Features(RATE, -6.0, 4.0, 64, pad_after_norm=after).network_input(
        sound, exact=exact, shortest=16
    )
    frames = len(PLAIN.raw(sound))
    assert len(image) == (64 if exact else frames)
    assert value is None or torch.all(image[frames:] == value)
