"""People without a network, for tests and benchmarks: captures whose embeddings are drawn, a model without layers."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppg_auth.verification import Model

RATE = 50.0


@dataclass(frozen=True)
class FakeCapture:
    """What the system reads of a capture."""

    embeddings: NDArray
    pulse: NDArray
    source: Path = Path("finger.csv")
    raw: NDArray = field(default_factory=lambda: np.zeros(0))
    sample_rate: float = RATE
    quality: float = 0.9
    reasons: tuple[str, ...] = ()
    usable: bool = True
    heart_rate: float | None = None


def units(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    rows = rng.normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def fake_model(seed: int = 0) -> Model:
    return Model("a" * 64, units(np.random.default_rng(seed), 40, 128), {"0.01": 6.0, "0.05": 4.0})


def pulse(rng: np.random.Generator, seconds: float = 25.0) -> NDArray:
    """A pulse of uneven beats, like a living one's, at ``RATE``; each call's is another."""
    beats = np.cumsum(rng.normal(0.85, 0.04, int(seconds / 0.6)))
    time = np.arange(int(seconds * RATE)) / RATE
    heights = rng.normal(1.0, 0.08, len(beats))
    systole = heights[:, None] * np.exp(-(((time - beats[:, None]) / 0.09) ** 2))
    notch = 0.35 * heights[:, None] * np.exp(-(((time - beats[:, None] - 0.27) / 0.12) ** 2))
    wave = (systole + notch).sum(axis=0)
    return wave - wave.mean()


def capture(person: int, take: int, *, windows: int = 8, scatter: float = 0.6, **options) -> FakeCapture:
    """A take of a person: windows scattered about the person's own direction; the same numbers give the same take."""
    centre = units(np.random.default_rng(1000 + person), 128)
    rng = np.random.default_rng([person, take])
    rows = centre + scatter * units(rng, windows, 128)
    signal = pulse(rng)
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return FakeCapture(**{"embeddings": embeddings, "pulse": signal, "raw": signal + 100} | options)
