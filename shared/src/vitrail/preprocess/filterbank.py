"""Kaldi's log-mel filterbank in plain PyTorch, as the audio spectrogram transformers were trained
on it."""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1.1920929e-07  # float32's epsilon: the energy of silence
SILENCE = math.log(FLOOR)
MEL_BINS = 128
FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
LOWEST_HZ = 20.0
PRE_EMPHASIS = 0.97


def filterbank(waveform: Tensor, sample_rate: int = 16000, num_bins: int = MEL_BINS) -> Tensor:
    """Log energies (..., frames, num_bins) of waveforms (..., samples) in -1..1, natural logarithm,
    at least -15.94.

    Frames of 25 ms each 10 ms, none reaching over the end: 1 + (samples - 400) // 160 at 16 kHz,
    none below 400 samples. A frame's mean is removed, then pre-emphasis, a symmetric Hann window,
    the power spectrum, and triangles equally spaced in mel from 20 Hz to half the rate. Source:
    Kaldi's compute-fbank-feats without dither.
    """
    length, hop = frame_length(sample_rate), hop_length(sample_rate)
    if waveform.shape[-1] < length:
        return waveform.new_empty((*waveform.shape[:-1], 0, num_bins))
    frames = waveform.unfold(-1, length, hop)
    frames = frames - frames.mean(-1, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    frames = (frames - PRE_EMPHASIS * before) * analysis_window(length).to(waveform)
    size = _fft_size(length)
    spectrum = torch.fft.rfft(F.pad(frames, (0, size - length)))[
        ..., :-1
    ]  # the bin at half the rate is unused
    power = spectrum.real.square() + spectrum.imag.square()
    energies = power @ mel_triangles(sample_rate, num_bins).to(power).T
    return energies.clamp(min=FLOOR).log()


@cache
def mel_triangles(sample_rate: int, num_bins: int = MEL_BINS) -> Tensor:
    """The filters (num_bins, fft / 2): peak 1, slopes linear in mel(f) = 1127 ln(1 + f / 700)."""
    size = _fft_size(frame_length(sample_rate))
    lowest, highest = (
        _mel(torch.tensor(hz, dtype=torch.float64)) for hz in (LOWEST_HZ, sample_rate / 2)
    )
    width = (highest - lowest) / (num_bins + 1)
    left = lowest + width * torch.arange(num_bins)[:, None]
    mel = _mel(torch.arange(size // 2, dtype=torch.float64) * sample_rate / size)
    rising = (mel - left) / width
    return torch.minimum(rising, 2 - rising).clamp(min=0).float()


def analysis_window(length: int) -> Tensor:
    """Hann's window (length,), symmetric: both ends are zero."""
    return torch.hann_window(length, periodic=False)


def frame_length(sample_rate: int) -> int:
    """Samples of a frame."""
    return int(sample_rate * FRAME_SECONDS)


def hop_length(sample_rate: int) -> int:
    """Samples from the start of a frame to that of the next."""
    return int(sample_rate * HOP_SECONDS)


def _mel(hertz: Tensor) -> Tensor:
    return 1127 * torch.log1p(hertz / 700)


def _fft_size(length: int) -> int:
    return 1 << (length - 1).bit_length()
