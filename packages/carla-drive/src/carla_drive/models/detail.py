"""Lights and signs, looked for in the front camera at full size."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FRONT = slice(224, 544)  # columns of the front camera in the strip
TOP = 112  # rows in which lights and signs stand


class Detail(nn.Module):
    """A few convolutions that end at an eighth of the size and are told where in the picture they
    are, then the strongest answer of each feature: a far lamp is two pixels wide, and an average
    over the picture would drown it."""

    where: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.ModuleList(
            _conv(inside, outside, stride)
            for inside, outside, stride in ((3, 16, 2), (16, 24, 2), (24, 32, 1), (32, 48, 2))
        )
        self.place = _conv(48 + 2, width, 1)
        self.choose = nn.Linear(width, 2)
        with torch.device("cpu"):
            rows, columns = torch.linspace(-1, 1, TOP // 8), torch.linspace(-1, 1, 320 // 8)
            where = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        self.register_buffer("where", where[None], persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image`` (B, 3, 160, 768), normalised, to features (B, width), and the probabilities
        (B, 2) of a red light and of a stop sign that counts for the car."""
        return self.look(image[:, :, :TOP, FRONT])

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` (B, 3, TOP, 320): what it looks at of the picture."""
        for layer in self.layers:
            x = layer(x)
        where = self.where.expand(x.shape[0], -1, -1, -1)
        features = F.adaptive_max_pool2d(self.place(torch.cat([x, where], dim=1)), 1).flatten(1)
        return features, self.choose(features).sigmoid()


def _conv(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()
    )
