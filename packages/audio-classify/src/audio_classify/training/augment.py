"""What may happen to a sound on its way to the microphone, done to its log-mel spectrogram.

All functions take and give raw filterbanks (frames, bins): natural logarithms of energies, not
normalised.
"""

import math
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from torch import Generator, Tensor
from torch.nn import functional as F

from vitrail.preprocess.filterbank import HOP_SECONDS, SILENCE
from vitrail.training.recipe import Section

Share = Annotated[float, Field(ge=0, lt=1)]
NEPERS_PER_DB = math.log(10) / 10
TURNING_POINTS = 5  # of a random frequency response
FASTEST_DECAY, SLOWEST_DECAY = 0.05, 0.5  # seconds in which a room's echo falls by 60 dB


class Augment(Section):
    """Strengths; 0 leaves a change out.

    ``roll``: start the clip anywhere and append its beginning. ``tempo``, ``warp``: largest
    relative change of speed, and of all frequencies (the length of the vocal tract). ``blur``:
    largest width, in bins, over which the harmonics of the voice are smoothed away. ``gain_db``,
    ``tilt_db``: loudness, and the response of microphone and room. ``room``, ``noise``: the chances
    of an echo and of noise. ``pad``: seconds of quiet in front and behind. ``frequency_mask``,
    ``time_mask``: SpecAugment's largest widths, in bins and frames, two of each.
    """

    roll: bool = False
    tempo: Share = 0.0
    warp: Share = 0.0
    blur: NonNegativeFloat = 0.0
    gain_db: NonNegativeFloat = 0.0
    tilt_db: NonNegativeFloat = 0.0
    room: Share = 0.0
    noise: Share = 0.0
    pad: NonNegativeFloat = 0.0
    frequency_mask: NonNegativeInt = 0
    time_mask: NonNegativeInt = 0

    def __call__(self, clip: Tensor, rng: Generator) -> Tensor:
        """A changed copy; its length changes with ``tempo`` and ``pad``."""
        if self.roll:
            clip = clip.roll(_integer(len(clip), rng), 0)
        if self.tempo:
            clip = stretch(clip, math.exp(_symmetric(math.log1p(self.tempo), rng)))
        if self.warp:
            clip = warp(clip, math.exp(_symmetric(math.log1p(self.warp), rng)))
        if self.blur:
            clip = blur(clip, _uniform(0, self.blur, rng))
        if self.room > _uniform(0, 1, rng):
            clip = echo(clip, _uniform(FASTEST_DECAY, SLOWEST_DECAY, rng), _uniform(0.05, 0.4, rng))
        clip = clip + NEPERS_PER_DB * (
            _symmetric(self.gain_db, rng) + response(clip.shape[1], self.tilt_db, rng)
        )
        if self.pad:
            clip = pad(clip, *(_uniform(0, self.pad, rng) for _ in range(2)))
        if self.noise > _uniform(0, 1, rng):
            clip = add_noise(clip, rng)
        clip = clip.clamp(min=SILENCE)
        return mask(clip, self.frequency_mask, self.time_mask, rng)


def stretch(clip: Tensor, speed: float) -> Tensor:
    """The clip played ``speed`` times as fast at the same pitch."""
    length = max(1, round(len(clip) / speed))
    return F.interpolate(clip.T[None], length, mode="linear")[0].T


def warp(clip: Tensor, factor: float) -> Tensor:
    """All frequencies multiplied by ``factor``, the bins being equally spaced in mel up to 8
    kHz."""
    bins = clip.shape[1]
    top = math.log1p(8000 / 700)
    hertz = torch.expm1(torch.arange(bins) * (top / bins)) / factor
    source = (hertz.log1p() * (bins / top)).clamp(0, bins - 1)
    low = source.floor().long().clamp(max=bins - 2)
    return torch.lerp(clip[:, low], clip[:, low + 1], source - low)


def blur(clip: Tensor, width: float) -> Tensor:
    """Energies averaged over neighbouring bins with a Gaussian of the standard deviation
    ``width``."""
    if width < 0.3:
        return clip
    reach = math.ceil(2 * width)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / width) ** 2)
    padded = F.pad(clip[:, None], (reach, reach), mode="replicate")
    return F.conv1d(padded, (kernel / kernel.sum()).view(1, 1, -1))[:, 0]


def echo(clip: Tensor, decay: float, share: float) -> Tensor:
    """Adds to each frame the energy of earlier ones: ``share`` of them, falling by 60 dB in
    ``decay`` seconds."""
    length = min(len(clip), max(2, round(decay / HOP_SECONDS)))
    tail = share * torch.exp(-6 * math.log(10) * HOP_SECONDS / decay * torch.arange(length))
    tail[0] = 1.0
    energy = F.pad(clip.exp().T[:, None], (length - 1, 0))
    return F.conv1d(energy, tail.flip(0).view(1, 1, -1))[:, 0].T.log()


def response(bins: int, strength: float, rng: Generator) -> Tensor:
    """A smooth random frequency response (bins,) in dB of the standard deviation ``strength``."""
    points = strength * torch.randn(1, 1, TURNING_POINTS, generator=rng)
    return F.interpolate(points, bins, mode="linear", align_corners=True)[0, 0]


def pad(clip: Tensor, before: float, after: float) -> Tensor:
    """Quiet of the clip's own background in front and behind, in seconds."""
    quiet = clip.quantile(0.05, dim=0)
    lengths = [round(seconds / HOP_SECONDS) for seconds in (before, after)]
    return torch.cat([quiet.expand(lengths[0], -1), clip, quiet.expand(lengths[1], -1)])


def add_noise(clip: Tensor, rng: Generator) -> Tensor:
    """Stationary noise of a random colour, 0 to 40 dB below the clip's loudest frames."""
    loudest = clip.logsumexp(1).max() - math.log(clip.shape[1])
    level = loudest - NEPERS_PER_DB * _uniform(0, 40, rng)
    colour = NEPERS_PER_DB * response(clip.shape[1], 6.0, rng)
    ripple = 0.7 * torch.randn(
        clip.shape, generator=rng
    )  # about that of a band's energy from frame to frame
    return torch.logaddexp(clip, level + colour + ripple)


def mask(clip: Tensor, frequencies: int, frames: int, rng: Generator) -> Tensor:
    """Two bands and two moments set to the clip's mean."""
    clip, mean = clip.clone(), clip.mean()
    for _ in range(2):
        for axis, widest in ((1, frequencies), (0, min(frames, len(clip) // 4))):
            width = _integer(widest + 1, rng)
            start = _integer(clip.shape[axis] - width + 1, rng)
            clip.narrow(axis, start, width).fill_(mean)
    return clip


def _uniform(low: float, high: float, rng: Generator) -> float:
    return low + (high - low) * torch.rand((), generator=rng).item()


def _symmetric(reach: float, rng: Generator) -> float:
    return _uniform(-reach, reach, rng)


def _integer(below: int, rng: Generator) -> int:
    return int(torch.randint(below, (), generator=rng))
