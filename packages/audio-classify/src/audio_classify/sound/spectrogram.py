"""The spectrogram that is drawn: filled while a sound passes, of bounded width whatever its
length."""

from typing import NamedTuple

import numpy as np

from vitrail.preprocess.filterbank import MEL_BINS, analysis_window, mel_triangles, power_spectrum

FFT = 1024  # samples of a frame
FIRST_HOP = 256
MAX_COLUMNS = 2000
DYNAMIC_RANGE = 80.0  # dB below the loudest value; what lies lower is drawn as if it were there
FLOOR = 1e-10
MIN_LOUDEST = -20.0  # dB, where a tone of full scale has 48: what is quieter is drawn as silence


class Spectrogram(NamedTuple):
    """``levels`` (bands, columns), float32, in dB below the loudest, -80 to 0; the bands are
    equally spaced in mel from 20 Hz to ``max_hz``, the lowest first."""

    levels: np.ndarray
    column_seconds: float
    max_hz: float


class SpectrogramBuilder:
    """The loudest level of each mel band in equal stretches of a sound, of which ``add`` takes the
    blocks (n,) in order.

    The stretches double whenever there are MAX_COLUMNS of them. As maxima of maxima they are then
    what they would have been from the start; only frames of overlapping stretches are fewer.
    """

    def __init__(self, sample_rate: int):
        self.sample_rate, self.hop = sample_rate, FIRST_HOP
        self._triangles = mel_triangles(sample_rate, MEL_BINS, FFT).T
        self._columns = np.empty((MAX_COLUMNS, MEL_BINS), np.float32)
        self._filled = 0
        self._rest = np.empty(0, np.float32)

    def add(self, block: np.ndarray) -> None:
        self._rest = np.concatenate([self._rest, block])
        while len(self._rest) >= self.hop + FFT:
            room = MAX_COLUMNS - self._filled
            count = min((len(self._rest) - FFT) // self.hop, room)
            part = self._rest[: count * self.hop + FFT]
            self._rest = self._rest[count * self.hop :]
            self._append(self._levels(part))

    def finish(self) -> Spectrogram:
        """What was heard, once the last block is in."""
        while len(self._rest):
            part, self._rest = self._rest[: self.hop + FFT], self._rest[self.hop :]
            self._append(self._levels(np.pad(part, (0, self.hop + FFT - len(part)))))
        levels = 10 * np.log10(np.maximum(self._columns[: self._filled].T, FLOOR))
        loudest = levels.max(initial=MIN_LOUDEST)
        levels = np.maximum(levels - loudest, -DYNAMIC_RANGE)
        return Spectrogram(levels, self.hop / self.sample_rate, self.sample_rate / 2)

    def _levels(self, samples: np.ndarray) -> np.ndarray:
        """(columns * hop + FFT,) -> (columns, bands): the highest energy of the frames that begin
        in a column."""
        step = min(self.hop, FFT)
        frames = np.lib.stride_tricks.sliding_window_view(samples, FFT)[:-1:step]
        energies = power_spectrum(frames * analysis_window(FFT)) @ self._triangles
        return energies.reshape(-1, self.hop // step, MEL_BINS).max(axis=1)

    def _append(self, levels: np.ndarray) -> None:
        self._columns[self._filled : self._filled + len(levels)] = levels
        self._filled += len(levels)
        if self._filled == MAX_COLUMNS:
            self._filled //= 2
            self._columns[: self._filled] = self._columns.reshape(-1, 2, MEL_BINS).max(axis=1)
            self.hop *= 2
