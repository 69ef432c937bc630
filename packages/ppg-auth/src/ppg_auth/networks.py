"""The network with all that a decision needs beside it: bundled, or from the user's own training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ppg_auth import system
from ppg_auth.beats import SHAPE_POINTS
from ppg_auth.model import ARCHITECTURE, EMBED_DIM, build_model
from ppg_auth.preprocess import SignalConfig
from vitrine.errors import InputError, UsageError
from vitrine.network import Network
from vitrine.weights import Weights, load_into, read_state, resolve

BUNDLED = "verify"


@dataclass(frozen=True)
class PulseNetwork(Network):
    """``cohort`` (c, 128) unit rows of training people; ``thresholds`` on normalised scores by false match rate.

    ``signal`` is how its windows are made; ``people`` names who was in training ("train") and validation ("val").
    """

    cohort: NDArray[np.float32]
    thresholds: Mapping[str, float]
    signal: SignalConfig
    people: Mapping[str, Sequence[str]]


def load_networks(weights: Sequence[str] = ()) -> list[PulseNetwork]:
    """The network of the named or given weight file, the bundled one by default; UsageError for more than one."""
    if len(weights) > 1:
        raise UsageError(", ".join(weights), "one weight file is enough", "name one")
    return [_load(resolve(system, weights[0] if weights else BUNDLED))]


def _load(weights: Weights) -> PulseNetwork:
    state, metadata = read_state(weights.path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise InputError(weights.path, f"holds no {ARCHITECTURE}", "use a file that 'vitrine train' wrote for ppg-auth")
    try:
        model = build_model(metadata["config"])
        signal = SignalConfig(**{**metadata["signal"], "band": tuple(metadata["signal"]["band"])})
        thresholds = {str(rate): float(value) for rate, value in metadata["thresholds"].items()}
        people, cohort = dict(metadata["people"]), state.pop("cohort").float().numpy()
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        problem = f"its metadata lacks what {system.name} needs ({error})"
        raise InputError(weights.path, problem, "use a file that 'vitrine train' wrote") from error
    if (
        cohort.ndim != 2
        or cohort.shape[1] != EMBED_DIM
        or (model.config.samples, model.config.beat_points)
        != (
            signal.samples,
            SHAPE_POINTS,
        )
    ):
        raise InputError(weights.path, "its parts do not fit each other", "use a file that 'vitrine train' wrote")
    load_into(model, state, subject=weights.path)
    return PulseNetwork(
        name=weights.name,
        module=model.eval(),
        example=_example(signal),
        weights=weights,
        cohort=cohort / np.linalg.norm(cohort, axis=1, keepdims=True),
        thresholds=thresholds,
        signal=signal,
        people=people,
    )


def _example(signal: SignalConfig) -> torch.Tensor:
    """Two windows of noise: of constant ones, a scalogram relative to its median is not defined."""
    return torch.randn(2, signal.samples + SHAPE_POINTS, generator=torch.Generator().manual_seed(0))
