"""From a waveform to what a network takes, and all that must travel with its weights for that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from vitrine.errors import InputError
from vitrine.preprocess.filterbank import SILENCE, filterbank, frame_length, hop_length


@dataclass(frozen=True)
class Features:
    """``mean`` and ``std`` of log energies in the training data; ``num_frames`` of 10 ms is the longest input.

    ``kept_bins`` silences the frequencies above: for networks that only know telephone speech. ``pad_after_norm`` puts
    zeros behind the normalised spectrogram, as SUPERB's code does, in place of zeros before it.
    """

    sample_rate: int
    mean: float
    std: float
    num_frames: int
    kept_bins: int | None = None
    pad_after_norm: bool = False

    @property
    def window_samples(self) -> int:
        """The samples behind ``num_frames``."""
        return frame_length(self.sample_rate) + (self.num_frames - 1) * hop_length(self.sample_rate)

    def raw(self, waveform: Tensor) -> Tensor:
        """(..., samples) in -1..1 -> log energies (..., frames, 128) of the waveform without its mean."""
        spectrogram = filterbank(waveform - waveform.mean(-1, keepdim=True), self.sample_rate)
        return self.silence_high(spectrogram)

    def silence_high(self, spectrogram: Tensor) -> Tensor:
        """The bins from ``kept_bins`` on set to the energy of silence."""
        if self.kept_bins is None:
            return spectrogram
        rest = spectrogram.shape[-1] - self.kept_bins
        return F.pad(spectrogram[..., : self.kept_bins], (0, rest), value=SILENCE)

    def normalise(self, spectrogram: Tensor) -> Tensor:
        """The official scale: divided by twice the standard deviation."""
        return (spectrogram - self.mean) / (2 * self.std)

    def network_input(self, waveform: Tensor, *, exact: bool, shortest: int = 1) -> Tensor:
        """(..., samples) -> (..., frames, 128), cut to ``num_frames``.

        ``exact`` pads to ``num_frames`` at the end as the release does: with log energies of 0, louder than silence.
        Otherwise nothing is padded but what is missing to ``shortest`` frames, with silence.
        """
        spectrogram = self.raw(waveform)[..., : self.num_frames, :]
        missing = (self.num_frames if exact else shortest) - spectrogram.shape[-2]
        if missing <= 0:
            return self.normalise(spectrogram)
        if exact and self.pad_after_norm:
            return F.pad(self.normalise(spectrogram), (0, 0, 0, missing))
        return self.normalise(F.pad(spectrogram, (0, 0, 0, missing), value=0.0 if exact else SILENCE))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], subject: object) -> "Features":
        """Raises InputError where ``values`` are not those of ``to_dict``."""
        try:
            return cls(**values)
        except TypeError as error:
            raise InputError(subject, f"does not describe its features ({error})", "train it again") from error
