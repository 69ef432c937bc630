"""The networks as a job runs them: pixels in, one head's answer and the kept patches out."""

import torch
from torch import Tensor, nn

from pose_estimate.models.evitpose import EViTPose, Schedule
from pose_estimate.models.unitranspose import UniTransPose

MEAN = (123.675, 116.28, 103.53)  # of ImageNet's RGB, 0..255
STD = (58.395, 57.12, 57.375)


class Ready(nn.Module):
    """Crops (B, 3, H, W) of RGB 0..255, uint8 or float, to the answer of ``head``: heat maps
    (B, K, H/4, W/4), or places (B, K, 3) for ``regression``; and the numbers of the kept patches
    (B, n) as float."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: EViTPose | UniTransPose, head: str, schedule: Schedule = ()):
        super().__init__()
        self.network, self.head, self.schedule = network, head, schedule
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).reshape(3, 1, 1), persistent=False)

    def forward(self, crops: Tensor, ranks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        images = (crops.float() - self.mean) / self.std
        if isinstance(self.network, EViTPose):
            answer = self.network(images, self.schedule, ranks)
        else:
            answer = self.network(images)
        wanted = {
            "heatmap": answer.heatmaps,
            "token": answer.token_maps,
            "regression": answer.places,
        }[self.head]
        assert wanted is not None
        return wanted.float(), answer.kept.float()
