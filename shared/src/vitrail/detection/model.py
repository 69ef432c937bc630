"""A small detector of one kind of thing: anchor-free, four strides, at each point a score, a box
and, where the kind has them, landmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vitrail.backbones.lite import DIMS, LiteTrunk
from vitrail.errors import UsageError

STRIDES = (8, 16, 32, 64)
CENTRE, SPREAD = 128.0, 64.0  # of RGB 0..255, by which it is normalised


@dataclass(frozen=True)
class Config:
    """Channels of the stem, of the stages at strides 4, 8, 16 and 32, and of the neck; ``depths``
    counts the residual blocks at strides 8, 16 and 32. ``trunk``: ``plain`` is made of these,
    ``lite`` is EfficientNet-Lite0 in place of the stem and the stages, which ImageNet weights can
    fill."""

    stem: int = 16
    dims: tuple[int, int, int, int] = (32, 64, 64, 96)
    depths: tuple[int, int, int] = (1, 2, 2)
    neck: int = 48
    trunk: str = "plain"

    def __post_init__(self):
        if self.trunk not in ("plain", "lite"):
            raise UsageError(f"trunk {self.trunk}", "is not known", "give plain or lite")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the maps that the neck takes."""
        fine = self.dims[1:] if self.trunk == "plain" else tuple(DIMS[s] for s in STRIDES[:3])
        return (*fine, self.dims[3])


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(
        self, in_chans: int, out_chans: int, kernel: int = 3, stride: int = 1, groups: int = 1
    ):
        super().__init__(
            nn.Conv2d(in_chans, out_chans, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_chans),
            nn.ReLU(inplace=True),
        )


class Separable(nn.Sequential):
    """A depthwise 3x3 and a pointwise convolution, each with norm and activation."""

    def __init__(self, in_chans: int, out_chans: int, stride: int = 1):
        super().__init__(
            ConvNormAct(in_chans, in_chans, 3, stride, groups=in_chans),
            ConvNormAct(in_chans, out_chans, 1),
        )


class Residual(nn.Module):
    """A dense 3x3 convolution around which its input passes."""

    def __init__(self, dim: int):
        super().__init__()
        self.conv = ConvNormAct(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Backbone(nn.Module):
    """(B, 3, H, W) to maps of (B, C, H/s, W/s) at the strides s of ``STRIDES``; the last one is
    light."""

    def __init__(self, config: Config):
        super().__init__()
        dims = config.dims
        self.stem = nn.Sequential(
            ConvNormAct(3, config.stem, stride=2),
            ConvNormAct(config.stem, dims[0], stride=2),
            Separable(dims[0], dims[0]),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(before, dim, stride=2), *(Residual(dim) for _ in range(depth))
            )
            for before, dim, depth in zip(dims, dims[1:], config.depths, strict=False)
        )
        self.stages.append(
            nn.Sequential(Separable(dims[3], dims[3], stride=2), Separable(dims[3], dims[3]))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)  # B, dims[0], H/4, W/4
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class LiteBackbone(nn.Module):
    """The same from EfficientNet-Lite0."""

    def __init__(self, config: Config):
        super().__init__()
        dim, last = config.widths[-2:]
        self.trunk = LiteTrunk(STRIDES[2])
        self.last = nn.Sequential(Separable(dim, last, stride=2), Separable(last, last))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = self.trunk(x)[1:]
        return [*maps, self.last(maps[-1])]


class Neck(nn.Module):
    """A feature pyramid: coarse maps are enlarged and added to the finer ones (Lin et al. 2017,
    section 3)."""

    def __init__(self, dims: tuple[int, ...], dim: int):
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(in_chans, dim, 1) for in_chans in dims)
        self.smooth = nn.ModuleList(Separable(dim, dim) for _ in dims)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        for fine in reversed(range(len(maps) - 1)):
            maps[fine] = maps[fine] + F.interpolate(
                maps[fine + 1], scale_factor=2.0, mode="nearest"
            )
        return [
            smooth(x) for smooth, x in zip(self.smooth, maps, strict=True)
        ]  # each B, dim, H/s, W/s


class PointDetector(nn.Module):
    """Finds faces, people or the like of about 12 pixels and more.

    ``forward`` takes RGB of 0..255, uint8 or float (B, 3, H, W) with sides that are multiples of
    64, and returns (B, N, 5 + 2 L) for the N = sum(H/s * W/s) points of all strides s, row by row,
    finest stride first: the score's logit, the box (x0, y0, x1, y1) and L = ``landmarks`` of them
    (x, y) in pixels of the input. A thing belongs to the points at its centre (Tian et al. 2019,
    FCOS).
    """

    def __init__(self, config: Config = Config(), landmarks: int = 0):
        super().__init__()
        self.backbone = (Backbone if config.trunk == "plain" else LiteBackbone)(config)
        self.neck = Neck(config.widths, config.neck)
        self.head = nn.Sequential(
            Separable(config.neck, config.neck), nn.Conv2d(config.neck, 1 + 4 + 2 * landmarks, 1)
        )  # shared by all strides: a thing looks the same at each
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[:1], -4.6)  # a score of 0.01 at the start, as things are rare

    def forward(self, images: Tensor) -> Tensor:
        maps = self.neck(self.backbone((images - CENTRE) / SPREAD))
        rows = torch.cat(
            [self.head(x).flatten(2).transpose(1, 2).float() for x in maps], dim=1
        )  # B, N, 5 + 2 L
        points, strides = grid(images.shape[-2:], images.device)
        return decode(rows, points, strides)


def grid(size: Sequence[int], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The points (N, 2) as x, y in pixels of an input of ``size`` (H, W), and their strides (N,
    1)."""
    points, strides = [], []
    for stride in STRIDES:
        rows, columns = (torch.arange(side // stride, device=device) for side in size)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        points.append((torch.stack((x, y), dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((points[-1].shape[0], 1), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def decode(rows: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Distances and offsets (B, N, 5 + 2 L), in strides from each point, to pixels."""
    logit, sides, offsets = rows[..., :1], rows[..., 1:5], rows[..., 5:]
    reach = sides.clamp(max=4.0).exp() * strides  # left, top, right, bottom; never negative
    corners = torch.cat((points - reach[..., :2], points + reach[..., 2:]), dim=-1)
    if rows.shape[-1] == 5:
        return torch.cat((logit, corners), dim=-1)
    landmarks = offsets * strides + points.repeat(1, offsets.shape[-1] // 2)
    return torch.cat((logit, corners, landmarks), dim=-1)


def fold_norms(model: nn.Module) -> nn.Module:
    """Puts each batch norm into the convolution before it: the same numbers in fewer steps. Changes
    ``model``."""
    for module in model.modules():
        if not isinstance(module, ConvNormAct):
            continue
        conv, norm = module[0], module[1]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module[0], module[1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return model
