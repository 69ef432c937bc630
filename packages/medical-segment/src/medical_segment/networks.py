"""The networks, ready to run: bundled, from the user's own training, or official."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medical_segment import checkpoint, system
from medical_segment.architectures import build_model
from medical_segment.plan import Plan
from vitrail.engine.network import Network
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into

BUNDLED = ("hippocampus", "hippocampus-xlstm", "nuclei")


@dataclass(frozen=True)
class SegmentationNetwork(Network):
    """``module`` takes windows (B, C, *plan.patch) and gives logits (B, len(plan.labels),
    *plan.patch)."""

    plan: Plan

    def probabilities(self, logits: Tensor) -> Tensor:
        """(B, K, spatial…) in 0..1: each voxel's sum to 1 (softmax), or each label by itself
        (sigmoid)."""
        return logits.sigmoid() if self.plan.activation == "sigmoid" else logits.softmax(dim=1)


def load_networks(weights: Sequence[str] = ()) -> list[SegmentationNetwork]:
    """The named or given weight files, by default all that are bundled."""
    return [load_network(name) for name in weights or BUNDLED]


def load_network(name: str) -> SegmentationNetwork:
    """One weight file by its catalogued name or its path: ours, or an official one of either
    system."""
    weights = resolve(system, name)
    architecture, config, plan, state = checkpoint.read(weights.path)
    with torch.device("meta"):
        module = build_model(architecture, config)
    load_into(module, state, subject=weights.path, assign=True)
    example = torch.zeros(2, len(plan.channels), *plan.patch)
    return SegmentationNetwork(weights.name, module.eval(), example, weights, plan)
