"""EfficientNet's blocks (Tan and Le, 2019), for the bird's-eye map.

Modules bear the names that torchvision gives them, with which LeTFuser's checkpoints were saved.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

# expansion, kernel, stride, channels in, channels out, blocks
B1 = (
    (1, 3, 1, 32, 16, 2),
    (6, 3, 2, 16, 24, 3),
    (6, 5, 2, 24, 40, 3),
    (6, 3, 2, 40, 80, 4),
    (6, 5, 1, 80, 112, 4),
)
SMALL = (
    (1, 3, 1, 32, 16, 1),
    (4, 3, 2, 16, 24, 1),
    (4, 5, 2, 24, 40, 1),
    (4, 3, 1, 40, 64, 1),
    (4, 3, 1, 64, 112, 1),
)


def _conv(
    inside: int, outside: int, kernel: int, stride: int, groups: int, act: bool
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside),
    ]
    if act:
        layers.append(nn.SiLU())
    return nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * self.fc2(F.silu(self.fc1(pooled))).sigmoid()


class MBConv(nn.Module):
    def __init__(self, expansion: int, kernel: int, stride: int, inside: int, outside: int):
        super().__init__()
        wide = inside * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_conv(inside, wide, 1, 1, 1, True))
        layers.append(_conv(wide, wide, kernel, stride, wide, True))
        layers.append(SqueezeExcitation(wide, max(1, inside // 4)))
        layers.append(_conv(wide, outside, 1, 1, 1, False))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.residual else self.block(x)


class EfficientNet(nn.Module):
    """(B, in_chans, H, W) to (B, 112, H / 16, W / 16); an eighth with ``SMALL``."""

    def __init__(self, in_chans: int, stages: Sequence[tuple[int, ...]] = B1):
        super().__init__()
        layers: list[nn.Module] = [_conv(in_chans, 32, 3, 2, 1, True)]
        for expansion, kernel, stride, inside, outside, count in stages:
            layers.append(
                nn.Sequential(
                    *(
                        MBConv(
                            expansion,
                            kernel,
                            stride if number == 0 else 1,
                            inside if number == 0 else outside,
                            outside,
                        )
                        for number in range(count)
                    )
                )
            )
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
