"""The network: pulse waves in, identity embeddings out (Rahman and Banavar, 2025; layer sizes are
ours).

Three branches look at one window: a CvT and a ConvMixer at its scalogram, a bidirectional LSTM at
the wave itself. A beat expert, which the paper has not, may have a part of the embedding. Pure:
tensors in, tensors out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.backbones import create_backbone
from vitrail.errors import UsageError
from vitrail.preprocess.cwt import apply_bank, filter_bank
from vitrail.preprocess.wavelets import Wavelet, geometric_bands

EMBED_DIM = 128
EXPERT_DIM = 64  # of the embedding, where a beat expert stands beside the branches
WAVELET = "cmor1.5-1.0"
STEP = 10  # samples of the wave that the LSTM takes at once

Branch = Literal["cvt", "convmixer", "lstm"]


@dataclass(frozen=True)
class ModelConfig:
    """``samples`` of the wave at ``rate`` Hz, then ``beat_points`` of its mean beat, are one
    window.

    ``branches`` are some of the three, or none where ``beats`` asks for the beat expert.
    ``frequencies`` bands between ``low`` and ``high`` Hz and ``columns`` of time make the
    scalogram; ``cvt`` and ``convmixer`` hold options of these backbones, ``hidden`` is the width of
    the LSTM.
    """

    branches: tuple[Branch, ...] = ("cvt", "convmixer", "lstm")
    beats: bool = False
    samples: int = 350
    rate: float = 70.0
    beat_points: int = 120
    frequencies: int = 64
    low: float = 0.5
    high: float = 8.0
    columns: int = 128
    cvt: Mapping[str, Any] = field(
        default_factory=lambda: {
            "dims": (64, 128, 192),
            "num_heads": (1, 2, 3),
            "depths": (1, 2, 2),
        }
    )
    convmixer: Mapping[str, Any] = field(
        default_factory=lambda: {"dim": 128, "depth": 6, "kernel_size": 7, "patch_size": 4}
    )
    hidden: int = 128
    dropout: float = 0.3


class Scalogram(nn.Module):
    """Waves (B, samples) to log magnitudes of their wavelet transform (B, 1, frequencies, columns).

    Frequencies are spaced geometrically up to ``high`` or 0.45 of the rate; magnitudes are taken
    relative to each window's median, so that amplitude plays no part.
    """

    bank: Tensor
    columns: Tensor

    def __init__(self, config: ModelConfig):
        super().__init__()
        high = min(config.high, 0.45 * config.rate)
        frequencies = geometric_bands(config.low, high, config.frequencies)
        scales = Wavelet.of(WAVELET).scales(frequencies, config.rate).tolist()
        bank = filter_bank(WAVELET, tuple(scales), config.samples, torch.float32)
        self.register_buffer("bank", bank, persistent=False)
        # By a matrix and by sorting, since the exporters know neither adaptive pooling of odd sizes
        # nor medians.
        self.register_buffer("columns", _pooling(config.samples, config.columns), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        real, imaginary = apply_bank(wave, self.bank).chunk(2, dim=-2)
        magnitude = (
            real.square() + imaginary.square() + 1e-12
        ).sqrt() @ self.columns  # (B, frequencies, columns)
        ranked = magnitude.flatten(1).sort(dim=1).values
        middle = ranked[:, (ranked.shape[1] - 1) // 2, None, None]
        return torch.log1p(magnitude / middle)[:, None]


def _pooling(samples: int, columns: int) -> Tensor:
    """The matrix (samples, columns) that averages neighbouring samples, as
    ``F.adaptive_avg_pool1d`` does."""
    return F.adaptive_avg_pool1d(torch.eye(samples)[:, None], columns)[:, 0]


class LstmBranch(nn.Module):
    """Waves (B, samples) to the mean state (B, 2 hidden) of a bidirectional LSTM over steps of ten
    samples."""

    def __init__(self, hidden: int):
        super().__init__()
        self.lstm = nn.LSTM(STEP, hidden, num_layers=2, batch_first=True, bidirectional=True)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                nn.init.ones_(
                    parameter.data[hidden : 2 * hidden]
                )  # the forget gate remembers at first

    def forward(self, wave: Tensor) -> Tensor:
        steps = wave[:, : wave.shape[1] // STEP * STEP].unflatten(1, (-1, STEP))  # (B, steps, 10)
        return self.lstm(steps)[0].mean(dim=1)


class BeatExpert(nn.Module):
    """Mean beats (B, points) to unit vectors (B, dim) in the directions that tell people apart.

    A linear discriminant analysis, so nothing here is trained by gradients: ``fit`` computes it
    from people's beats.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, points: int, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(points))
        self.register_buffer("projection", torch.zeros(points, dim))

    def forward(self, beat: Tensor) -> Tensor:
        return F.normalize((beat - self.mean) @ self.projection, dim=1)

    def fit(self, beats: Tensor, people: Tensor, ridge: float = 0.3) -> None:
        """Sets the projection from beats (n, points) of ``people`` (n,), each person counting the
        same.

        ``ridge`` times the mean variance within people is added to all variances within, which few
        people estimate poorly. Source: Friedman, "Regularized Discriminant Analysis", 1989.
        """
        beats = beats.double()
        groups = [beats[people == person] for person in people.unique()]
        means = torch.stack([group.mean(dim=0) for group in groups])
        within = torch.stack([torch.cov(group.T) for group in groups if len(group) > 1]).mean(dim=0)
        within += ridge * within.diagonal().mean() * torch.eye(len(within), dtype=torch.float64)
        whiten = torch.linalg.inv(torch.linalg.cholesky(within))
        values, vectors = torch.linalg.eigh(whiten @ torch.cov(means.T, correction=0) @ whiten.T)
        count = min(self.projection.shape[1], len(groups) - 1)
        values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
        self.mean.copy_(means.mean(dim=0))
        self.projection.zero_()
        # A direction counts by the share of its variance that is between people.
        self.projection[:, :count] = (
            whiten.T @ vectors * (values / (1 + values)).clamp(min=0).sqrt()
        ).float()


