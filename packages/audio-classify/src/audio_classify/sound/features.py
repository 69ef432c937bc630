"""From a waveform to what a network takes, and all that must travel with its weights for that."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vitrail.preprocess.filterbank import SILENCE, filterbank, frame_length, hop_length


@dataclass(frozen=True)
class Features:
    """``mean`` and ``std`` of log energies in the training data; ``num_frames`` of 10 ms is the
    longest input.

    ``kept_bins`` silences the frequencies above: for networks that only know telephone speech.
    ``centred`` takes from each band its mean over the clip, and with it what a microphone, a room
    and a voice have of their own (cepstral mean normalisation). ``pad_after_norm`` puts zeros
    behind the normalised spectrogram, as SUPERB's code does, in place of zeros before it.
    """

    sample_rate: int
    mean: float
    std: float
    num_frames: int
    kept_bins: int | None = None
    centred: bool = False
    pad_after_norm: bool = False

    @property
    def window_samples(self) -> int:
        """The samples behind ``num_frames``."""
        return frame_length(self.sample_rate) + (self.num_frames - 1) * hop_length(self.sample_rate)

    def raw(self, waveform: np.ndarray) -> np.ndarray:
        """(..., samples) in -1..1 -> log energies (..., frames, 128), float32, of the waveform
        without its mean."""
        spectrogram = filterbank(waveform - waveform.mean(-1, keepdims=True), self.sample_rate)
        return self.silence_high(spectrogram)

    def silence_high(self, spectrogram: np.ndarray) -> np.ndarray:
        """The bins from ``kept_bins`` on set to the energy of silence."""
        if self.kept_bins is None:
            return spectrogram
        spectrogram = spectrogram.copy()
        spectrogram[..., self.kept_bins :] = SILENCE
        return spectrogram

    def normalise(self, spectrogram: np.ndarray) -> np.ndarray:
        """(..., frames, 128) in the official scale: divided by twice the standard deviation."""
        if self.centred:
            spectrogram = self._centre(spectrogram)
        return self._scale(spectrogram)

    def network_input(
        self, waveform: np.ndarray, *, exact: bool, min_frames: int = 1
    ) -> np.ndarray:
        """(..., samples) -> (..., frames, 128), float32, cut to ``num_frames``.

        ``exact`` pads to ``num_frames`` at the end as the release does: with log energies of 0,
        louder than silence. Otherwise nothing is padded but what is missing to ``min_frames``
        frames, with silence.
        """
        spectrogram = self.raw(waveform)[..., : self.num_frames, :]
        missing = max(0, (self.num_frames if exact else min_frames) - spectrogram.shape[-2])
        zeros = exact and self.pad_after_norm
        value = 0.0 if zeros else self._scale(0.0 if exact else SILENCE)
        sides = [(0, 0)] * (spectrogram.ndim - 2) + [(0, missing), (0, 0)]
        return np.pad(self.normalise(spectrogram), sides, constant_values=value)

    def _centre(self, spectrogram: np.ndarray) -> np.ndarray:
        """Each band's mean over the frames that are not digital silence moved to ``mean``."""
        sounding = (spectrogram > SILENCE + 1e-3).any(-1, keepdims=True)
        count = np.maximum(sounding.sum(-2, keepdims=True, dtype=np.float32), 1)
        means = (spectrogram * sounding).sum(-2, keepdims=True) / count
        return self.silence_high(spectrogram - (means - self.mean) * sounding)

    def _scale(self, energy: Any) -> Any:
        """A number or an array of them."""
        return (energy - self.mean) / (2 * self.std)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
