"""The network with all that a decision needs beside it: bundled, or from the user's own
training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppg_auth import system
from ppg_auth.checkpoint import Checkpoint, build_network, read_checkpoint
from ppg_auth.signal.beats import SHAPE_POINTS
from ppg_auth.signal.windows import SignalConfig, Windows
from vitrail.engine.network import Network
from vitrail.errors import UsageError
from vitrail.weights.catalogue import Weights, resolve

if TYPE_CHECKING:
    from torch import nn

BUNDLED = "verify"
EMBED_BATCH = 64
# Of each of an embedding's 128 components, which ``auto`` and the converted network are held to. A
# template is made once and compared for years, perhaps by another engine on another machine: the
# cosine of both engines' embeddings of one window then stays above 1 - 128 * 0.003^2 / 2 = 0.9994,
# far within what protected templates can tell apart (0.07).
TOLERANCE = 0.003


@dataclass(frozen=True, kw_only=True)
class PulseNetwork(Network):
    """Takes windows (B, samples + 120), gives unit embeddings (B, 128)."""

    checkpoint: Checkpoint


def load_networks(weights: Sequence[str] = ()) -> list[PulseNetwork]:
    """The network of the named or given weights file, the bundled one by default; UsageError for
    more than one."""
    if len(weights) > 1:
        raise UsageError(", ".join(weights), "one weights file is enough", "name one")
    return [_load(resolve(system, weights[0] if weights else BUNDLED))]


def _load(weights: Weights) -> PulseNetwork:
    checkpoint = read_checkpoint(weights)
    return PulseNetwork(
        name=weights.name,
        build=lambda: build_network(weights, checkpoint.config),
        example=example_of(checkpoint.signal),
        weights=weights,
        code=("ppg_auth.model", "vitrail.preprocess.cwt", "vitrail.preprocess.wavelets"),
        checkpoint=checkpoint,
    )


def example_of(signal: SignalConfig) -> NDArray[np.float32]:
    """Two windows of noise: of constant ones, a scalogram relative to its median is not defined."""
    shape = (2, signal.samples + SHAPE_POINTS)
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def embed(module: "nn.Module", windows: Windows) -> NDArray[np.float32]:
    """The unit embeddings (n, 128) of a recording's good windows, by PyTorch: for training and
    evaluation, which hold the module."""
    import torch

    training = module.training
    module.train(False)
    items = torch.from_numpy(windows.items[windows.good])
    with torch.inference_mode():
        rows = [module(part) for part in items.split(EMBED_BATCH)] if len(items) else []
    module.train(training)
    return torch.cat([torch.empty(0, 128), *rows]).numpy()
