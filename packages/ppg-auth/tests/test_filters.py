"""Spectra, filters and peaks against scipy.signal, whose numbers they must give."""

import numpy as np
import pytest
from scipy import signal

from ppg_auth.signal import filters


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=count).cumsum() + 100


@pytest.mark.parametrize("count", [50, 251, 1500])
@pytest.mark.parametrize("length", [None, 2000, 2001])
@pytest.mark.parametrize("trend", [False, True])
def test_spectra(count, length, trend):
    found = filters.periodogram(noise(count), 50.0, length, trend=trend)
    oracle = signal.periodogram(
        noise(count), 50.0, "hann", length, detrend="linear" if trend else "constant"
    )
    assert np.array_equal(found[0], oracle[0])
    assert np.allclose(found[1], oracle[1], rtol=1e-9, atol=1e-12 * oracle[1].max())


@pytest.mark.parametrize("count", [100, 101])
@pytest.mark.parametrize("wanted", [37, 50, 99, 100, 101, 102, 160, 333])
def test_fourier_resampling(count, wanted):
    rows = np.stack([noise(count), noise(count, 1)])
    oracle = signal.resample(rows, wanted, axis=1)
    assert np.allclose(filters.resample(rows, wanted), oracle, atol=1e-10)


@pytest.mark.parametrize("rate", [14.0, 50.0, 333.0])
@pytest.mark.parametrize("band", [(0.4, 6.3), (0.7, 4.0), (0.5, 2.0)])
@pytest.mark.parametrize("count", [60, 3001])
def test_the_band_pass(rate, band, count):
    x, pad = noise(count), min(count - 1, int(3 * rate))
    sections = signal.butter(2, band, "bandpass", fs=rate, output="sos")
    oracle = signal.sosfiltfilt(sections, x, padlen=pad)
    assert np.allclose(filters.band_pass(x, rate, band, pad), oracle, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_peaks(seed):
    rng = np.random.default_rng(seed)
    x = np.convolve(rng.normal(size=3000), np.ones(9), "same")
    if seed % 2:  # plateaus, and peaks of the same height
        x = x.round()
    distance, prominence = int(rng.integers(1, 40)), float(rng.uniform(0, 8))
    found = filters.find_peaks(x, distance, prominence)
    if seed % 2 == 0 or distance == 1:
        oracle = signal.find_peaks(x, distance=distance, prominence=prominence)[0]
        assert np.array_equal(found, oracle)
    else:  # which of two equal peaks stays is anybody's choice
        assert np.diff(found).min(initial=distance) >= distance
        assert set(found) <= set(signal.find_peaks(x, prominence=prominence)[0])


def test_nothing_peaks_where_nothing_changes():
    assert len(filters.find_peaks(np.ones(50), 1, 0.0)) == 0
    assert filters.find_peaks(np.array([0.0, 1, 1, 1, 0]), 1, 0.5).tolist() == [2]
    assert len(filters.find_peaks(np.array([2.0, 1, 0, 1, 2]), 1, 0.0)) == 0
