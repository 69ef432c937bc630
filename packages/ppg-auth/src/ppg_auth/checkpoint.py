"""What a weights file holds beside its tensors, read without PyTorch; and the network in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppg_auth import system
from ppg_auth.decide.decision import Impostors
from ppg_auth.signal.beats import SHAPE_POINTS
from ppg_auth.signal.windows import SignalConfig
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights
from vitrail.weights.header import as_dataclass, complete

if TYPE_CHECKING:
    from ppg_auth.model import PulseNet

ARCHITECTURE = "cvt-convmixer-lstm"
REMEDY = "use a file that 'vitrail train' wrote"


@dataclass(frozen=True)
class Checkpoint:
    """``config`` is the network's; ``signal`` is how its windows are made; ``impostors`` says how
    wrong people score; ``people`` names who was in training ("train") and validation ("val")."""

    config: Mapping[str, Any]
    signal: SignalConfig
    impostors: Impostors
    people: Mapping[str, Sequence[str]]


def read_checkpoint(weights: Weights) -> Checkpoint:
    """What the file says of itself; InputError where it is of something else or lacks a part."""
    metadata = weights.metadata
    if metadata.get("architecture") != ARCHITECTURE:
        raise InputError(weights.path, f"is not a {ARCHITECTURE}", f"{REMEDY} for {system.name}")
    with complete(weights.path, system.name):
        signal = as_dataclass(SignalConfig, metadata["signal"])
        impostors = _impostors(metadata["impostors"])
        config, people = dict(metadata["config"]), dict(metadata["people"])
        sizes = (config["samples"], config["beat_points"])
    if sizes != (signal.samples, SHAPE_POINTS):
        raise InputError(weights.path, "its parts do not fit each other", REMEDY)
    return Checkpoint(config, signal, impostors, people)


def build_network(weights: Weights, config: Mapping[str, Any]) -> "PulseNet":
    """The network with its tensors; InputError where ``config`` or a tensor is another's."""
    from ppg_auth.model import build_model
    from vitrail.weights.files import load_into, read_state

    with complete(weights.path, system.name):
        model = build_model(config)
    state, _ = read_state(weights.path)
    load_into(model, state, subject=weights.path)
    return model


def _impostors(values: Mapping[str, float]) -> Impostors:
    found = Impostors(float(values["mean"]), float(values["deviation"]))
    if not (math.isfinite(found.mean) and 0 < found.deviation < math.inf):
        raise ValueError(f"impostors: {found}")
    return found
