"""What is drawn of a sound: filled while it passes, and of bounded width."""

import numpy as np
import pytest

from audio_classify.sound.spectrogram import MAX_COLUMNS, SpectrogramBuilder
from audio_classify.writing import _band
from vitrail.preprocess.filterbank import MEL_BINS

from .fakes import RATE, hiss, silence, tone


def built(sound: np.ndarray, size: int = 16_384):
    builder = SpectrogramBuilder(RATE)
    for start in range(0, len(sound), size):
        builder.add(sound[start : start + size])
    return builder.finish()


@pytest.mark.parametrize("seconds", [0.001, 0.2, 1.0, 31.9, 32.1, 200.0])
def test_its_columns_cover_the_sound_and_are_never_too_many(seconds):
    levels, column_seconds, max_hz = built(np.tile(hiss(1), 200)[: round(seconds * RATE)])
    covered = levels.shape[1] * column_seconds
    assert levels.shape[0] == MEL_BINS and max_hz == RATE / 2
    assert levels.shape[1] < MAX_COLUMNS
    assert seconds - 1e-6 <= covered < seconds + column_seconds + 1e-6


@pytest.mark.parametrize("seconds", [0.5, 40.0])
def test_blocks_do_not_change_it(seconds):
    sound = np.tile(hiss(1), 40)[: round(seconds * RATE)]
    expected = built(sound, len(sound))
    for size in (999, 4096):
        assert np.allclose(built(sound, size).levels, expected.levels, atol=1e-3)


@pytest.mark.parametrize("before", [1.0, 60.0])
def test_a_tone_is_where_it_sounds(before):
    sound = np.concatenate([silence(before), tone(1000, 1), silence(before)])
    levels, column_seconds, max_hz = built(sound)
    band, column = np.unravel_index(levels.argmax(), levels.shape)
    assert band == pytest.approx(_band(1000, max_hz, MEL_BINS), abs=2)
    assert before - 0.2 <= column * column_seconds <= before + 1
    assert levels.max() == 0 and levels.min() == -80
    loud = np.flatnonzero(levels.max(axis=0) > -20) * column_seconds
    assert (loud.min(), loud.max()) == pytest.approx((before, before + 1), abs=0.2)


def test_silence_is_dark():
    assert (built(silence(2)).levels == -80).all()
