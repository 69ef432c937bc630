"""The continuous wavelet transform of PyWavelets, for whole batches and with gradients, in
PyTorch.

All filters of ``wavelets`` stand in one bank, whose spectra are computed once for each length of
signal.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from vitrail.errors import UsageError
from vitrail.preprocess.wavelets import filter_spectra

CACHE_BYTES = 1 << 21  # of one chunk's spectra; larger ones fall out of the processor's cache
_BANKS = 16


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
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    pieces = [flat] if traced else flat.split(chunk)
    # The convolution is circular: wrapping spoils only the first N - 1 values, which lie before the
    # part that is kept.
    kept = slice(length - 1, 2 * length - 1)
    # Padded by hand, since OpenVINO's transform pads nothing.
    padded = (nn.functional.pad(piece, (0, size - length)) for piece in pieces)
    rows = [torch.fft.irfft(torch.fft.rfft(piece) * bank, size)[..., kept] for piece in padded]
    return torch.cat(rows).reshape(*signal.shape[:-1], bank.shape[0], length)


@lru_cache(_BANKS)
def filter_bank(wavelet: str, scales: tuple[float, ...], length: int, dtype: torch.dtype) -> Tensor:
    """The half spectra (parts * scales, size / 2 + 1) of the filters' real, then imaginary parts,
    cached."""
    if dtype not in (torch.float32, torch.float64):
        raise UsageError(
            wavelet, f"transforms float32 and float64, not {dtype}", "convert the signal"
        )
    return torch.from_numpy(filter_spectra(wavelet, scales, length)).to(
        torch.complex64 if dtype == torch.float32 else torch.complex128
    )
