"""The network, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from image_colorize import DEFAULT, checkpoint, system
from image_colorize.seen import Shape
from vitrail.engine.network import Network
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights, resolve

if TYPE_CHECKING:
    from torch import nn

CODE = ("image_colorize.model",)


@dataclass(frozen=True, kw_only=True)
class ColorizeNetwork(Network):
    """``module`` takes planes (B, 4, S, S), S being ``shape.image_size``, and gives chroma
    (B, 2, S, S) in -1..1."""

    shape: Shape


def load_networks(weights: Sequence[str] = ()) -> list[ColorizeNetwork]:
    """The named or given weights files, by default the bundled one."""
    return [load_network(name) for name in weights or (DEFAULT,)]


def load_network(name: str) -> ColorizeNetwork:
    """One weights file by its catalogued name or its path: ours, or the release's."""
    weights = resolve(system, name)
    options = checkpoint.describe(weights)
    try:
        shape = Shape(
            int(options["image_size"]), int(options["hint_size"]), bool(options["centre_mask"])
        )
    except (KeyError, TypeError, ValueError) as error:
        problem = f"its metadata lacks {error}"
        raise InputError(weights.path, problem, checkpoint.REMEDY) from error
    example = np.zeros((2, 4, shape.image_size, shape.image_size), np.float32)
    return ColorizeNetwork(
        weights.name, partial(_build, weights), example, weights, CODE, shape=shape
    )


def _build(weights: Weights) -> "nn.Module":
    from image_colorize.model import build_model
    from vitrail.weights.files import load_into

    options, state = checkpoint.read(weights.path)
    module = build_model(dict(options))
    load_into(module, state, subject=weights.path, assign=True)
    return module.eval()
