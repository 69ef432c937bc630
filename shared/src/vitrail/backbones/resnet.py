"""ResNet of basic blocks (He et al., "Deep Residual Learning for Image Recognition", 2016).

Modules bear the names of timm's ResNet, under which checkpoints are stored.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn

from vitrail.backbones.base import Backbone


def _conv(in_chans: int, out_chans: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a residual connection that follows the change of
    width and resolution by a 1x1 convolution."""

    def __init__(self, in_chans: int, dim: int, stride: int):
        super().__init__()
        self.conv1 = _conv(in_chans, dim, 3, stride)
        self.bn1 = nn.BatchNorm2d(dim)
        self.act1 = nn.ReLU(inplace=True)
        self.conv2 = _conv(dim, dim, 3)
        self.bn2 = nn.BatchNorm2d(dim)
        self.act2 = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(_conv(in_chans, dim, 1, stride), nn.BatchNorm2d(dim))
            if stride > 1 or in_chans != dim
            else None
        )
        nn.init.zeros_(self.bn2.weight)  # each block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(branch + (x if self.downsample is None else self.downsample(x)))


class ResNet(Backbone):
    """A stem at half the resolution, pooling, and one stage per entry of ``layers``, each but the
    first at half the resolution of the one before.

    ``layers`` and ``channels`` have one value per stage, blocks and width. ``stem_type`` "" is one
    7x7 convolution to 64 channels, "deep" three 3x3 ones of ``stem_width``, ``stem_width`` and
    twice ``stem_width`` channels (He et al., "Bag of Tricks", 2019, ResNet-C). The maps are that
    of the stem and those of the stages.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        layers: Sequence[int] = (2, 2, 2, 2),
        channels: Sequence[int] = (64, 128, 256, 512),
        stem_type: str = "",
        stem_width: int = 64,
    ):
        super().__init__()
        if stem_type not in ("", "deep"):
            raise ValueError(f"stem_type is {stem_type!r}, neither '' nor 'deep'")
        width = 2 * stem_width if stem_type else 64
        self.conv1 = (
            _deep_stem(in_chans, stem_width) if stem_type else _conv(in_chans, width, 7, stride=2)
        )
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.feature_info = [{"num_chs": width, "reduction": 2, "module": "act1"}]
        self.num_features = channels[-1]
        widths = pairwise((width, *channels))
        for number, ((before, dim), depth) in enumerate(zip(widths, layers, strict=True)):
            blocks = [
                BasicBlock(dim if at else before, dim, 2 if number and not at else 1)
                for at in range(depth)
            ]
            name = f"layer{number + 1}"
            self.add_module(name, nn.Sequential(*blocks))
            self.feature_info.append({"num_chs": dim, "reduction": 4 * 2**number, "module": name})
        self.fc = nn.Linear(channels[-1], num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        x = self.act1(self.bn1(self.conv1(image)))
        yield x
        x = self.maxpool(x)
        for stage in self.feature_info[1:]:
            x = getattr(self, stage["module"])(x)
            yield x

    def forward_head(self, features: Tensor) -> Tensor:
        return self.fc(features.mean((2, 3)))

    def drop_head(self) -> None:
        self.fc = nn.Identity()


def _deep_stem(in_chans: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        _conv(in_chans, width, 3, stride=2),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, width, 3),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        _conv(width, 2 * width, 3),
    )
