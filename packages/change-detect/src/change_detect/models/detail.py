"""The detail branch: maps at 1/2, 1/4 and 1/8 of the image's sides, from ResNet-18's stages or
from EfficientNet-Lite0's."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vitrail.backbones.resnet import BasicBlock

LITE_DIMS = (16, 24, 40)
LITE_MAP = 112  # channels at 1/16
# Of EfficientNet-Lite0 up to 1/16: kernel, stride, expansion, channels, blocks (Tan and Le,
# EfficientNet, 2019, table 1, without squeeze-and-excitation, with ReLU6).
LITE = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
)
LITE_EPS = 1e-3
DROPOUT = 0.01  # after the first stage, as the release has it


class ResNetDetail(nn.Module):
    """Three stages of two basic blocks behind a 7x7 convolution, without the pooling between; the
    names are torchvision's."""

    def __init__(self, dims: Sequence[int]):
        super().__init__()
        self.conv1 = nn.Conv2d(3, dims[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(dims[0])
        self.drop = nn.Dropout(DROPOUT)
        self.layer1 = _stage(dims[0], dims[0], 1)
        self.layer2, self.layer3 = _stage(dims[0], dims[1], 2), _stage(dims[1], dims[2], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to c2, c3, c4."""
        c2 = self.drop(self.layer1(self.bn1(self.conv1(image)).relu()))
        c3 = self.layer2(c2)
        return [c2, c3, self.layer3(c3)]


def _stage(in_chans: int, dim: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(in_chans, dim, stride), BasicBlock(dim, dim, 1))


class SameConv2d(nn.Conv2d):
    """A convolution of stride 2 on even sides whose padding is TensorFlow's: the odd row is at the
    end."""

    def forward(self, x: Tensor) -> Tensor:
        before = (self.kernel_size[0] - 2) // 2
        after = self.kernel_size[0] - 2 - before
        return super().forward(F.pad(x, (before, after, before, after)))


def _conv(in_chans: int, out_chans: int, kernel: int, stride: int, groups: int = 1) -> nn.Conv2d:
    kind, padding = (SameConv2d, 0) if stride == 2 else (nn.Conv2d, kernel // 2)
    return kind(in_chans, out_chans, kernel, stride, padding, groups=groups, bias=False)


class DepthwiseBlock(nn.Module):
    """A depthwise and a pointwise convolution; the names are timm's."""

    def __init__(self, in_chans: int, dim: int, kernel: int):
        super().__init__()
        self.conv_dw = _conv(in_chans, in_chans, kernel, 1, in_chans)
        self.bn1 = nn.BatchNorm2d(in_chans, LITE_EPS)
        self.conv_pw = _conv(in_chans, dim, 1, 1)
        self.bn2 = nn.BatchNorm2d(dim, LITE_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class InvertedBlock(nn.Module):
    """Widens, filters each channel, narrows (Sandler et al., MobileNetV2, 2018); the names are
    timm's."""

    def __init__(self, in_chans: int, dim: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden, self.is_residual = in_chans * expansion, stride == 1 and in_chans == dim
        self.conv_pw = _conv(in_chans, hidden, 1, 1)
        self.bn1 = nn.BatchNorm2d(hidden, LITE_EPS)
        self.conv_dw = _conv(hidden, hidden, kernel, stride, hidden)
        self.bn2 = nn.BatchNorm2d(hidden, LITE_EPS)
        self.conv_pwl = _conv(hidden, dim, 1, 1)
        self.bn3 = nn.BatchNorm2d(dim, LITE_EPS)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self.bn1(self.conv_pw(x)))
        branch = self.bn3(self.conv_pwl(F.relu6(self.bn2(self.conv_dw(wide)))))
        return x + branch if self.is_residual else branch


class LiteDetail(nn.Module):
    """EfficientNet-Lite0 up to 1/8, or with ``deep`` up to 1/16; the names are timm's, under which
    its ImageNet weights are stored."""

    def __init__(self, deep: bool):
        super().__init__()
        self.conv_stem = _conv(3, 32, 3, 2)
        self.bn1 = nn.BatchNorm2d(32, LITE_EPS)
        stages, before = [], 32
        for kernel, stride, expansion, dim, count in LITE if deep else LITE[:3]:
            blocks = []
            for number in range(count):
                if expansion == 1:
                    blocks.append(DepthwiseBlock(before, dim, kernel))
                else:
                    step = 1 if number else stride
                    blocks.append(InvertedBlock(before, dim, kernel, step, expansion))
                before = dim
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to c2, c3, c4, and the map at 1/16 where it is ``deep``."""
        x, maps = F.relu6(self.bn1(self.conv_stem(image))), []
        for stage in self.blocks:
            x = stage(x)
            maps.append(x)
        return maps[:3] + maps[4:]
