"""The network, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from change_detect import system
from vitrail.engine.network import Network
from vitrail.weights.catalogue import resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

DEFAULT = "nano"
CODE = ("change_detect.models",)
WINDOW = 256  # pixels, both ways
OFFICIAL_THRESHOLD = 0.5
MAX_GSD = 1e6  # metres


@dataclass(frozen=True, kw_only=True)
class ChangeNetwork(Network):
    """``module`` takes two batches of windows (B, 3, WINDOW, WINDOW), earlier and later,
    normalised, and gives logits (B, 1, WINDOW, WINDOW); its ``encoder`` takes one date, its
    ``compare`` what that made of two. From ``threshold`` on a pixel is called changed; ``gsd`` is
    what a pixel of its training covered, in metres, or None."""

    threshold: float
    gsd: float | None

    @property
    def dates(self) -> Network:
        """The first half: windows of one date to maps, once for all pairs that it is in."""
        return self._half("dates", self._encoder, self.inputs[:1])

    @property
    def pairs(self) -> Network:
        """The second half: the maps of two dates to logits. Its example stays empty: what shapes
        the maps have, the first half says."""
        return self._half("pairs", self._comparison, ())

    def _half(self, what: str, build: "Callable[[], nn.Module]", example: tuple) -> Network:
        return Network(f"{self.name}-{what}", build, example, self.weights, self.code)

    def _encoder(self) -> "nn.Module":
        return self.module.encoder  # pyright: ignore[reportReturnType] - a module, not a tensor

    def _comparison(self) -> "nn.Module":
        from change_detect.models.changevit import Comparison

        return Comparison(self.module)


def load_networks(weights: Sequence[str] = ()) -> list[ChangeNetwork]:
    """The named or given weights files, by default the bundled one."""
    return [load_network(name) for name in weights or (DEFAULT,)]


def load_network(name: str) -> ChangeNetwork:
    """One weights file by its catalogued name or its path: ours, or one of the release."""
    weights = resolve(system, name)
    threshold, gsd = OFFICIAL_THRESHOLD, None
    if "architecture" in weights.metadata:
        with complete(weights.path, system.name):
            threshold, gsd = _facts(weights.metadata)
    else:
        _build(weights.path)  # only the tensors tell whether it is one
    example = np.zeros((2, 3, WINDOW, WINDOW), np.float32)
    return ChangeNetwork(
        name=weights.name,
        build=partial(_build, weights.path),
        example=(example, example),
        weights=weights,
        code=CODE,
        threshold=threshold,
        gsd=gsd,
    )


def _facts(metadata: Mapping[str, Any]) -> tuple[float, float | None]:
    """Threshold and metres a pixel; ValueError where they are none."""
    threshold, gsd = float(metadata["threshold"]), metadata["gsd"]
    gsd = None if gsd is None else float(gsd)
    if not 0 < threshold < 1:
        raise ValueError(f"a threshold in 0..1, not {threshold:g}")
    if gsd is not None and not 0 < gsd < MAX_GSD:
        raise ValueError(f"a gsd in metres, not {gsd:g}")
    return threshold, gsd


def _build(path: Path) -> "nn.Module":
    from change_detect.checkpoint import read_checkpoint

    return read_checkpoint(path).build()
