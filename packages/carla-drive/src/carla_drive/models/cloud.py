"""The semantic depth cloud: depth and labels as a bird's-eye map, section 4 of the release's paper.

The map has a plane per class, 160 rows ahead of the car and 768 columns across; the car is at the
middle of the lower edge.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

ROWS, COLUMNS = 160, 768
METRES = 1000.0  # that a depth of 1 stands for
AHEAD, ACROSS = 40.0, 192.0  # m that the metric map covers
FOCAL = 480 / math.tan(math.radians(60))  # px: 960 wide at 120 degrees
CAMERA = (1.3, 2.3)  # m ahead of the car's middle, and above the ground
# Of each slice: first column, width, the release's angle in degrees, m it covers ahead and across;
# then the camera's real yaw and the column of its optical axis within the slice.
SLICES = (
    (0, 224, 65.0, 30.0, 75.0, -60.0, 64.0),
    (544, 224, -65.0, 30.0, 75.0, 60.0, 160.0),
    (224, 320, 0.0, 40.0, 80.0, 0.0, 160.0),
)


class OfficialCloud(nn.Module):
    """As the release computes it: a wrong focal length and all heights, then the side maps turned
    about the car. Where each cell of the result comes from is reckoned once, so that no map is
    turned at run time."""

    left: Tensor
    right: Tensor
    front: Tensor

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes
        with torch.device("cpu"):  # a constant, also where the network is built without memory
            left, right, front = (_placed(width) for _, width, *_ in SLICES)
            # The left map is turned by 130 degrees, then together with the right one by -65.
            half = _turned(-65.0)
            sources = (_follow(left, _follow(_turned(130.0), half)), _follow(right, half), front)
        for name, source in zip(("left", "right", "front"), sources, strict=True):
            self.register_buffer(name, source[:ROWS].flatten(), persistent=False)

    def forward(self, depth: Tensor, labels: Tensor) -> Tensor:
        """``depth`` (B, 160, 768) in 0..1, ``labels`` (B, 160, 768) int64 to (B, classes, 160, 768)
        of 0 and 1."""
        batch = depth.shape[0]
        total = torch.zeros(1, device=depth.device)
        for (first, width, _, ahead, across, _, _), source in zip(
            SLICES, (self.left, self.right, self.front), strict=True
        ):
            z = depth[:, :, first : first + width] * METRES
            label = labels[:, :, first : first + width]
            u = torch.arange(width, device=depth.device) - width / 2
            x = z * u / 160.0
            column = torch.round((x + across / 2) * (width - 1) / across)
            row = torch.round((ROWS - 1) - z * (ROWS - 1) / ahead)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < ROWS)
            cells = ROWS * width
            flat = (label * ROWS + row.long()) * width + column.long()
            flat = torch.where(inside, flat, self.classes * cells).flatten(1)
            plane = torch.zeros(batch, self.classes * cells + 1, device=depth.device)
            plane = plane.scatter(1, flat, torch.ones_like(flat, dtype=plane.dtype))
            plane = plane[:, :-1].unflatten(1, (self.classes, cells))
            empty = torch.zeros(batch, self.classes, 1, device=depth.device)
            drawn = torch.cat([plane, empty], dim=2)[:, :, source]
            total = torch.maximum(total, drawn)
        return total.unflatten(2, (ROWS, COLUMNS))


def _placed(width: int) -> Tensor:
    """(320, 768): the cell of a slice's own map that each cell of the canvas shows, one more than
    the last where it shows none."""
    canvas = torch.full((2 * ROWS, COLUMNS), ROWS * width)
    first = (COLUMNS - width) // 2
    canvas[:ROWS, first : first + width] = torch.arange(ROWS * width).view(ROWS, width)
    return canvas


def _turned(degrees: float) -> Tensor:
    """(320, 768): which cell of the canvas comes to each after turning it counter-clockwise about
    its middle, the nearest one; -1 where none does."""
    angle = -math.radians(degrees)
    y, x = torch.meshgrid(
        torch.arange(2 * ROWS) + 0.5 - ROWS,
        torch.arange(COLUMNS) + 0.5 - COLUMNS / 2,
        indexing="ij",
    )
    from_x = math.cos(angle) * x + math.sin(angle) * y + COLUMNS / 2 - 0.5
    from_y = -math.sin(angle) * x + math.cos(angle) * y + ROWS - 0.5
    column, row = from_x.round().long(), from_y.round().long()
    inside = (column >= 0) & (column < COLUMNS) & (row >= 0) & (row < 2 * ROWS)
    return torch.where(inside, row * COLUMNS + column, -1)


def _follow(first: Tensor, then: Tensor) -> Tensor:
    """One map of where cells come from after another."""
    nothing = int(first.max()) if first.min() >= 0 else -1
    found = first.flatten()[then.clamp(min=0)]
    return torch.where(then >= 0, found, nothing)


class MetricCloud(nn.Module):
    """With the cameras' real focal length and angles, one scatter for all three, and points at road
    level only: 0.25 m per cell, both ways, times ``shrink``, by which the depth is smaller too."""

    down: Tensor
    ahead: Tensor
    across: Tensor

    def __init__(self, classes: int, heights: Sequence[float], shrink: int = 1):
        super().__init__()
        self.classes, self.low, self.high = classes, *heights
        self.rows, self.columns = ROWS // shrink, COLUMNS // shrink
        with torch.device("cpu"):
            right, turn = torch.zeros(COLUMNS), torch.zeros(COLUMNS)
            for first, width, _, _, _, yaw, axis in SLICES:
                right[first : first + width] = (torch.arange(width) + 0.5 - axis) / FOCAL
                turn[first : first + width] = math.radians(yaw)
            down = (torch.arange(ROWS) + 0.5 - ROWS / 2) / FOCAL
            right, down = (part.unflatten(0, (-1, shrink)).mean(dim=1) for part in (right, down))
            cos, sin = turn[::shrink].cos(), turn[::shrink].sin()
        self.register_buffer("down", down[:, None], persistent=False)
        self.register_buffer("ahead", cos - right * sin, persistent=False)
        self.register_buffer("across", sin + right * cos, persistent=False)

    def forward(self, depth: Tensor, labels: Tensor) -> Tensor:
        """As ``OfficialCloud``."""
        batch, z = depth.shape[0], depth * METRES
        height = CAMERA[1] - z * self.down
        rows, columns = self.rows, self.columns
        row = (rows - 1) - torch.floor((z * self.ahead + CAMERA[0]) * (rows / AHEAD))
        column = torch.floor(z * self.across * (columns / ACROSS) + columns / 2)
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        inside = inside & (height > self.low) & (height < self.high)
        flat = (labels * rows + row.long()) * columns + column.long()
        flat = torch.where(inside, flat, self.classes * rows * columns).flatten(1)
        plane = torch.zeros(batch, self.classes * rows * columns + 1, device=depth.device)
        plane = plane.scatter(1, flat, torch.ones_like(flat, dtype=plane.dtype))
        return plane[:, :-1].unflatten(1, (self.classes, rows, columns))
