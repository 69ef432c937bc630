"""The signal chain as one object: a recording in, windows of a normalised pulse wave with their
quality out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from ppg_auth.signal.beats import SHAPE_POINTS, Judgement, beat_shape, judge
from ppg_auth.signal.channels import MIXTURE
from ppg_auth.signal.conditioning import (
    band_pass,
    choose_channel,
    clip_outliers,
    detrend,
    pulse_subspace,
    resample,
    upright_sign,
)
from ppg_auth.signal.recording import Recording
from ppg_auth.signal.timeline import Stretch, regularise
from vitrail.errors import InputError

# Seconds by which the last window may begin early: captures are a few samples shorter than was
# asked for
SLACK = 0.1
MIN_STUCK = 3  # equal extreme samples in a row; a single one is just the highest


@dataclass(frozen=True)
class SignalConfig:
    """How a pulse wave is made; all of it is kept in the weights file.

    ``grid``: Hz of the even samples that the stamps are turned into; ``drift``: Hz below which is
    no pulse; ``band``: Hz; ``rate``: Hz of the windows; ``window`` and ``hop``: seconds;
    ``context``: seconds around a window's middle from which its mean beat is taken; ``tail`` pads
    the last window with zeros, as the paper does. The defaults suit contact sensors; ``PAPER``
    holds the paper's values.
    """

    grid: float = 50.0
    drift: float = 0.1
    motion: Literal["none", "ssa"] = "none"
    band: tuple[float, float] = (0.4, 15.0)
    rate: float = 50.0
    window: float = 5.0
    hop: float = 2.5
    context: float = 10.0
    normalise: Literal["minmax", "zscore"] = "zscore"
    tail: bool = False

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.window * self.rate)


PAPER = SignalConfig(
    grid=14.0, drift=0.7, motion="ssa", band=(0.7, 4.0), rate=70.0, normalise="minmax", tail=True
)


@dataclass(frozen=True)
class Windows:
    """``waves`` (n, samples) float32 normalised, and ``beats`` (n, 120) float32, the mean beats
    around them.

    ``starts`` (n,) s; ``quality`` (n,) in 0..1; ``reasons`` are codes for each window, none where
    it is good.

    ``raw`` and ``pulse`` (samples,) at ``rate`` Hz are the longest stretch before and after
    cleaning. ``heart_rate`` in beats per minute is None where no window had one; ``removed`` is the
    share of energy that motion suppression took. ``channels`` names those taken, a stretch after a
    gap may have another.
    """

    waves: NDArray[np.float32]
    beats: NDArray[np.float32]
    starts: NDArray[np.float64]
    quality: NDArray[np.float64]
    reasons: tuple[tuple[str, ...], ...]
    raw: NDArray[np.float64]
    pulse: NDArray[np.float64]
    rate: float
    heart_rate: float | None
    removed: float
    channels: tuple[str, ...]

    @property
    def items(self) -> NDArray[np.float32]:
        """What the network takes: waves and beats side by side (n, samples + 120)."""
        return np.concatenate([self.waves, self.beats], axis=1)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which windows passed the quality gate."""
        return np.array([not reasons for reasons in self.reasons], bool)


@dataclass(frozen=True)
class _Clean:
    """One stretch after cleaning, at the windows' rate; ``clipped`` marks the samples out of
    range."""

    start: float
    raw: NDArray
    pulse: NDArray
    clipped: NDArray
    removed: float
    channel: int | None


