"""The network, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from face_quality import checkpoint, system
from face_quality.models.config import FIQAConfig
from face_quality.scale import Calibration
from vitrail.engine import Network
from vitrail.errors import UsageError
from vitrail.weights.catalogue import resolve

if TYPE_CHECKING:
    from torch import nn

    from vitrail.weights.catalogue import Weights

BUNDLED = "small"
CODE = ("face_quality.models",)


@dataclass(frozen=True, kw_only=True)
class QualityNetwork(Network):
    """``module`` takes crops uint8 RGB (B, 3, S, S) and gives the quality (B, 1), with ``embeds``
    followed by the normalised embedding. ``calibration`` is None where nobody made one; ``is_own``
    tells our files from the release's."""

    config: FIQAConfig
    calibration: Calibration | None
    is_own: bool
    exit_block: int | None = None

    @property
    def identity(self) -> str:
        """Whose qualities these are, for a calibration: the weights' sha256, and the block where
        that is not the last."""
        sha256 = self.weights.sha256 if self.weights else ""
        return f"{sha256}, block {self.exit_block}" if self.exit_block else sha256


def load_networks(weights: Sequence[str] = ()) -> list[QualityNetwork]:
    """The named or given weights files, by default the bundled one."""
    return [load_network(name) for name in weights or (BUNDLED,)]


def load_network(
    name: str = BUNDLED, *, exit_block: int | None = None, embeds: bool = False
) -> QualityNetwork:
    """One weights file by its catalogued name or its path: ours or an official one.

    ``exit_block`` reads the quality after that many blocks; its calibration is that of all blocks
    and so is left out. InputError for a file of another kind, UsageError for blocks that it has
    not.
    """
    weights = resolve(system, name)
    config = checkpoint.describe(weights)
    if exit_block is not None and not 1 <= exit_block <= config.depth:
        raise UsageError(f"--exit-block {exit_block}", f"this network has {config.depth} blocks")
    if exit_block == config.depth:
        exit_block = None
    told = weights.metadata.get("calibration")
    calibration = None
    if told is not None and exit_block is None:
        calibration = Calibration.from_dict(told, weights.path)
    parts = [weights.name, f"exit{exit_block}" if exit_block else "", "embedding" if embeds else ""]
    side = config.img_size
    return QualityNetwork(
        name="-".join(part for part in parts if part),
        build=partial(_build, weights, config, exit_block, embeds),
        example=np.random.default_rng(0).integers(0, 256, (2, 3, side, side), np.uint8),
        weights=weights,
        code=CODE,
        config=config,
        calibration=calibration,
        is_own=checkpoint.is_own(weights.metadata),
        exit_block=exit_block,
    )


def _build(
    weights: "Weights", config: FIQAConfig, exit_block: int | None, embeds: bool
) -> "nn.Module":
    return checkpoint.read_scorer(weights, config, exit_block=exit_block, embeds=embeds)
