"""The network, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from image_colorize import DEFAULT, checkpoint, system
from image_colorize.seen import Shape
from vitrail.engine.network import Network
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

CODE = ("image_colorize.model",)
MAX_SIDE = 2048  # pixels; a larger one is damage in a file


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
    shape = _shape(weights, options)
    example = np.zeros((2, 4, shape.image_size, shape.image_size), np.float32)
    return ColorizeNetwork(
        weights.name, partial(_build, weights), example, weights, CODE, shape=shape
    )


def _shape(weights: Weights, options: Mapping[str, Any]) -> Shape:
    """What is known of the network before it is built, which checks the rest."""
    try:
        image_size, hint_size, centre_mask = (
            options[name] for name in ("image_size", "hint_size", "centre_mask")
        )
    except KeyError as error:
        problem = f"its metadata lacks {error}"
        raise InputError(weights.path, problem, checkpoint.REMEDY) from error
    sizes = (image_size, hint_size)
    fits = all(type(size) is int and 0 < size <= MAX_SIDE for size in sizes)
    if not fits or image_size % hint_size:
        problem = f"has an image_size of {image_size!r:.20} and a hint_size of {hint_size!r:.20}"
        raise InputError(weights.path, problem, checkpoint.REMEDY)
    return Shape(image_size, hint_size, bool(centre_mask))


def _build(weights: Weights) -> "nn.Module":
    from image_colorize.model import build_model
    from vitrail.weights.files import load_into

    options, state = checkpoint.read(weights.path)
    with complete(weights.path, system.name):
        module = build_model(dict(options))
    load_into(module, state, subject=weights.path, assign=True)
    return module.eval()
