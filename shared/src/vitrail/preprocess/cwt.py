"""The continuous wavelet transform of PyWavelets, for whole batches and with gradients.

``pywt.cwt`` correlates with the integrated wavelet, sampled by index, and takes the difference: for
each scale that is one fixed filter. Here all filters stand in one bank, whose spectra are computed
once for each length of signal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vitrail.errors import UsageError

PRECISION = 12  # the wavelet is sampled at 2^12 points, as by pywt.cwt
SUPPORT = 8.0  # on both sides of 0, for the wavelets below
CACHE_BYTES = 1 << 21  # of one chunk's spectra; larger ones fall out of the processor's cache
_BANKS = 16


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


def cwt(signal: Tensor, scales: Sequence[float], wavelet: str = "cmor1.5-1.0") -> Tensor:
    """Coefficients (..., scales, N) of real signals (..., N): complex for ``cmor``, real for
    ``morl``.

    Equal to ``pywt.cwt(signal, scales, wavelet)[0]`` with its default precision, by either of its
    methods: no padding (beyond the ends the signal is 0), no normalisation by scale. float32 or
    float64, on the signal's device, differentiable. In float32 it equals the transform of the
    float64 signal rounded; ``pywt`` itself also rounds the places at which it samples the wavelet,
    and so is off by up to some percent there.
    """
    parts = cwt_parts(signal, scales, wavelet)
    return parts[0] if len(parts) == 1 else torch.complex(*parts)


def cwt_parts(
    signal: Tensor, scales: Sequence[float], wavelet: str = "cmor1.5-1.0"
) -> tuple[Tensor, ...]:
    """The same as its real part, and its imaginary part where it has one."""
    bank = filter_bank(wavelet, tuple(map(float, scales)), signal.shape[-1], signal.dtype)
    return apply_bank(signal, bank.to(signal.device)).split(len(scales), dim=-2)


def apply_bank(signal: Tensor, bank: Tensor) -> Tensor:
    """Signals (..., N) through each filter of a ``filter_bank`` for that N: (..., filters, N).

    For networks that keep the bank and are exported: apart from the spectra there are no complex
    numbers in it.
    """
    length, size = signal.shape[-1], 2 * (bank.shape[-1] - 1)
    flat = signal.reshape(-1, 1, length)
    chunk = max(1, CACHE_BYTES // (bank.numel() * bank.element_size()))
    # A trace knows the length of its example alone, so it must not be cut.
    pieces = [flat] if torch.compiler.is_compiling() else flat.split(chunk)
    # The convolution is circular: wrapping spoils only the first N - 1 values, which lie before the
    # part that is kept.
    kept = slice(length - 1, 2 * length - 1)
    rows = [
        torch.fft.irfft(torch.fft.rfft(piece, size) * bank, size)[..., kept] for piece in pieces
    ]
    return torch.cat(rows).reshape(*signal.shape[:-1], len(bank), length)


@lru_cache(_BANKS)
def filter_bank(wavelet: str, scales: tuple[float, ...], length: int, dtype: torch.dtype) -> Tensor:
    """The half spectra (parts * scales, size / 2 + 1) of the filters' real, then imaginary parts,
    cached."""
    if dtype not in (torch.float32, torch.float64):
        raise UsageError(
            wavelet, f"transforms float32 and float64, not {dtype}", "convert the signal"
        )
    if not length or not scales or not all(0 < scale < np.inf for scale in scales):
        raise UsageError(wavelet, "needs a signal and positive scales", "give both")
    size = 2 * _fast_size(length)
    filters = np.stack([_filter(Wavelet.of(wavelet), scale, length) for scale in scales])
    parts = [filters.real, filters.imag] if np.iscomplexobj(filters) else [filters]
    spectra = np.fft.rfft(np.concatenate(parts), size)
    return torch.from_numpy(spectra).to(
        torch.complex64 if dtype == torch.float32 else torch.complex128
    )


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
