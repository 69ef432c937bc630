"""From a waveform to what a network takes, and all that must travel with its weights for that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from vitrail.errors import InputError
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

    def raw(self, waveform: Tensor) -> Tensor:
        """(..., samples) in -1..1 -> log energies (..., frames, 128) of the waveform without its
        mean."""
        spectrogram = filterbank(waveform - waveform.mean(-1, keepdim=True), self.sample_rate)
        return self.silence_high(spectrogram)

    def silence_high(self, spectrogram: Tensor) -> Tensor:
        """The bins from ``kept_bins`` on set to the energy of silence."""
        if self.kept_bins is None:
            return spectrogram
        rest = spectrogram.shape[-1] - self.kept_bins
        return F.pad(spectrogram[..., : self.kept_bins], (0, rest), value=SILENCE)

    def normalise(self, spectrogram: Tensor) -> Tensor:
        """(..., frames, 128) in the official scale: divided by twice the standard deviation."""
        if self.centred:
            spectrogram = self._centre(spectrogram)
        return self._scale(spectrogram)

    def network_input(self, waveform: Tensor, *, exact: bool, shortest: int = 1) -> Tensor:
        """(..., samples) -> (..., frames, 128), cut to ``num_frames``.

        ``exact`` pads to ``num_frames`` at the end as the release does: with log energies of 0,
        louder than silence. Otherwise nothing is padded but what is missing to ``shortest`` frames,
        with silence.
        """
        spectrogram = self.raw(waveform)[..., : self.num_frames, :]
        missing = (self.num_frames if exact else shortest) - spectrogram.shape[-2]
        zeros = exact and self.pad_after_norm
        value = 0.0 if zeros else self._scale(0.0 if exact else SILENCE)
        return F.pad(self.normalise(spectrogram), (0, 0, 0, max(0, missing)), value=value)

    def _centre(self, spectrogram: Tensor) -> Tensor:
        """Each band's mean over the frames that are not digital silence moved to ``mean``."""
        sounding = (spectrogram > SILENCE + 1e-3).any(-1, keepdim=True)
        count = sounding.sum(-2, keepdim=True).clamp(min=1)
        means = (spectrogram * sounding).sum(-2, keepdim=True) / count
        return self.silence_high(spectrogram - (means - self.mean) * sounding)

    def _scale(self, energy: Any) -> Any:
        """A number or a tensor of them."""
        return (energy - self.mean) / (2 * self.std)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], subject: object) -> "Features":
        """Raises InputError where ``values`` are not those of ``to_dict``."""
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(
                subject, f"does not describe its features ({error})", "train it again"
            ) from error
