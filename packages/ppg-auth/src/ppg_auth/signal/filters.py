"""Spectra, filters and peaks as ``scipy.signal`` computes them, whose import alone would cost a
short command half of its time (the tests hold each against it), and the scalogram of one window as
the network sees it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtbtrs  # pyright: ignore[reportAttributeAccessIssue] - compiled

from vitrail.preprocess.wavelets import Wavelet, apply_spectra, filter_spectra, geometric_bands

BLOCK = 256  # samples looked at together on the way from a peak to a higher one


def periodogram(
    x: NDArray, rate: float, length: int | None = None, *, trend: bool = False
) -> tuple[NDArray, NDArray]:
    """Frequencies in Hz and the power density of ``x`` (n,) under a Hann window.

    ``length`` of the transform is n or more; ``x`` goes without its mean, and where ``trend`` says
    so without its straight line.
    """
    count, length = len(x), length or len(x)
    time = np.arange(count)
    line = np.polynomial.polynomial.polyfit(time, x, 1) if trend else [x.mean()]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / count)
    spectrum = np.fft.rfft((x - np.polynomial.polynomial.polyval(time, line)) * window, length)
    power = np.square(np.abs(spectrum)) / (rate * np.square(window).sum())
    power[1 : (length + 1) // 2] *= 2  # what the negative frequencies have
    return np.fft.rfftfreq(length, 1 / rate), power


def resample(x: NDArray, count: int) -> NDArray:
    """``x`` (..., n) at ``count`` even places of the same period, by its Fourier series."""
    own = x.shape[-1]
    spectrum, common = np.fft.rfft(x), min(own, count)
    kept = np.zeros((*x.shape[:-1], count // 2 + 1), complex)
    kept[..., : common // 2 + 1] = spectrum[..., : common // 2 + 1]
    if common % 2 == 0 and own != count:  # the middle frequency stands for two, or for half
        kept[..., common // 2] *= 2 if count < own else 0.5
    return np.fft.irfft(kept, count) * (count / own)


def band_pass(x: NDArray, rate: float, band: tuple[float, float], pad: int) -> NDArray:
    """Butterworth of order 2 between ``band`` Hz, forwards and backwards.

    ``pad`` samples are put on both ends, turned about them, and the filter begins as if it had seen
    the first one for ever.
    """
    gain, denominators = _butterworth(band, rate)
    left, right = 2 * x[0] - x[pad:0:-1], 2 * x[-1] - x[-2 : -pad - 2 : -1]
    y = np.concatenate([left, x, right])
    for _ in range(2):
        y = _through(y, gain, denominators)[::-1]
    return y[pad : len(y) - pad]


def _butterworth(band: tuple[float, float], rate: float) -> tuple[float, NDArray]:
    """The gain, and a denominator (3,) per section, whose numerators are 1 - z^-2.

    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, section 7.1: the prototype's
    poles moved to the warped band, then by the bilinear transform.
    """
    low, high = 2 * rate * np.tan(np.pi * np.array(band) / rate)
    half = np.exp(0.75j * np.pi) * (high - low) / 2  # the other pole is its conjugate
    root = np.sqrt(half**2 - low * high)
    poles = np.array([half + root, half - root])
    gain = ((high - low) * 2 * rate) ** 2 / np.prod(np.abs(2 * rate - poles) ** 2)
    z = (2 * rate + poles) / (2 * rate - poles)
    return float(gain), np.stack([np.ones(2), -2 * z.real, np.abs(z) ** 2], axis=1)


def _through(x: NDArray, gain: float, denominators: NDArray) -> NDArray:
    """``x`` once through all sections, as if its first sample had been there for ever."""
    past = x[0]
    for denominator in denominators:
        before = np.concatenate([[past, past], x])
        y = before[2:] - before[:-2]
        # The recursion is a banded triangular system; of a constant the numerator leaves nothing,
        # so that what came before the first output is 0.
        bands = np.repeat(denominator[:, None], len(y), axis=1)
        x, past = dtbtrs(bands, y[:, None], uplo="L", diag="U")[0][:, 0], 0.0
    return gain * x


def find_peaks(x: NDArray, distance: int, prominence: float) -> NDArray[np.intp]:
    """The local maxima that stand out by ``prominence`` among those at least ``distance`` samples
    apart, of which the higher ones stay; of a plateau its middle."""
    peaks = _far_apart(_maxima(x), x, distance)
    return np.array([peak for peak in peaks if _prominence(x, peak) >= prominence], np.intp)


def _maxima(x: NDArray) -> NDArray[np.intp]:
    changes = np.flatnonzero(np.diff(x))  # each is the last sample of a run of equal ones
    starts, stops = np.concatenate([[0], changes + 1]), np.concatenate([changes, [len(x) - 1]])
    level = x[starts]
    inner = np.flatnonzero((level[1:-1] > level[:-2]) & (level[1:-1] > level[2:])) + 1
    return (starts[inner] + stops[inner]) // 2


def _far_apart(peaks: NDArray[np.intp], x: NDArray, distance: int) -> NDArray[np.intp]:
    kept = np.ones(len(peaks), bool)
    for place in np.argsort(x[peaks], kind="stable")[::-1]:
        if kept[place]:
            near = np.abs(peaks - peaks[place]) < distance
            kept[near] = False
            kept[place] = True
    return peaks[kept]


def _prominence(x: NDArray, peak: int) -> float:
    """The height over the higher of both bases: the lowest points before something higher."""
    bases = [_base(x[:peak][::-1], x[peak]), _base(x[peak + 1 :], x[peak])]
    return float(x[peak] - max(bases))


def _base(side: NDArray, height: float) -> float:
    base = height
    for start in range(0, len(side), BLOCK):
        block = side[start : start + BLOCK]
        higher = np.flatnonzero(block > height)
        if len(higher):
            return min(base, block[: higher[0]].min(initial=height))
        base = min(base, block.min())
    return base


WAVELET = "cmor1.5-1.0"


def scalogram(wave: NDArray, config: Mapping[str, Any]) -> NDArray[np.float32]:
    """Log magnitudes (frequencies, columns) of a wave (samples,), low frequencies first.

    ``config`` is the network's, as its weights file has it: ``model.Scalogram`` says what it means.
    """
    rate = config["rate"]
    bands = geometric_bands(
        config["low"], min(config["high"], 0.45 * rate), int(config["frequencies"])
    )
    scales = Wavelet.of(WAVELET).scales(bands, rate)
    real, imaginary = np.split(
        apply_spectra(wave, filter_spectra(WAVELET, scales.tolist(), len(wave))), 2
    )
    magnitude = _columns(np.sqrt(real**2 + imaginary**2 + 1e-12), int(config["columns"]))
    ranked = np.sort(magnitude, axis=None)
    return np.log1p(magnitude / ranked[(ranked.size - 1) // 2]).astype(np.float32)


def _columns(rows: NDArray, count: int) -> NDArray:
    """Rows (R, N) averaged to (R, count), as adaptive average pooling does."""
    edges = np.arange(count + 1) * rows.shape[1] / count
    starts, stops = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    parts = [rows[:, start:stop].mean(axis=1) for start, stop in zip(starts, stops, strict=True)]
    return np.stack(parts, axis=1)
