"""The network with all that a decision needs beside it: bundled, or from the user's own
training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ppg_auth import system
from ppg_auth.beats import SHAPE_POINTS
from ppg_auth.model import ARCHITECTURE, build_model
from ppg_auth.preprocess import SignalConfig
from ppg_auth.scoring import Impostors
from vitrail.engine.network import Network
from vitrail.errors import InputError, UsageError
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.files import load_into, read_state

BUNDLED = "verify"


@dataclass(frozen=True)
class PulseNetwork(Network):
    """``impostors`` says how wrong people score.

    ``signal`` is how its windows are made; ``people`` names who was in training ("train") and
    validation ("val").
    """

    impostors: Impostors
    signal: SignalConfig
    people: Mapping[str, Sequence[str]]


def load_networks(weights: Sequence[str] = ()) -> list[PulseNetwork]:
    """The network of the named or given weight file, the bundled one by default; UsageError for
    more than one."""
    if len(weights) > 1:
        raise UsageError(", ".join(weights), "one weight file is enough", "name one")
    return [_load(resolve(system, weights[0] if weights else BUNDLED))]


def _load(weights: Weights) -> PulseNetwork:
    state, metadata = read_state(weights.path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise InputError(
            weights.path,
            f"holds no {ARCHITECTURE}",
            "use a file that 'vitrail train' wrote for ppg-auth",
        )
    try:
        model = build_model(metadata["config"])
        signal = SignalConfig(**{**metadata["signal"], "band": tuple(metadata["signal"]["band"])})
        people, impostors = dict(metadata["people"]), _impostors(metadata["impostors"])
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        problem = f"its metadata lacks what {system.name} needs ({error})"
        raise InputError(weights.path, problem, "use a file that 'vitrail train' wrote") from error
    if (model.config.samples, model.config.beat_points) != (signal.samples, SHAPE_POINTS):
        raise InputError(
            weights.path, "its parts do not fit each other", "use a file that 'vitrail train' wrote"
        )
    load_into(model, state, subject=weights.path)
    return PulseNetwork(
        name=weights.name,
        module=model.eval(),
        example=_example(signal),
        weights=weights,
        impostors=impostors,
        signal=signal,
        people=people,
    )


def _impostors(values: Mapping[str, float]) -> Impostors:
    found = Impostors(float(values["mean"]), float(values["deviation"]))
    if not (math.isfinite(found.mean) and 0 < found.deviation < math.inf):
        raise ValueError(f"impostors: {found}")
    return found


def _example(signal: SignalConfig) -> torch.Tensor:
    """Two windows of noise: of constant ones, a scalogram relative to its median is not defined."""
    return torch.randn(2, signal.samples + SHAPE_POINTS, generator=torch.Generator().manual_seed(0))
