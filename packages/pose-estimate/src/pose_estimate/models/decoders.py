"""From features to heat maps and coordinates: ViTPose's two decoders, and the heads of the joint
tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClassicDecoder(nn.Module):
    """Two deconvolutions and a 1x1 convolution: (B, C, h, w) to (B, K, 4h, 4w)."""

    def __init__(self, dim: int, filters: int, num_joints: int):
        super().__init__()
        layers: list[nn.Module] = []
        for in_chans in (dim, filters):
            layers += [
                nn.ConvTranspose2d(in_chans, filters, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(inplace=True),
            ]
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(filters, num_joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_layer(self.deconv_layers(x))


class SimpleDecoder(nn.Module):
    """ReLU, bilinear enlargement by four, a 3x3 convolution: (B, C, h, w) to (B, K, 4h, 4w)."""

    def __init__(self, dim: int, num_joints: int):
        super().__init__()
        self.final_layer = nn.Conv2d(dim, num_joints, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(F.relu(x), scale_factor=4.0, mode="bilinear", align_corners=False)
        return self.final_layer(x)


class TokenHead(nn.Module):
    """A heat map from each joint token (B, K, C), as in TokenPose: (B, K, H, W)."""

    def __init__(self, dim: int, size: Sequence[int]):
        super().__init__()
        self.size = tuple(size)
        height, width = self.size
        self.norm = nn.LayerNorm(dim)
        self.proj = nn.Linear(dim, height * width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.proj(self.norm(tokens)).unflatten(2, self.size)


class RegressionHead(nn.Module):
    """Each joint token (B, K, C) to (B, K, 3): x and y in 0..1 of the crop, pixel centres at
    ``(i + 0.5) / size``, and the logarithm of their spread."""

    def __init__(self, dim: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, 3)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        place, spread = self.layers(tokens).split((2, 1), dim=2)
        return torch.cat((place.sigmoid(), spread), dim=2)


class PixelShuffleDecoder(nn.Module):
    """Features at strides 32, 16, 8, 4 (coarsest last in ``maps``) to heat maps at stride 4: each
    scale is enlarged by sub-pixel convolution, joined with the next and refined."""

    def __init__(self, dims: Sequence[int], dim: int, num_joints: int):
        super().__init__()
        ways_in = (dims[-1], *[dim] * (len(dims) - 2))
        self.enlarge = nn.ModuleList(nn.Conv2d(channels, 4 * dim, 1) for channels in ways_in)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, dim, 1) for channels in dims[-2::-1])
        self.refine = nn.ModuleList(_refine(dim) for _ in ways_in)
        self.final_layer = nn.Conv2d(dim, num_joints, 1)
        for layer in self.enlarge:
            assert isinstance(layer, nn.Conv2d)
            icnr_(layer)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = maps[-1]
        steps = zip(self.enlarge, self.lateral, self.refine, maps[-2::-1], strict=True)
        for enlarge, lateral, refine, finer in steps:
            x = F.pixel_shuffle(enlarge(x), 2)
            x = refine(x + lateral(finer))
        return self.final_layer(x)


def icnr_(conv: nn.Conv2d, scale: int = 2) -> None:
    """Starts a sub-pixel convolution such that all pixels of a cell are equal, without which it
    draws a chequerboard (Aitken et al. 2017)."""
    assert conv.bias is not None
    with torch.no_grad():
        for tensor in (conv.weight, conv.bias):
            first = tensor[:: scale**2].clone()
            tensor.copy_(first.repeat_interleave(scale**2, dim=0))


def _refine(dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False),
        nn.Conv2d(dim, dim, 1, bias=False),
        nn.BatchNorm2d(dim),
        nn.GELU(),
    )
