"""Each step of the signal chain on signals whose answer is known."""

import numpy as np
import pytest
from made_people import RATE, pulse

from ppg_auth.signal import conditioning


@pytest.fixture(scope="module")
def wave() -> np.ndarray:
    return pulse(np.random.default_rng(0), 30.0)


def test_systole_is_turned_up(wave):
    assert conditioning.upright_sign(wave) == 1
    assert conditioning.upright_sign(-wave) == -1


def test_drift_goes_and_the_pulse_stays(wave):
    times = np.arange(len(wave)) / RATE
    drift = 3 * times + 5 * np.sin(2 * np.pi * 0.02 * times)
    left = conditioning.detrend(wave + drift, RATE, 0.2)
    inside = slice(200, -200)
    assert np.corrcoef(left[inside], wave[inside])[0, 1] > 0.98
    assert np.abs(left).max() < 2 * np.abs(wave).max()


def test_detrending_equals_its_definition():
    """(I - (I + lambda^2 D2' D2)^-1) x with a dense matrix."""
    x = np.random.default_rng(1).normal(size=40)
    second = np.diff(np.eye(40), 2, axis=0)
    strength = (14 / (2 * np.pi * 0.7)) ** 2
    wanted = x - np.linalg.solve(np.eye(40) + strength**2 * second.T @ second, x)
    assert np.allclose(conditioning.detrend(x, 14.0, 0.7), wanted)
    assert strength == pytest.approx(10, rel=0.02), "the value that is used at 14 Hz"


def test_spikes_are_clipped_and_beats_are_not(wave):
    clipped, marked = conditioning.clip_outliers(wave, RATE)
    assert marked.mean() < 0.005 and np.allclose(clipped[~marked], wave[~marked])
    spiky = wave.copy()
    spiky[[300, 301, 700]] += 20
    clipped, marked = conditioning.clip_outliers(spiky, RATE)
    assert marked[[300, 301, 700]].all() and np.abs(clipped).max() < 3 * np.abs(wave).max()


def test_the_band_passes_without_delay():
    times = np.arange(1500) / RATE
    inside, below, above = (np.sin(2 * np.pi * hertz * times) for hertz in (2.0, 0.05, 20.0))
    left = conditioning.band_pass(inside + below + above, RATE, (0.5, 8.0))
    middle = slice(300, -300)
    assert np.abs(left[middle] - inside[middle]).max() < 0.05


def test_resampling_does_not_ring_at_the_ends():
    rate, new = 14.0, 70.0
    wave = np.sin(2 * np.pi * 1.13 * np.arange(int(20 * rate)) / rate + 1)
    dense = conditioning.resample(wave, rate, new)
    error = np.abs(dense - np.sin(2 * np.pi * 1.13 * np.arange(len(dense)) / new + 1))
    assert len(dense) == 20 * 70
    assert error[35:-35].max() < 0.03 and error[:-5].max() < 0.15
    assert np.array_equal(conditioning.resample(wave, rate, rate), wave)


def test_the_best_channel_and_not_the_first_component(wave):
    rng = np.random.default_rng(2)
    breathing = 5 * np.sin(2 * np.pi * 0.25 * np.arange(len(wave)) / RATE)
    noise = rng.normal(size=(len(wave), 3))
    channels = (
        np.stack(
            [breathing + 0.2 * noise[:, 0], 0.5 * wave + 0.05 * noise[:, 1], np.zeros(len(wave))],
            axis=1,
        )
        + 100
    )
    chosen, left_out, channel = conditioning.choose_channel(channels, RATE)
    assert np.corrcoef(chosen, wave)[0, 1] > 0.9 and channel == 1
    assert 0 <= left_out <= 1


def test_volts_are_as_good_as_counts(wave):
    rng = np.random.default_rng(2)
    noise = rng.normal(size=len(wave))
    counts = np.stack([500 + 20 * noise, 500 + 20 * wave / np.abs(wave).max()], axis=1)
    assert conditioning.choose_channel(counts, RATE)[2] == 1
    assert conditioning.choose_channel(counts / 1000, RATE)[2] == 1


def test_a_component_has_the_sign_of_its_channels(wave):
    channels = (
        np.stack([wave, 0.8 * wave, 1.1 * wave], axis=1)
        + np.random.default_rng(3).normal(size=(len(wave), 3)) * 0.3
    )
    component, _ = conditioning.best_component(channels, RATE)
    assert np.corrcoef(component, wave)[0, 1] > 0.8


def test_singular_spectrum_analysis_keeps_the_pulse(wave):
    disturbed = wave + np.sin(2 * np.pi * 0.3 * np.arange(len(wave)) / RATE)
    clean, removed = conditioning.pulse_subspace(disturbed, RATE)
    assert np.corrcoef(clean, conditioning.band_pass(wave, RATE, (0.7, 4.0)))[0, 1] > 0.9
    assert 0.1 < removed < 0.95


def test_heart_rate_and_noise():
    times = np.arange(1000) / RATE
    tone = np.sin(2 * np.pi * 1.25 * times)
    assert conditioning.spectral_rate(tone, RATE) == pytest.approx(75, abs=1)
    noisy = tone + 2 * np.random.default_rng(4).normal(size=1000)
    assert conditioning.signal_to_noise(tone, RATE) > 15 > conditioning.signal_to_noise(noisy, RATE)
