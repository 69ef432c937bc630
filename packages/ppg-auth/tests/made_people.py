"""People without a network, for tests and benchmarks: captures whose embeddings are drawn, a model
without layers."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.decision import Impostors
from ppg_auth.decide.verification import Model

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


def fake_model() -> Model:
    return Model("a" * 64, Impostors(0.0, 0.15))


@dataclass(frozen=True)
class Shape:
    """What one person's beats look like: widths and delay in seconds, the second wave's height
    against the first's."""

    systole: float = 0.11
    delay: float = 0.27
    height: float = 0.35
    width: float = 0.12

    @classmethod
    def of(cls, person: int) -> "Shape":
        drawn = np.random.default_rng(person).uniform((0.1, 0.26, 0.2, 0.1), (0.14, 0.36, 0.5, 0.2))
        return cls(*map(float, drawn))


def pulse(rng: np.random.Generator, seconds: float = 25.0, shape: Shape = Shape()) -> NDArray:
    """A pulse of beats that differ in length, height and shape, like a living one's, at ``RATE``;
    each call's is another."""
    beats = np.cumsum(rng.normal(0.85, 0.04, int(seconds / 0.6)))
    time = np.arange(int(seconds * RATE)) / RATE
    heights = rng.normal(1.0, 0.08, len(beats))
    since = time - beats[:, None]
    flank = np.where(since < 0, 0.7, 1.3) * shape.systole  # systole rises faster than it falls
    waves = np.exp(-((since / flank) ** 2))
    height, delay, width = (
        middle * rng.normal(1.0, spread, len(beats))[:, None]
        for middle, spread in ((shape.height, 0.1), (shape.delay, 0.03), (shape.width, 0.06))
    )
    waves += height * np.exp(-(((since - delay) / width) ** 2))
    wave = heights @ waves
    return wave - wave.mean()


def write_recording(path: Path, person: int, take: int, seconds: float = 25.0) -> Path:
    """A CSV of a sensor at ``RATE`` with a pulse of the person's shape; the same numbers give the
    same file."""
    wave = 500 + 40 * pulse(np.random.default_rng([person, take]), seconds, Shape.of(person))
    lines = [f"{number / RATE:.3f},{value:.3f}" for number, value in enumerate(wave)]
    path.write_text("\n".join(["t_s,ppg", *lines]) + "\n")
    return path


def capture(
    person: int, take: int, *, windows: int = 8, scatter: float = 0.6, **options
) -> FakeCapture:
    """A take of a person: windows scattered about the person's own direction; the same numbers give
    the same take."""
    centre = units(np.random.default_rng(1000 + person), 128)
    rng = np.random.default_rng([person, take])
    rows = centre + scatter * units(rng, windows, 128)
    signal = pulse(rng)
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return FakeCapture(**{"embeddings": embeddings, "pulse": signal, "raw": signal + 100} | options)