class PulseNet(nn.Module):
    """Windows (B, samples + beat_points) to unit embeddings (B, 128).

    With a beat expert, the cosine of two embeddings is the mean of the branches' and the expert's
    cosines, the expert counting ``share``.
    """

    share: Tensor

    def __init__(self, config: ModelConfig = ModelConfig()):
        super().__init__()
        self.config = config
        self.scalogram = Scalogram(config)
        self.branches, widths = nn.ModuleDict(), []
        if "cvt" in config.branches:
            stages = {"class_token": (False,) * 3, "activation": "gelu"}
            cvt = create_backbone("cvt", in_chans=1, **stages, **_sizes(config.cvt))
            self.branches["cvt"] = cvt
            widths.append(cvt.num_features)
        if "convmixer" in config.branches:
            mixer = create_backbone("convmixer", in_chans=1, **_sizes(config.convmixer))
            self.branches["convmixer"] = mixer
            widths.append(mixer.num_features)
        if "lstm" in config.branches:
            self.branches["lstm"] = LstmBranch(config.hidden)
            widths.append(2 * config.hidden)
        expert_dim = 0 if not config.beats else EXPERT_DIM if widths else EMBED_DIM
        self.expert = BeatExpert(config.beat_points, expert_dim) if config.beats else None
        self.register_buffer("share", torch.tensor(expert_dim / EMBED_DIM))
        self.fusion = (
            _fusion(sum(widths), EMBED_DIM - expert_dim, config.dropout) if widths else None
        )

    def forward(self, window: Tensor) -> Tensor:
        wave, beat = window.split([self.config.samples, self.config.beat_points], dim=1)
        parts = []
        if self.fusion is not None:
            scalogram = (
                self.scalogram(wave) if len(self.branches) > ("lstm" in self.branches) else wave
            )
            parts.append((1 - self.share).sqrt() * self.look(wave, scalogram))
        if self.expert is not None:
            parts.append(self.share.sqrt() * self.expert(beat))
        return torch.cat(parts, dim=1)

    def look(self, wave: Tensor, scalogram: Tensor) -> Tensor:
        """The branches' part alone, of norm 1; training masks parts of the scalogram."""
        seen = {"cvt": scalogram, "convmixer": scalogram, "lstm": wave}
        features = [branch(seen[name]) for name, branch in self.branches.items()]
        assert self.fusion is not None  # as there are branches
        return F.normalize(self.fusion(torch.cat(features, dim=1)), dim=1)


def _fusion(width: int, dim: int, dropout: float) -> nn.Sequential:
    hidden = 2 * EMBED_DIM
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, dim),
    )


def build_model(config: Mapping[str, Any]) -> PulseNet:
    """The network of a recipe's or a weights file's ``config``; UsageError for an option or a value
    that is none."""
    known = {item.name for item in fields(ModelConfig)}
    for option in config.keys() - known:
        raise UsageError(f"config.{option}", "unknown option", f"valid: {', '.join(sorted(known))}")
    branches = tuple(config.get("branches", ModelConfig.branches))
    if len(set(branches)) < len(branches) or set(branches) - set(get_args(Branch)):
        raise UsageError(
            "config.branches", f"must be some of {', '.join(get_args(Branch))}", f"not {branches}"
        )
    if not branches and not config.get("beats"):
        raise UsageError("config.branches", "are none, and beats is off", "give one or the other")
    return PulseNet(ModelConfig(**{**config, "branches": branches}))


def _sizes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them, with tuples for lists."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
