"""The gate: what passes, and each reason for which a window does not."""

import numpy as np
import pytest
from made_people import RATE, pulse

from ppg_auth.signal.beats import (
    REASONS,
    SHAPE_POINTS,
    beat_shape,
    cut_beats,
    judge,
    mean_beat,
    systolic_peaks,
)
from ppg_auth.signal.recording import as_recording
from ppg_auth.signal.windows import Preprocess, SignalConfig, normalise, stuck
from vitrail.errors import InputError


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return pulse(np.random.default_rng(0), 30.0)


def test_a_clean_window_passes(wave):
    judgement = judge(wave[250:750], 0.0, RATE)
    assert judgement.reasons == () and judgement.score > 0.6
    assert judgement.heart_rate == pytest.approx(60 / 0.85, abs=5)


def irregular(wave: np.ndarray) -> np.ndarray:
    """Every second half second is missing."""
    return np.concatenate(
        [wave[first : first + width] for first, width in ((0, 60), (75, 90), (190, 50), (300, 130))]
    )


@pytest.mark.parametrize(
    "spoil, clipped, reason",
    [
        (lambda wave: np.full(500, 3.0), 0.0, "flat"),
        (lambda wave: wave[:500], 0.05, "clipped"),
        (lambda wave: np.random.default_rng(1).normal(size=500), 0.0, "noisy"),
        (lambda wave: wave[:60], 0.0, "few_beats"),
        (
            lambda wave: wave[:500] + 3 * np.random.default_rng(2).normal(size=500),
            0.0,
            "unlike_beats",
        ),
        (irregular, 0.0, "irregular"),
        (lambda wave: np.sin(2 * np.pi * 0.55 * np.arange(1000) / RATE) ** 7, 0.0, "heart_rate"),
    ],
)
def test_every_fault_has_its_reason(wave, spoil, clipped, reason):
    judgement = judge(spoil(wave), clipped, RATE)
    assert reason in judgement.reasons and reason in REASONS


def test_beats_are_cut_at_their_peaks(wave):
    peaks = systolic_peaks(wave, RATE)
    beats = cut_beats(wave, peaks)
    assert 30 <= len(peaks) <= 40 and len(beats) >= len(peaks) - 3
    assert np.allclose(np.linalg.norm(beats, axis=1), 1) and np.allclose(beats.mean(axis=1), 0)
    assert abs(mean_beat(beats).argmax() / 64 - 0.35) < 0.05


def test_a_beats_shape_does_not_know_amplitude_or_level(wave):
    assert np.allclose(beat_shape(wave, RATE), beat_shape(7 * wave + 3, RATE))
    assert not beat_shape(wave[:40], RATE).any()
    assert len(beat_shape(wave, RATE)) == SHAPE_POINTS


def test_the_first_half_of_a_shape_ignores_the_heart_rate(wave):
    slower = np.interp(np.arange(0, len(wave) - 1, 0.9), np.arange(len(wave)), wave)
    half = slice(0, 64)
    assert beat_shape(wave, RATE)[half] @ beat_shape(slower, RATE)[half] > 0.99


def test_a_recordings_windows(wave):
    windows = Preprocess()(as_recording(wave + 100, RATE))
    assert windows.waves.shape == (11, 250) and windows.waves.dtype == np.float32
    assert np.diff(windows.starts) == pytest.approx(2.5)
    assert windows.good.sum() >= 9 and windows.items.shape == (11, 250 + SHAPE_POINTS)
    assert windows.heart_rate == pytest.approx(60 / 0.85, abs=5)
    assert np.allclose(windows.waves.mean(axis=1), 0, atol=1e-4)
    assert windows.raw.mean() == pytest.approx(100, abs=1) and len(windows.raw) == len(
        windows.pulse
    )


def test_windows_do_not_depend_on_polarity_or_scale(wave):
    one, other = (Preprocess()(as_recording(signal, RATE)) for signal in (wave, 500 - 30 * wave))
    assert np.allclose(one.waves, other.waves, atol=1e-3)


def test_the_papers_settings_pad_the_last_window():
    wave = pulse(np.random.default_rng(3), 31.0)
    from ppg_auth.signal.windows import PAPER

    windows = Preprocess(PAPER)(as_recording(wave, RATE))
    assert windows.waves.shape == (12, 350)
    assert windows.waves.min() == 0 and windows.waves.max() == 1


def test_a_flat_recording_fails_and_never_divides_by_zero():
    with np.errstate(all="raise"):
        windows = Preprocess()(as_recording(np.full(1000, 7.0), RATE))
    assert (
        not windows.good.any() and set(windows.reasons) == {("flat",)} and not windows.waves.any()
    )


def test_too_short_a_recording_is_refused(wave):
    with pytest.raises(InputError, match=r"4\.0 s without a gap; 5 s are needed"):
        Preprocess(SignalConfig())(as_recording(wave[:200], RATE))


def test_a_short_recording_can_still_be_looked_at(wave):
    windows = Preprocess(SignalConfig()).cut(as_recording(wave[:200], RATE))
    assert windows.waves.shape == (0, 250) and windows.items.shape == (0, 370)
    assert len(windows.pulse) == 200 and not windows.good.any() and windows.heart_rate is None


def test_stuck_samples_lie_at_the_end_of_the_range():
    x = np.concatenate(
        [np.arange(20.0), np.full(5, 20.0), np.arange(20.0, 0, -1), [0.0], np.arange(19.0)]
    )
    assert stuck(x).sum() == 6, "five stuck ones and the sample that reaches the same value"


def test_normalising():
    x = np.array([1.0, 2.0, 4.0])
    assert normalise(x, "minmax").tolist() == [0, 1 / 3, 1]
    assert normalise(x, "zscore").std() == pytest.approx(1)
    assert not normalise(np.ones(5), "zscore").any()
