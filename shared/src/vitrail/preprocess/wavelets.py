"""The wavelets of PyWavelets as filters: what ``pywt.cwt`` does for one scale, in NumPy.

``pywt.cwt`` correlates with the integrated wavelet, sampled by index, and takes the difference: for
each scale that is one fixed filter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitrail.errors import UsageError

PRECISION = 12  # the wavelet is sampled at 2^12 points, as by pywt.cwt
SUPPORT = 8.0  # on both sides of 0, for the wavelets below


@dataclass(frozen=True)
class Wavelet:
    """A complex Morlet wavelet ``cmorB-C`` or the real ``morl``, by the names of PyWavelets.

    ``bandwidth`` is B (None: ``morl``), ``centre`` the frequency in cycles a sample at scale 1.
    """

    name: str
    bandwidth: float | None
    centre: float

    @classmethod
    def of(cls, name: str) -> "Wavelet":
        """By name; UsageError for one that is not known."""
        if name == "morl":
            return cls(name, None, 0.8125)
        number = r"(\d+(?:\.\d*)?|\.\d+)"
        match = re.fullmatch(f"cmor{number}-{number}", name)
        # PyWavelets keeps both numbers in single precision.
        if (
            match is None
            or not (bandwidth := _single(match[1]))
            or not (centre := _single(match[2]))
        ):
            raise UsageError(
                name, "is no known wavelet", "give cmorB-C, such as cmor1.5-1.0, or morl"
            )
        return cls(name, bandwidth, centre)

    def scales(self, frequencies: ArrayLike, rate: float) -> NDArray[np.float64]:
        """The scales whose centre frequencies are ``frequencies`` in Hz for a signal at ``rate``
        Hz."""
        return self.centre * rate / np.asarray(frequencies, float)

    def integral(self) -> tuple[NDArray, float]:
        """The conjugate of the running integral of the wavelet over its support, and the step
        between its points."""
        t = np.linspace(-SUPPORT, SUPPORT, 1 << PRECISION)
        if self.bandwidth is None:
            psi = np.exp(-(t**2) / 2) * np.cos(5 * t)
        else:
            envelope = np.exp(-(t**2) / self.bandwidth) / np.sqrt(np.pi * self.bandwidth)
            psi = envelope * np.exp(2j * np.pi * self.centre * t)
        step = t[1] - t[0]
        return np.conj(np.cumsum(psi) * step), float(step)


def _single(text: str) -> float:
    return float(np.float32(text))


def geometric_bands(low: float, high: float, count: int) -> NDArray[np.float64]:
    """``count`` frequencies in Hz from ``low`` to ``high``, each the same factor above the last."""
    return low * (high / low) ** (np.arange(count) / max(1, count - 1))


def filter_spectra(wavelet: str, scales: Sequence[float], length: int) -> NDArray[np.complex128]:
    """The half spectra (parts * scales, size / 2 + 1) of the filters' real, then imaginary parts.

    ``length`` is that of the signals that they are for. UsageError without a signal or a positive
    scale.
    """
    if not length or not len(scales) or not all(0 < scale < np.inf for scale in scales):
        raise UsageError(wavelet, "needs a signal and positive scales", "give both")
    filters = np.stack([_filter(Wavelet.of(wavelet), scale, length) for scale in scales])
    parts = [np.real(filters), np.imag(filters)] if np.iscomplexobj(filters) else [filters]
    return np.fft.rfft(np.concatenate(parts), 2 * _fast_size(length))


def apply_spectra(signals: NDArray, spectra: NDArray) -> NDArray[np.float64]:
    """Signals (..., N) through each filter of ``filter_spectra`` for that N: (..., filters, N)."""
    length, size = signals.shape[-1], 2 * (spectra.shape[-1] - 1)
    product = np.fft.rfft(signals[..., None, :], size) * spectra
    return np.fft.irfft(product, size)[..., length - 1 : 2 * length - 1]


def _fast_size(least: int) -> int:
    """The smallest number from ``least`` on without other prime factors than 2, 3 and 5."""
    size = least
    while 30 ** size.bit_length() % size:
        size += 1
    return size


def _filter(wavelet: Wavelet, scale: float, length: int) -> NDArray:
    """The part (2 N - 1,) of one scale's filter that reaches into a signal of N samples, its centre
    in the middle."""
    integral, step = wavelet.integral()
    index = np.floor(np.arange(scale * 2 * SUPPORT + 1) / (scale * step)).astype(int)
    sampled = integral[index[index < len(integral)]][::-1]
    whole = -np.sqrt(scale) * np.diff(sampled, prepend=0, append=0)
    # pywt crops what the difference of the full convolution has too much, the odd one on the right.
    centre = 1 + (len(sampled) - 2) // 2
    out = np.zeros(2 * length - 1, whole.dtype)
    first = centre - (length - 1)
    part = whole[max(0, first) : centre + length]
    out[max(0, -first) : max(0, -first) + len(part)] = part
    return out
