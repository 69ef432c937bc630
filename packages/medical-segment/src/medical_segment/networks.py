"""The networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from medical_segment import checkpoint, system
from medical_segment.familiar import Ranges, seen_by
from medical_segment.plan import Plan
from vitrail.engine.network import Network
from vitrail.weights.catalogue import Weights, resolve
from vitrail.weights.header import complete

if TYPE_CHECKING:
    from torch import nn

BUNDLED = ("hippocampus", "hippocampus-xlstm", "nuclei")
CODE = ("medical_segment.models",)


@dataclass(frozen=True, kw_only=True)
class SegmentationNetwork(Network):
    """``module`` takes windows (B, C, *plan.patch) and gives logits (B, len(plan.labels),
    *plan.patch); ``seen`` says what its training cases were like."""

    plan: Plan
    seen: Ranges = field(default_factory=dict, compare=False)


def load_networks(weights: Sequence[str] = ()) -> list[SegmentationNetwork]:
    """The named or given weights files, by default all that are bundled."""
    return [load_network(name) for name in weights or BUNDLED]


def load_network(name: str) -> SegmentationNetwork:
    """One weights file by its catalogued name or its path: ours, or an official one of either
    system."""
    weights = resolve(system, name)
    plan = checkpoint.describe(weights).plan
    return SegmentationNetwork(
        weights.name,
        partial(_build, weights),
        np.zeros((2, len(plan.channels), *plan.patch), np.float32),
        weights,
        CODE,
        plan=plan,
        seen=seen_by(weights),
    )


def _build(weights: Weights) -> "nn.Module":
    from medical_segment.models import build_model
    from vitrail.weights.files import load_into

    found, state = checkpoint.read(weights.path)
    # Not on the device "meta": its initialisers load sympy, which takes longer than real ones.
    with complete(weights.path, system.name):
        module = build_model(found.architecture, found.config)
    load_into(module, state, subject=weights.path, assign=True)
    return module.eval()
