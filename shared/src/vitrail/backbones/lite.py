"""The trunk of EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation and with ReLU6),
a stem that ImageNet weights can be loaded into."""

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-3


class Stage(NamedTuple):
    """Inverted residual blocks: how many, their kernel, the first one's stride, by how much they
    widen, and the channels that they give."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    dim: int


STEM_DIM = 32  # of EfficientNet-Lite0
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
)
MAPS = {4: 1, 8: 2, 16: 4, 32: 5}  # the stage that ends each stride
DIMS = {stride: STAGES[stage].dim for stride, stage in MAPS.items()}


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, and ReLU6 unless ``linear``. An even input of stride 2
    is padded below and to the right more, as TensorFlow pads."""

    def __init__(
        self,
        in_chans: int,
        out_chans: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        linear: bool = False,
    ):
        super().__init__(
            nn.Conv2d(in_chans, out_chans, kernel, stride, groups=groups, bias=False),
            nn.BatchNorm2d(out_chans, eps=NORM_EPS),
            nn.Identity() if linear else nn.ReLU6(inplace=True),
        )
        total = kernel - stride
        self.padding = (total // 2, total - total // 2) * 2 if total > 0 else (0, 0, 0, 0)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.padding) if any(self.padding) else x)


class InvertedResidual(nn.Module):
    """Widen, look around, narrow; the input passes around it where the shape stays."""

    def __init__(self, in_chans: int, stage: Stage, stride: int):
        super().__init__()
        hidden = in_chans * stage.expand
        widen = [ConvNorm(in_chans, hidden)] if stage.expand > 1 else []
        self.layers = nn.Sequential(
            *widen,
            ConvNorm(hidden, hidden, stage.kernel, stride, groups=hidden),
            ConvNorm(hidden, stage.dim, linear=True),
        )
        self.passes = stride == 1 and in_chans == stage.dim

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.passes else self.layers(x)


class LiteTrunk(nn.Module):
    """Normalised images (B, 3, H, W), sides multiples of ``last_stride``, to a map (B, C, H/s, W/s)
    for each stride s of 4, 8, 16, 32 up to that; C is ``DIMS[s]``."""

    def __init__(self, last_stride: int):
        super().__init__()
        self.strides = [stride for stride in MAPS if stride <= last_stride]
        self.stem = ConvNorm(3, STEM_DIM, 3, 2)
        self.stages, dim = nn.ModuleList(), STEM_DIM
        for stage in STAGES[: MAPS[last_stride] + 1]:
            blocks = []
            for number in range(stage.repeats):
                blocks.append(InvertedResidual(dim, stage, 1 if number else stage.stride))
                dim = stage.dim
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> list[Tensor]:
        x, maps = self.stem(images), []
        ends = [MAPS[stride] for stride in self.strides]
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in ends:
                maps.append(x)
        return maps
