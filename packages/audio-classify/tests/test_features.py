"""Centred features forget the microphone; silence and padding do not disturb them."""

import numpy as np
import pytest

from audio_classify.sound.features import Features
from vitrail.preprocess.filterbank import SILENCE

from .fakes import RATE, hiss

PLAIN = Features(RATE, -6.0, 4.0, 64)
CENTRED = Features(RATE, -6.0, 4.0, 64, kept_bins=97, centred=True)


@pytest.fixture
def spectrogram() -> np.ndarray:
    return PLAIN.raw(hiss(0.5, seed=1))


def test_a_microphone_of_its_own_response_changes_nothing(spectrogram):
    response = np.linspace(-3, 3, 128, dtype=np.float32)
    assert np.allclose(
        CENTRED.normalise(spectrogram)[:, :97],
        CENTRED.normalise(spectrogram + response)[:, :97],
        atol=1e-5,
    )
    assert not np.allclose(
        PLAIN.normalise(spectrogram), PLAIN.normalise(spectrogram + response), atol=0.1
    )


def test_padding_with_silence_changes_no_frame(spectrogram):
    padded = np.pad(spectrogram, ((0, 10), (0, 0)), constant_values=SILENCE)
    both = CENTRED.normalise(np.stack([padded, padded]))
    assert np.allclose(both[0, : len(spectrogram)], CENTRED.normalise(spectrogram), atol=1e-6)
    assert np.allclose(both[:, len(spectrogram) :], (SILENCE + 6) / 8)


def test_bins_that_are_not_kept_stay_silent(spectrogram):
    assert np.allclose(CENTRED.normalise(spectrogram)[:, 97:], (SILENCE + 6) / 8)


@pytest.mark.parametrize("features", [PLAIN, CENTRED])
def test_pure_silence_is_finite(features):
    assert np.isfinite(features.network_input(np.zeros(RATE, np.float32), exact=False)).all()


@pytest.mark.parametrize(
    ("exact", "after", "value"), [(True, False, 6 / 8), (True, True, 0.0), (False, False, None)]
)
def test_what_is_padded(exact, after, value):
    sound = hiss(0.2, seed=2)
    image = Features(RATE, -6.0, 4.0, 64, pad_after_norm=after).network_input(
        sound, exact=exact, min_frames=16
    )
    frames = len(PLAIN.raw(sound))
    assert len(image) == (64 if exact else frames)
    assert value is None or np.all(image[frames:] == value)
