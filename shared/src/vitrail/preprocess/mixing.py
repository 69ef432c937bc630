"""Which channels of a recording make its mono sound: a dead one would halve it, and two of opposite
phase would cancel each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SILENT_BELOW = 50.0  # dB below the loudest channel; a dead input gives its own noise
OPPOSITE = -0.9  # correlation of two channels


@dataclass(frozen=True)
class Mix:
    """``weights`` (channels,) that sum to 1, and in ``notes`` why they are not all the same."""

    weights: np.ndarray
    notes: tuple[str, ...] = ()

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """(n, channels) -> (n,), both float32."""
        return block @ self.weights


def equal_mix(channels: int) -> Mix:
    """The mean of all channels."""
    return Mix(np.full(channels, 1 / channels, np.float32))


def choose_mix(blocks: Iterable[np.ndarray], channels: int) -> Mix:
    """The mix for a whole recording, given as blocks (n, channels)."""
    count, sums, products = 0, np.zeros(channels), np.zeros((channels, channels))
    for block in blocks:
        values = np.nan_to_num(block.astype(np.float64))
        count += len(values)
        sums += values.sum(axis=0)
        products += values.T @ values
    covariance = products - np.outer(sums, sums) / max(1, count)
    energies = covariance.diagonal().clip(0)
    loudest = int(energies.argmax())
    if energies[loudest] <= 0:
        return equal_mix(channels)
    heard = energies > energies[loudest] * 10 ** (-SILENT_BELOW / 10)
    notes = []
    if not heard.all():
        names = ", ".join(str(number + 1) for number in np.flatnonzero(~heard))
        notes.append(f"silent channels are left out of the mix: {names}")
    scale = np.sqrt(np.where(heard, energies, np.inf))
    opposite = covariance / np.outer(scale, scale) < OPPOSITE
    if opposite.any():
        first, second = np.argwhere(opposite)[0] + 1
        only = f"channel {loudest + 1} was heard alone"
        notes.append(f"channels {first} and {second} are of opposite phase; {only}")
        heard = np.arange(channels) == loudest
    return Mix((heard / heard.sum()).astype(np.float32), tuple(notes))
