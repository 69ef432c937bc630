"""Where a face was blended in, as a second thing for a backbone to learn.

One label per image says little; a map of the blending boundary says at every place what was meant.
Idea: Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020. The head serves
training alone and is not stored.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_detect.data import BLEND_STRIDE
from vitrail.backbones.base import Backbone

WIDTH = 64  # channels of the head


class BlendMap(nn.Module):
    """Reads the maps of a backbone at 8 and 16 pixels per cell; ``stages`` are their numbers in the
    backbone."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        stages = list(enumerate(backbone.feature_info))
        self.stages = [
            number
            for number, stage in stages
            if stage["reduction"] in (BLEND_STRIDE, 2 * BLEND_STRIDE)
        ]
        channels = sum(backbone.feature_info[number]["num_chs"] for number in self.stages)
        self.head = nn.Sequential(nn.Conv2d(channels, WIDTH, 1), nn.ReLU(), nn.Conv2d(WIDTH, 2, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps (B, C, h, w) and (B, C', h / 2, w / 2) of pairs of fake and real -> logits (B / 2,
        2, 2, h, w)."""
        fine, coarse = maps
        coarse = F.interpolate(coarse, fine.shape[-2:])
        return self.head(torch.cat((fine, coarse), dim=1)).unflatten(0, (-1, 2))

    def error(self, maps: list[Tensor], blend: Tensor) -> Tensor:
        """Mean cross-entropy against ``blend`` (B / 2, 2, h, w) in the fakes, and against nothing
        in the real faces."""
        wanted = torch.stack((blend, torch.zeros_like(blend)), dim=1)
        return F.binary_cross_entropy_with_logits(self(maps).float(), wanted)
