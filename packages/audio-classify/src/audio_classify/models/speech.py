"""A stem that hears speech: the convolutions of Google's speech embedding (Lin et al., "Training
keyword spotters with limited and synthesized speech data", ICASSP 2020, arXiv 2002.01322).

Each output looks at 76 frames of 32 mel bands below 3.8 kHz, one in eight frames. Here they are
tokens of the frame model: one row, all frequencies in each.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BANDS, EMBEDDING = 32, 96
SEEN_FRAMES, STEP_FRAMES = 76, 8
WIDTHS = (24, 48, 72, 96, 96)  # of the groups, each of which ends by halving the bands
TIME_STEPS = (2, 1, 2, 1, 2)  # by which each of them shortens time
PAIRS = (1, 2, 2, 2, 2)  # of a convolution over bands and one over time, in each group
SLOPE, FLOOR = 0.2, -0.4
SAMPLE_SCALE = 2 * math.log10(32767)  # the embedding learned from 16-bit integers
OFFSET = 2.0
RANGE = 8.0  # in powers of ten; what lies further below the loudest band of a clip is lifted


def bounded(x: Tensor) -> Tensor:
    """The embedding's activation."""
    return F.leaky_relu(x, SLOPE).clamp(min=FLOOR)


class First(nn.Module):
    """The first convolution, whose batch norm follows a ReLU and is kept as a scale and a shift."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=(0, 1), bias=False)
        self.scale = nn.Parameter(torch.ones(width, 1, 1))
        self.shift = nn.Parameter(torch.zeros(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return bounded(self.conv(x).relu() * self.scale + self.shift)


class Pair(nn.Module):
    """A convolution over three bands, and one over three moments, of which two are lost."""

    def __init__(self, in_chans: int, width: int):
        super().__init__()
        self.bands = nn.Conv2d(in_chans, width, (1, 3), padding=(0, 1))
        self.moments = nn.Conv2d(width, width, (3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return bounded(self.moments(bounded(self.bands(x))))


class SpeechStem(nn.Module):
    """Log energies as they are (mean 0, deviation 0.5 in ``Features``) to tokens each 8 frames.

    ``fold`` (bands, bins) makes the embedding's bands of ours, from energies.
    """

    fold: Tensor

    def __init__(self, embed_dim: int, num_bins: int):
        super().__init__()
        self.register_buffer("fold", torch.zeros(BANDS, num_bins))
        groups: list[nn.Module] = []
        before: Sequence[nn.Module] = [First(WIDTHS[0])]
        chans = WIDTHS[0]
        for width, step, count in zip(WIDTHS, TIME_STEPS, PAIRS, strict=True):
            pairs = [Pair(chans if number == 0 else width, width) for number in range(count)]
            groups += [*before, *pairs, nn.MaxPool2d((step, 2))]
            before, chans = (), width
        self.features = nn.Sequential(*groups, nn.Conv2d(WIDTHS[-1], EMBEDDING, (3, 1), bias=False))
        self.proj = nn.Conv2d(EMBEDDING, embed_dim, 1)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, bins, frames) -> (B, dim, 1, frames // 8)."""
        return self.proj(self.hear(image))

    def hear(self, image: Tensor) -> Tensor:
        """(B, 1, bins, frames) -> (B, 96, 1, frames // 8); beside the clip there is silence."""
        bands = (self.fold @ image[:, 0].exp()).clamp(min=1e-20).log10()
        loudest = bands.amax((1, 2), keepdim=True)
        missing = SEEN_FRAMES - STEP_FRAMES
        sides = missing // 2, missing - missing // 2
        padded = F.pad((bands - loudest).clamp(min=-RANGE), sides, value=-RANGE)
        padded = padded + loudest + (SAMPLE_SCALE + OFFSET)
        return self.features(padded.transpose(1, 2).unsqueeze(1)).transpose(2, 3)
