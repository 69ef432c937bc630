"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022).

Modules bear the names of timm's ConvNeXt, under which checkpoints of systems that embed one are
stored.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from vitrail.backbones.base import Backbone
from vitrail.backbones.layers import DropPath, LayerNorm2d, Mlp, drop_path_rates, init_linear

STAGES = 4


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7 convolution, layer norm, an MLP over the channels, layer scale, and a
    residual connection around all (figure 4)."""

    def __init__(self, dim: int, norm_eps: float, ls_init_value: float | None, drop_path: float):
        super().__init__()
        self.conv_dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, 4 * dim)
        self.gamma = (
            None if ls_init_value is None else nn.Parameter(torch.full((dim,), ls_init_value))
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv_dw(x).permute(0, 2, 3, 1)  # (B, H, W, C)
        branch = self.mlp(self.norm(branch)).permute(0, 3, 1, 2)  # (B, C, H, W)
        if self.gamma is not None:
            branch = branch * self.gamma[:, None, None]
        return x + self.drop_path(branch)


class Stage(nn.Module):
    """Blocks of one width, after a 2x2 convolution where the map is halved."""

    def __init__(self, in_chans: int, blocks: Sequence[ConvNeXtBlock], dim: int, halve: bool, norm):
        super().__init__()
        self.downsample = (
            nn.Sequential(norm(in_chans), nn.Conv2d(in_chans, dim, 2, stride=2))
            if halve
            else nn.Identity()
        )
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class Head(nn.Module):
    """Mean over the map, layer norm, one linear layer."""

    def __init__(self, dim: int, num_classes: int, norm_eps: float):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=norm_eps)
        self.fc = nn.Linear(dim, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x.mean((2, 3))))


class ConvNeXt(Backbone):
    """Four stages. ``depths`` and ``dims`` have one value per stage; ``ls_init_value`` None leaves
    layer scale out; ``drop_path_rate`` rises linearly over all blocks up to its value.

    A stem of ``patch_size`` 2 leaves it to the first stage to halve the map once more.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        depths: Sequence[int] = (3, 3, 9, 3),
        dims: Sequence[int] = (96, 192, 384, 768),
        patch_size: int = 4,
        norm_eps: float = 1e-6,
        ls_init_value: float | None = 1e-6,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if not len(depths) == len(dims) == STAGES:
            raise ValueError(f"depths and dims need {STAGES} values each")

        def norm(dim: int) -> nn.Module:
            return LayerNorm2d(dim, eps=norm_eps)

        self.num_features = dims[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, dims[0], patch_size, stride=patch_size), norm(dims[0])
        )
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        reduction, before = patch_size, dims[0]
        stages, self.feature_info = [], []
        for number, (depth, dim) in enumerate(zip(depths, dims, strict=True)):
            halve = number > 0 or patch_size == 2
            blocks = [
                ConvNeXtBlock(dim, norm_eps, ls_init_value, next(rates)) for _ in range(depth)
            ]
            stages.append(Stage(before, blocks, dim, halve, norm))
            reduction, before = reduction * (2 if halve else 1), dim
            self.feature_info.append(
                {"num_chs": dim, "reduction": reduction, "module": f"stages.{number}"}
            )
        self.stages = nn.Sequential(*stages)
        self.head = Head(dims[-1], num_classes, norm_eps)
        self.apply(init_linear)

    def maps(self, image: Tensor) -> Iterator[Tensor]:
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
            yield x

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features)
