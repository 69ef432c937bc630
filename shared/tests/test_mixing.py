"""Which channels are heard: the mean of those that live, or the louder of two that cancel."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vitrail.preprocess.audio import open_audio

from .test_audio import chirp

NOISE = np.random.default_rng(0).standard_normal(16000).astype(np.float32)


def mono(folder: Path, *channels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    soundfile.write(folder / "a.wav", np.stack(channels, axis=1), 16000, subtype="FLOAT")
    recording = open_audio(folder / "a.wav")
    sound = np.concatenate(list(recording.blocks(16000)))
    assert recording.damage == []
    return sound, recording.notes


def test_two_living_channels_are_their_mean(tmp_path):
    sound, notes = mono(tmp_path, chirp(), 0.1 * NOISE)
    assert np.allclose(sound, (chirp() + 0.1 * NOISE) / 2, atol=1e-6) and notes == []


def test_a_quiet_channel_still_counts(tmp_path):
    sound, notes = mono(tmp_path, chirp(), 0.01 * NOISE)
    assert np.allclose(sound, (chirp() + 0.01 * NOISE) / 2, atol=1e-6) and notes == []


@pytest.mark.parametrize("dead", [0 * NOISE, 1e-5 * NOISE, np.full(16000, 0.3, np.float32)])
def test_a_dead_channel_is_left_out(dead, tmp_path):
    sound, notes = mono(tmp_path, dead, chirp(), chirp())
    assert np.allclose(sound, chirp(), atol=1e-6)
    assert notes == ["silent channels are left out of the mix: 1"]


@pytest.mark.parametrize("gain, alone", [(-1.0, 1), (-0.5, 1), (-2.0, 2)])
def test_of_two_that_cancel_the_louder_is_heard(gain, alone, tmp_path):
    sound, notes = mono(tmp_path, chirp(), gain * chirp())
    assert np.allclose(sound, chirp() * (1 if alone == 1 else gain), atol=1e-6)
    assert notes == [f"channels 1 and 2 are of opposite phase; channel {alone} was heard alone"]


def test_silence_in_all_channels_is_silence(tmp_path):
    sound, notes = mono(tmp_path, 0 * NOISE, 0 * NOISE)
    assert not sound.any() and notes == []


def test_a_constant_offset_is_told(tmp_path):
    _, notes = mono(tmp_path, chirp() + 0.2)
    assert notes == ["the sound stands +0.20 off its middle"]