@dataclass(frozen=True)
class Preprocess:
    """``Preprocess(config)(recording)`` gives its windows; InputError where the recording has too
    little for one."""

    config: SignalConfig = field(default_factory=SignalConfig)

    def __call__(self, recording: Recording) -> Windows:
        windows = self.cut(recording)
        if not len(windows.waves):
            problem = f"holds {len(windows.pulse) / windows.rate:.1f} s without a gap"
            raise InputError("recording", problem, f"{self.config.window:g} s are needed")
        return windows

    def cut(self, recording: Recording) -> Windows:
        """The windows, none where no stretch is as long as one; InputError where nothing can be
        read."""
        stretches = [self._clean(stretch) for stretch in regularise(recording, self.config.grid)]
        sign = upright_sign(np.concatenate([clean.pulse for clean in stretches]))
        cut = [window for clean in stretches for window in self._cut(clean, sign)]
        longest = max(stretches, key=lambda clean: len(clean.pulse))
        starts, waves, beats, judgements = zip(*cut, strict=True) if cut else ((),) * 4
        rates = [
            judgement.heart_rate for judgement in judgements if judgement.heart_rate is not None
        ]
        return Windows(
            waves=np.array(waves, np.float32).reshape(-1, self.config.samples),
            beats=np.array(beats, np.float32).reshape(-1, SHAPE_POINTS),
            starts=np.array(starts),
            quality=np.array([judgement.score for judgement in judgements]),
            reasons=tuple(judgement.reasons for judgement in judgements),
            raw=longest.raw,
            pulse=sign * longest.pulse,
            rate=self.config.rate,
            heart_rate=float(np.median(rates)) if rates else None,
            removed=float(np.mean([clean.removed for clean in stretches])),
            channels=_called({clean.channel for clean in stretches}, recording.names),
        )

    def _clean(self, stretch: Stretch) -> _Clean:
        config, rate = self.config, stretch.rate
        raw, removed, channel = choose_channel(stretch.values, rate)
        level, spikes = clip_outliers(detrend(raw, rate, config.drift), rate)
        if config.motion == "ssa":
            level, removed = pulse_subspace(level, rate)
        if not np.ptp(
            raw
        ):  # what filters make of a constant is rounding errors, which would be taken for a signal
            level = np.zeros_like(raw)
        pulse = resample(band_pass(level, rate, config.band), rate, config.rate)
        marks = np.interp(
            np.arange(len(pulse)) / config.rate, np.arange(len(raw)) / rate, spikes | stuck(raw)
        )
        level = resample(raw, rate, config.rate)
        return _Clean(stretch.start, level, pulse, marks > 0.5, removed, channel)

    def _cut(self, clean: _Clean, sign: int) -> Iterator[tuple[float, NDArray, NDArray, Judgement]]:
        config = self.config
        size, hop = config.samples, round(config.hop * config.rate)
        margin = max(0, round((config.context - config.window) / 2 * config.rate))
        pulse, clipped = sign * clean.pulse, clean.clipped
        if config.tail:
            pulse, clipped = (
                np.pad(part, (0, -(len(part) - size) % hop)) for part in (pulse, clipped)
            )
        last = len(pulse) - size
        slack = min(round(SLACK * config.rate), hop - 1)
        for turn in range(0, last + 1 + slack if last >= 0 else 0, hop):
            first = min(turn, last)
            window = slice(first, first + size)
            judgement = judge(pulse[window], float(clipped[window].mean()), config.rate)
            beat = beat_shape(pulse[max(0, first - margin) : first + size + margin], config.rate)
            yield (
                clean.start + first / config.rate,
                normalise(pulse[window], config.normalise),
                beat,
                judgement,
            )


def _called(channels: set[int | None], names: tuple[str, ...]) -> tuple[str, ...]:
    found = sorted(index for index in channels if index is not None)
    called = [names[index] if names else str(index + 1) for index in found]
    return (*called, *([MIXTURE] if None in channels else []))


def normalise(wave: NDArray, how: str) -> NDArray:
    """``wave`` (n,) in 0..1 ("minmax") or of mean 0 and deviation 1 ("zscore"); a constant one
    becomes zeros."""
    spread = np.ptp(wave) if how == "minmax" else wave.std()
    if not spread > 0:
        return np.zeros_like(wave)
    return (wave - (wave.min() if how == "minmax" else wave.mean())) / spread


def stuck(x: NDArray) -> NDArray[np.bool_]:
    """Which samples lie at the end of the range, at least three in a row: there the sensor could
    not follow."""
    extreme = (x == x.max()) | (x == x.min())
    return np.asarray(binary_opening(extreme, np.ones(MIN_STUCK, bool)), bool)
