"""What the tests of several rooms share: networks that need no training."""

from pathlib import Path

import torch
from torch import nn

from medical_segment.networks import SegmentationNetwork
from medical_segment.plan import Plan
from vitrine.weights import Weights

PLAN_3D = Plan(channels=("MR",), labels=("background", "anterior", "posterior"), patch=(16, 24, 16), spacing=(1, 1, 1))
PLAN_2D = Plan(
    channels=("red", "green", "blue"),
    labels=("background", "interior", "boundary"),
    patch=(32, 32),
    dims=2,
    orientation=None,
    instances=True,
)
PLAN_REGIONS = Plan(
    channels=("FLAIR", "T1w", "T1gd", "T2w"),
    labels=("TC", "WT", "ET"),
    patch=(16, 16, 16),
    normalisation="zscore-nonzero",
    activation="sigmoid",
    values=(2, 1, 3),
    order=(1, 0, 2),
)


class Thresholds(nn.Module):
    """Says which third of the first channel's usual range a voxel lies in: as many labels as thresholds and one."""

    def __init__(self, num_labels: int):
        super().__init__()
        self.register_buffer("centres", torch.linspace(-0.5, 2.0, num_labels))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, spatial…) -> logits (B, K, spatial…)."""
        centres = self.centres.view(1, -1, *[1] * (image.ndim - 2))
        return -4 * (image[:, :1] - centres) ** 2


def small_network(plan: Plan = PLAN_3D) -> SegmentationNetwork:
    """A network that goes by brightness, without weights of its own, for any plan."""
    weights = Weights("small", Path("small.safetensors"), "0" * 64)
    example = torch.zeros(2, len(plan.channels), *plan.patch)
    return SegmentationNetwork("small", Thresholds(len(plan.labels)).eval(), example, weights, plan)
