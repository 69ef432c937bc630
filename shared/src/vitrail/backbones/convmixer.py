"""ConvMixer of free sizes (Trockman and Kolter, "Patches Are All You Need?", 2022).

Modules bear the names of timm's ConvMixer.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from vitrail.backbones.base import Backbone


class Residual(nn.Module):
    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


def _conv_act_norm(*args, **options) -> nn.Sequential:
    """A convolution, GELU and batch norm, in the order of the paper (figure 2)."""
    conv = nn.Conv2d(*args, **options)
    return nn.Sequential(conv, nn.GELU(), nn.BatchNorm2d(conv.out_channels))


class ConvMixer(Backbone):
    """Patches of ``patch_size`` pixels a side, mixed by ``depth`` blocks of ``dim`` channels: over
    places by a depthwise convolution of ``kernel_size``, over channels by a pointwise one. All maps
    have the resolution of the patches.

    By default the paper's smallest, ConvMixer-256/8 with kernel 9.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        dim: int = 256,
        depth: int = 8,
        kernel_size: int = 9,
        patch_size: int = 7,
    ):
        super().__init__()
        self.num_features = dim
        self.stem = _conv_act_norm(in_chans, dim, patch_size, stride=patch_size)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    Residual(_conv_act_norm(dim, dim, kernel_size, groups=dim, padding="same")),
                    *_conv_act_norm(dim, dim, 1),
                )
                for _ in range(depth)
            )
        )
        self.feature_info = [
            {"num_chs": dim, "reduction": patch_size, "module": f"blocks.{number}"}
            for number in range(depth)
        ]
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        x = self.stem(image)
        for block in self.blocks:
            x = block(x)
            yield x

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features.mean((2, 3)))
