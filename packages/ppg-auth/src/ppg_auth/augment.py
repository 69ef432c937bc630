"""What else the same person's pulse could have looked like: changes made to training windows."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import Tensor

WARP = 0.15  # the heart's rate is not the person's identity
WANDER, WANDER_BAND = 0.3, (0.05, 0.4)  # amplitude relative to the pulse's deviation, Hz
NOISE = (20.0, 35.0)  # dB below the pulse
DROPS, LONGEST_DROP = 3, 3
CAMERA_RATE = 14
LOW_RATE = 0.2  # how often a window is rendered as that camera would


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
    for first in rng.integers(1, len(pulse) - LONGEST_DROP - 1, size=DROPS):
        kept[first : first + rng.integers(1, LONGEST_DROP + 1)] = False
    times = np.arange(len(pulse))
    return np.interp(times, times[kept], pulse[kept])
