"""The detail branch: maps at 1/2, 1/4 and 1/8 of the image's sides, from ResNet-18's stages or
from EfficientNet-Lite0's."""

from collections.abc import Sequence

from torch import Tensor, nn

from vitrail.backbones.lite import DIMS, MAPS, STAGES, LiteTrunk
from vitrail.backbones.resnet import BasicBlock

LITE_DIMS = (STAGES[0].dim, DIMS[4], DIMS[8])
LITE_MAP = DIMS[16]  # channels at 1/16
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


class LiteDetail(LiteTrunk):
    """EfficientNet-Lite0 up to 1/8, or with ``deep`` up to 1/16, and its first stage's map too."""

    def __init__(self, deep: bool):
        super().__init__(16 if deep else 8)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to c2, c3, c4, and the map at 1/16 where it is ``deep``."""
        x, maps = self.stem(images), []
        ends = [0, *(MAPS[stride] for stride in self.strides)]
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in ends:
                maps.append(x)
        return maps
