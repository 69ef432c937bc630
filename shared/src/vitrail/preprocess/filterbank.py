"""Kaldi's log-mel filterbank in NumPy, as the audio spectrogram transformers were trained on it."""

import math
from functools import cache

import numpy as np

FLOOR = 1.1920929e-07  # float32's epsilon: the energy of silence
SILENCE = math.log(FLOOR)
MEL_BINS = 128
FRAME_SECONDS, HOP_SECONDS = 0.025, 0.010
MIN_HZ = 20.0
PRE_EMPHASIS = 0.97
BLOCK = 128  # frames at once, so that all steps between two FFTs stay in the processor's cache


def filterbank(
    waveform: np.ndarray, sample_rate: int = 16000, num_bins: int = MEL_BINS
) -> np.ndarray:
    """Log energies (..., frames, num_bins), float32, of waveforms (..., samples) in -1..1, natural
    logarithm, at least -15.94.

    Frames of 25 ms each 10 ms, none reaching over the end: 1 + (samples - 400) // 160 at 16 kHz,
    none below 400 samples. A frame's mean is removed, then pre-emphasis, a symmetric Hann window,
    the power spectrum, and triangles equally spaced in mel from 20 Hz to half the rate. Source:
    Kaldi's compute-fbank-feats without dither.

    All is in float64 up to the spectrum: in float32 a band far below the loudest one of its frame,
    as there are in quiet frames, would hold little but rounding errors.
    """
    waveform = np.asarray(waveform, np.float32)
    length, hop = frame_length(sample_rate), hop_length(sample_rate)
    count = max(0, 1 + (waveform.shape[-1] - length) // hop)
    energies = np.empty((*waveform.shape[:-1], count, num_bins), np.float32)
    if not energies.size:
        return energies
    window, triangles = analysis_window(length), mel_triangles(sample_rate, num_bins).T
    padded = np.zeros((BLOCK, fft_size(length)))
    frames = np.lib.stride_tricks.sliding_window_view(waveform, length, axis=-1)[..., ::hop, :]
    for row in np.ndindex(waveform.shape[:-1]):
        for first in range(0, count, BLOCK):
            block = frames[row][first : first + BLOCK].astype(np.float64)
            block -= block.mean(-1, keepdims=True)
            shaped = padded[: len(block), :length]
            np.multiply(block, -PRE_EMPHASIS, out=shaped)
            shaped[:, 1:] = block[:, 1:] + shaped[:, :-1]
            shaped[:, 0] += block[:, 0]
            shaped *= window
            power = power_spectrum(padded[: len(block)]).astype(np.float32)
            np.matmul(power, triangles, out=energies[row][first : first + BLOCK])
    np.maximum(energies, FLOOR, out=energies)
    return np.log(energies, out=energies)


def power_spectrum(frames: np.ndarray) -> np.ndarray:
    """(..., size) -> (..., size / 2), without the bin at half the rate, which no triangle
    touches."""
    spectrum = np.fft.rfft(frames)[..., :-1]
    return spectrum.real**2 + spectrum.imag**2


@cache
def mel_triangles(
    sample_rate: int, num_bins: int = MEL_BINS, size: int | None = None
) -> np.ndarray:
    """The filters (num_bins, size / 2) for an FFT of ``size`` (that of a frame): peak 1, slopes
    linear in mel(f) = 1127 ln(1 + f / 700)."""
    size = size or fft_size(frame_length(sample_rate))
    low, high = mel(MIN_HZ), mel(sample_rate / 2)
    width = (high - low) / (num_bins + 1)
    left = low + width * np.arange(num_bins)[:, None]
    rising = (mel(np.arange(size // 2) * sample_rate / size) - left) / width
    return np.maximum(np.minimum(rising, 2 - rising), 0).astype(np.float32)


@cache
def analysis_window(length: int) -> np.ndarray:
    """Hann's window (length,), symmetric: both ends are zero."""
    return np.hanning(length)


def frame_length(sample_rate: int) -> int:
    """Samples of a frame."""
    return int(sample_rate * FRAME_SECONDS)


def hop_length(sample_rate: int) -> int:
    """Samples from the start of a frame to that of the next."""
    return int(sample_rate * HOP_SECONDS)


def mel(hertz: np.ndarray | float) -> np.ndarray | float:
    """Frequencies in mel, in float64."""
    return 1127 * np.log1p(np.asarray(hertz, np.float64) / 700)


def fft_size(length: int) -> int:
    """The smallest power of two that holds a frame."""
    return 1 << (length - 1).bit_length()
