"""Training windows drawn anew each time, and changed as the same person's pulse could have looked
else."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor
from torch.utils.data import Dataset

from ppg_auth.data import Take
from ppg_auth.signal.beats import beat_shape
from ppg_auth.signal.windows import SignalConfig, Windows, normalise
from vitrail.errors import UsageError

TAKES_PER_PERSON = 4  # windows of each in a batch, from different recordings where there are any
TRIES = 10

WARP = 0.15  # the heart's rate is not the person's identity
WANDER, WANDER_BAND = 0.3, (0.05, 0.4)  # amplitude relative to the pulse's deviation, Hz
NOISE = (20.0, 35.0)  # dB below the pulse
DROPS, MAX_DROP = 3, 3
CAMERA_RATE = 14
LOW_RATE = 0.2  # how often a window is rendered as that camera would


class TrainingWindows(Dataset):
    """Windows drawn anew each time; sample ``number`` follows from the seed and that number alone.

    A sample is (item (samples + 120,), person's number). Four in a row are of one person, and
    people take turns.
    """

    def __init__(self, takes: dict[Take, Windows], signal: SignalConfig, seed: int):
        self.signal, self.seed = signal, seed
        self.stretches: dict[str, list[NDArray]] = defaultdict(list)
        needed = round(max(signal.window, signal.context) * signal.rate)
        for take, windows in takes.items():
            if windows.good.any() and len(windows.pulse) >= needed:
                self.stretches[take.person].append(windows.pulse)
        self.people = sorted(self.stretches)
        if len(self.people) < 2:
            raise UsageError(
                "data.train", "has fewer than two people with good recordings", "give more"
            )

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        turn, take = divmod(number, TAKES_PER_PERSON)
        order = np.random.default_rng((self.seed, turn // len(self.people))).permutation(
            len(self.people)
        )
        person = int(order[turn % len(self.people)])
        stretches = self.stretches[self.people[person]]
        rng = np.random.default_rng((self.seed, 1, number))
        pulse = stretches[(take + int(rng.integers(len(stretches)))) % len(stretches)]
        for _ in range(TRIES):
            item = self._draw(pulse, rng)
            if item[-1]:  # with a mean beat
                break
        return torch.from_numpy(item), person

    def _draw(self, pulse: NDArray, rng: np.random.Generator) -> NDArray[np.float32]:
        signal = self.signal
        context = disturb(
            warp(pulse, round(max(signal.window, signal.context) * signal.rate), rng),
            signal.rate,
            rng,
        )
        first = rng.integers(0, len(context) - signal.samples + 1)
        wave = normalise(context[first : first + signal.samples], signal.normalise)
        return np.concatenate([wave, beat_shape(context, signal.rate)]).astype(np.float32)


def good_items(takes: Iterable[Windows]) -> Tensor:
    """The good windows (n, samples + 120) of several recordings."""
    return torch.from_numpy(np.concatenate([windows.items[windows.good] for windows in takes]))


def warp(pulse: NDArray, samples: int, rng: np.random.Generator) -> NDArray:
    """A stretch of ``samples`` from anywhere in ``pulse``, played up to 15 % faster or slower."""
    speed = 1 + rng.uniform(-WARP, WARP)
    needed = int(np.ceil(samples * speed)) + 1
    if needed > len(pulse):
        speed, needed = 1.0, samples
    first = rng.integers(0, len(pulse) - needed + 1)
    return np.interp(np.arange(samples) * speed, np.arange(needed), pulse[first : first + needed])


def disturb(pulse: NDArray, rate: float, rng: np.random.Generator) -> NDArray:
    """``pulse`` (n,) with wander, noise, lost samples and a camera's low rate, each some of the
    time."""
    spread = pulse.std()
    if rng.random() < LOW_RATE:
        low = resample_poly(pulse, CAMERA_RATE, round(rate), padtype="line")
        pulse = resample_poly(low, round(rate), CAMERA_RATE, padtype="line")[: len(pulse)]
    if rng.random() < 0.5:
        phase = (
            2 * np.pi * (rng.uniform(*WANDER_BAND) * np.arange(len(pulse)) / rate + rng.random())
        )
        pulse = pulse + rng.uniform(0, WANDER) * spread * np.sin(phase)
    if rng.random() < 0.5:
        pulse = pulse + rng.normal(size=len(pulse)) * spread * 10 ** (-rng.uniform(*NOISE) / 20)
    if rng.random() < 0.2:
        pulse = _without_samples(pulse, rng)
    return pulse


def mask_scalogram(scalogram: Tensor, rng: np.random.Generator) -> Tensor:
    """Scalograms (B, 1, F, T) with a band of up to an eighth of frequencies and of times set to
    their mean, in place.

    Source: Park et al., "SpecAugment", 2019.
    """
    height, width = scalogram.shape[-2:]
    for image in scalogram:
        fill = float(image.mean())
        band, span = rng.integers(0, height // 8 + 1), rng.integers(0, width // 8 + 1)
        top, left = rng.integers(0, height - band + 1), rng.integers(0, width - span + 1)
        image[:, top : top + band] = fill
        image[:, :, left : left + span] = fill
    return scalogram


def _without_samples(pulse: NDArray, rng: np.random.Generator) -> NDArray:
    """Short runs replaced by straight lines, as where frames were lost."""
    kept = np.ones(len(pulse), bool)
    for first in rng.integers(1, len(pulse) - MAX_DROP - 1, size=DROPS):
        kept[first : first + rng.integers(1, MAX_DROP + 1)] = False
    times = np.arange(len(pulse))
    return np.interp(times, times[kept], pulse[kept])
