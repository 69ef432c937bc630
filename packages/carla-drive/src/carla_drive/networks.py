"""The network, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from carla_drive import system
from carla_drive.models.config import STRIP, LeTFuserConfig
from vitrail.engine import Network
from vitrail.errors import MissingError
from vitrail.weights.catalogue import catalogue, resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

CODE = ("carla_drive.models",)


@dataclass(frozen=True, kw_only=True)
class DrivingNetwork(Network):
    """Takes bytes as floats (3, 160, 768), depth (160, 768) in 0..1, target (2,), speed (), command
    (6,); gives ``models.letfuser.Outputs``."""

    config: LeTFuserConfig
    tolerance: float = 0.05  # of a logit, a metre or m/s

    @property
    def sha256(self) -> str:
        return self.weights.sha256 if self.weights else ""


def load_networks(weights: Sequence[str] = ()) -> list[DrivingNetwork]:
    """The named or given weights files, by default the bundled ones."""
    names = list(weights) or [entry.name for entry in catalogue(system) if entry.default]
    return [load_network(name) for name in names]


def load_network(name: str | None = None) -> DrivingNetwork:
    """One weights file; by default the bundled one. MissingError where there is none."""
    if name is None:
        known = [entry.name for entry in catalogue(system) if entry.default]
        if not known:
            raise MissingError("weights", "none are bundled", "train some and give --weights FILE")
        name = known[0]
    weights = resolve(system, name)
    if "architecture" in weights.metadata:
        with complete(weights.path, system.name):
            config = LeTFuserConfig(**weights.metadata["config"])
    else:
        from carla_drive.checkpoint import read_checkpoint

        config = LeTFuserConfig(**read_checkpoint(weights.path).config)
    return DrivingNetwork(
        name=weights.name,
        build=partial(_built, weights.path),
        example=example(),
        weights=weights,
        code=CODE,
        config=config,
    )


def example() -> tuple[np.ndarray, ...]:
    """A batch of two: a grey street, flat ground, straight on."""
    rows = np.arange(STRIP[0], dtype=np.float32) - STRIP[0] / 2 + 0.5
    depth = np.clip(2.3 * 277.13 / np.maximum(rows, 0.7), 1, 1000) / 1000
    depth = np.broadcast_to(depth[:, None], STRIP)
    command = np.zeros((2, 6), np.float32)
    command[:, 3] = 1
    rng = np.random.default_rng(0)
    return (
        rng.integers(60, 190, (2, 3, *STRIP)).astype(np.float32),
        np.stack([depth, depth]).astype(np.float32),
        np.array([[0.0, -20.0], [2.0, -8.0]], np.float32),
        np.array([4.0, 2.0], np.float32),
        command,
    )


def _built(path: Path) -> "nn.Module":
    from carla_drive.checkpoint import read_checkpoint

    return read_checkpoint(path).build()
