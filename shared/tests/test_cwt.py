"""The wavelet transform against PyWavelets, which it must equal, and what PyWavelets cannot do."""

import numpy as np
import pytest
import torch

from vitrail.errors import UsageError
from vitrail.preprocess.cwt import cwt, cwt_parts, filter_bank
from vitrail.preprocess.wavelets import Wavelet, apply_spectra, filter_spectra, geometric_bands

pywt = pytest.importorskip("pywt")

WAVELETS = ("cmor1.5-1.0", "cmor2.5-0.7", "morl")
SCALES = (0.7, 1.0, 2.0, 3.3, 11.0, 47.6, 140.0)


def largest_error(ours: torch.Tensor, oracle: np.ndarray) -> float:
    return float(np.abs(ours.numpy() - oracle).max() / np.abs(oracle).max())


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("length", [1, 2, 63, 349, 350])
@pytest.mark.parametrize("method", ["conv", "fft"])
def test_equals_pywavelets(wavelet, length, method):
    signal = np.random.default_rng(length).normal(size=(3, length))
    oracle = pywt.cwt(signal, SCALES, wavelet, method=method)[0].swapaxes(0, 1)
    double = cwt(torch.from_numpy(signal), SCALES, wavelet)
    single = cwt(torch.from_numpy(signal).float(), SCALES, wavelet)
    assert double.shape == (3, len(SCALES), length)
    assert largest_error(double, oracle) < 1e-10
    assert largest_error(single, oracle) < 1e-5
    assert single.dtype == (torch.float32 if wavelet == "morl" else torch.complex64)


def test_scales_stand_for_the_same_frequencies_as_in_pywavelets():
    frequencies = np.array([0.5, 2.0, 8.0])
    scales = Wavelet.of("cmor1.5-1.0").scales(frequencies, rate=70)
    assert pywt.scale2frequency("cmor1.5-1.0", scales) * 70 == pytest.approx(frequencies)


def test_a_batch_is_its_rows_whatever_its_size():
    signal = torch.randn(
        37, 2, 250, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    whole = cwt(signal, SCALES)
    assert whole.shape == (37, 2, len(SCALES), 250)
    assert torch.allclose(whole[20, 1], cwt(signal[20, 1], SCALES), atol=1e-12)


@pytest.mark.parametrize("wavelet", ["cmor1.5-1.0", "morl"])
def test_gradients(wavelet):
    signal = torch.randn(
        2, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda x: torch.cat(cwt_parts(x, SCALES[:4], wavelet)), signal)


def test_a_tone_shows_at_its_frequency():
    rate, frequencies = 50.0, np.geomspace(0.5, 8, 64)
    tone = torch.sin(2 * np.pi * 2.0 * torch.arange(500) / rate)
    magnitude = (
        cwt(tone, Wavelet.of("cmor1.5-1.0").scales(frequencies, rate).tolist())
        .abs()[:, 200:300]
        .mean(dim=1)
    )
    assert frequencies[magnitude.argmax()] == pytest.approx(2.0, rel=0.05)


def test_the_bank_is_built_once():
    arguments = ("cmor1.5-1.0", (1.0, 2.0), 100, torch.float32)
    assert filter_bank(*arguments) is filter_bank(*arguments)


@pytest.mark.parametrize(
    "name", ["haar", "cmor", "cmor0-1", "cmor1.5", "cmor-1-1", "cmor1.5-0.0", "morlet"]
)
def test_unknown_wavelets_are_named(name):
    with pytest.raises(UsageError, match="no known wavelet"):
        cwt(torch.zeros(8), (1.0,), name)


@pytest.mark.parametrize("scales", [(), (0.0,), (-1.0,), (float("nan"),), (float("inf"),)])
def test_scales_must_be_positive(scales):
    with pytest.raises(UsageError, match="positive scales"):
        cwt(torch.zeros(8), scales)


def test_whole_numbers_are_refused():
    with pytest.raises(UsageError, match="float32 and float64"):
        cwt(torch.zeros(8, dtype=torch.int64), (1.0,))


def test_filters_in_numpy_are_the_same():
    signals = np.random.default_rng(0).normal(size=(2, 250))
    parts = apply_spectra(signals, filter_spectra("cmor1.5-1.0", SCALES, 250))
    oracle = pywt.cwt(signals, SCALES, "cmor1.5-1.0")[0].swapaxes(0, 1)
    assert np.allclose(parts[:, : len(SCALES)] + 1j * parts[:, len(SCALES) :], oracle, atol=1e-10)


def test_bands_are_spaced_geometrically():
    assert np.allclose(geometric_bands(0.5, 8.0, 64), np.geomspace(0.5, 8, 64))
    assert geometric_bands(0.5, 8.0, 1) == [0.5]
