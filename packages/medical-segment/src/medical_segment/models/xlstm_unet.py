"""xLSTM-UNet: nnU-Net's residual U-Net with Vision-LSTM blocks in it, in two and three dimensions.

Chen et al., "xLSTM-UNet can be an Effective 2D & 3D Medical Image Segmentation Backbone with
Vision-LSTM (ViL) better than its Mamba Counterpart" (arXiv 2407.01530). Modules bear the names of
the published checkpoints. Maps are (B, C, H, W) or (B, C, D, H, W).

As released: the decoder upsamples by nearest neighbours and a 1x1 convolution, in two dimensions
its last stage does not look at its skip, and no layer reads the map backwards (``bidirectional``,
ours, adds that).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, cat, nn
from torch.nn import functional as F

from medical_segment.models.vil import ViLLayer
from vitrail.errors import UsageError

SLOPE = 0.01
NORM_EPS = 1e-5
CONVS = {2: nn.Conv2d, 3: nn.Conv3d}
NORMS = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
PLAIN_STAGES = (
    3  # of the 3-D network with ViL in its encoder: their extra layer is a convolution block
)


@dataclass(frozen=True)
class XLSTMUNetConfig:
    """Sizes of a network. ``variant``: ``bot`` has one ViL at the bottleneck and takes any size
    that divides by the strides; ``enc`` has several in the encoder, and where a map has no more
    places than channels the channels are its tokens, which ties the weights to ``patch_size``.

    ``features``, ``strides`` and ``kernels`` are per stage, the latter two a number for all axes or
    one for each; ``encoder_convs`` and ``decoder_convs`` are how many blocks the plan asks for, of
    which the deeper half has one. ``deep_supervision``: in training the network gives logits of all
    decoder stages, the finest first.
    """

    dims: int = 3
    variant: str = "bot"
    in_channels: int = 1
    num_classes: int = 2
    features: Sequence[int] = (32, 64, 128, 256, 320, 320)
    strides: Sequence[int | Sequence[int]] = (1, 2, 2, 2, 2, 2)
    kernels: Sequence[int | Sequence[int]] = (3, 3, 3, 3, 3, 3)
    encoder_convs: int | Sequence[int] = 2
    decoder_convs: int | Sequence[int] = 2
    patch_size: Sequence[int] | None = None
    bidirectional: bool = False
    deep_supervision: bool = True

    def __post_init__(self):
        """Raises UsageError for sizes that do not go together."""
        stages = len(self.features)
        faults = {
            f"dims {self.dims} is neither 2 nor 3": self.dims not in (2, 3),
            f"variant {self.variant} is neither bot nor enc": self.variant not in ("bot", "enc"),
            "features, strides and kernels differ in length": not stages
            == len(self.strides)
            == len(self.kernels),
            "features needs at least two stages": stages < 2,
            "enc needs a patch_size": self.variant == "enc" and not self.patch_size,
            "patch_size has another number of sides": self.patch_size
            and len(self.patch_size) != self.dims,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError("xlstm-unet", fault)

    def axes(self, value: int | Sequence[int]) -> tuple[int, ...]:
        """One number for all axes, or one for each."""
        return (value,) * self.dims if isinstance(value, int) else tuple(value)

    @property
    def encoder_blocks(self) -> list[int]:
        """Blocks per stage: what the plan asks for in the shallower half, one in the deeper."""
        stages = len(self.features)
        return _thinned(self.encoder_convs, stages, math.ceil(stages / 2))

    @property
    def decoder_blocks(self) -> list[int]:
        stages = len(self.features) - 1
        return _thinned(self.decoder_convs, stages, math.ceil(stages / 2 + 0.5))

    @property
    def divisor(self) -> tuple[int, ...]:
        """By what each side of an input must divide."""
        return tuple(math.prod(sides) for sides in zip(*map(self.axes, self.strides), strict=True))

    def places(self, stage: int) -> int:
        """Pixels or voxels of a stage's map, for inputs of ``patch_size``."""
        sides = list(self.patch_size or ())
        for stride in self.strides[: stage + 1]:
            sides = [side // s for side, s in zip(sides, self.axes(stride), strict=True)]
        return math.prod(sides)


def _thinned(counts: int | Sequence[int], stages: int, full: int) -> list[int]:
    counts = [counts] * stages if isinstance(counts, int) else list(counts)
    return [count if stage < full else 1 for stage, count in enumerate(counts)]


class ResBlock(nn.Module):
    """Two convolutions beside a 1x1 shortcut, which has no norm of its own."""

    def __init__(
        self,
        dims: int,
        in_channels: int,
        channels: int,
        kernel: Sequence[int],
        stride: Sequence[int] | int,
    ):
        super().__init__()
        conv, norm = CONVS[dims], NORMS[dims]
        padding = tuple(k // 2 for k in kernel)
        self.conv1 = conv(in_channels, channels, kernel, stride, padding)
        self.norm1 = norm(channels, eps=NORM_EPS, affine=True)
        self.conv2 = conv(channels, channels, kernel, 1, padding)
        self.norm2 = norm(channels, eps=NORM_EPS, affine=True)
        self.conv3 = conv(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE, inplace=True)
        return F.leaky_relu(self.norm2(self.conv2(y)) + self.conv3(x), SLOPE, inplace=True)


class ConvNorm(nn.Module):
    """A convolution and its instance norm."""

    def __init__(self, dims: int, channels: int, kernel: Sequence[int]):
        super().__init__()
        self.conv = CONVS[dims](channels, channels, kernel, 1, tuple(k // 2 for k in kernel))
        self.norm = NORMS[dims](channels, eps=NORM_EPS, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class BasicBlock(nn.Module):
    """Two convolutions beside the input itself."""

    def __init__(self, dims: int, channels: int, kernel: Sequence[int]):
        super().__init__()
        self.conv1 = ConvNorm(dims, channels, kernel)
        self.conv2 = ConvNorm(dims, channels, kernel)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv1(x), SLOPE, inplace=True)
        return F.leaky_relu(self.conv2(y) + x, SLOPE, inplace=True)


class Encoder(nn.Module):
    """Stem and stages; with ``variant`` enc an extra layer after each stage."""

    def __init__(self, config: XLSTMUNetConfig):
        super().__init__()
        dims, features = config.dims, config.features
        kernels, strides = (
            [config.axes(k) for k in config.kernels],
            [config.axes(s) for s in config.strides],
        )
        blocks = config.encoder_blocks
        self.stem = _stage(dims, config.in_channels, features[0], kernels[0], 1, blocks[0])
        self.stages = nn.ModuleList(
            _stage(dims, features[max(0, s - 1)], features[s], kernels[s], strides[s], blocks[s])
            for s in range(len(features))
        )
        if config.variant == "enc":
            self.xlstm_layers = nn.ModuleList(_extra(config, s) for s in range(len(features)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, spatial…) -> the maps of all stages, the finest first."""
        x, maps = self.stem(x), []
        layers = (
            self.xlstm_layers
            if hasattr(self, "xlstm_layers")
            else [nn.Identity()] * len(self.stages)
        )
        for stage, layer in zip(self.stages, layers, strict=True):
            x = layer(stage(x))
            maps.append(x)
        return maps


def _stage(
    dims: int, in_channels: int, channels: int, kernel, stride, blocks: int
) -> nn.Sequential:
    rest = (BasicBlock(dims, channels, kernel) for _ in range(blocks - 1))
    return nn.Sequential(ResBlock(dims, in_channels, channels, kernel, stride), *rest)


def _extra(config: XLSTMUNetConfig, stage: int) -> nn.Module:
    """What follows a stage of the encoder: ViL, a convolution block, or nothing."""
    stages, channels = len(config.features), config.features[stage]
    if config.dims == 3:
        plain, vil = stage < PLAIN_STAGES, stage >= PLAIN_STAGES
    else:
        plain, vil = stage == 1, stage > 1 and (stage % 2 == 1) != (stages % 2 == 1)
    if plain:
        return BasicBlock(config.dims, channels, config.axes(config.kernels[stage]))
    if not vil:
        return nn.Identity()
    channel_tokens = config.places(stage) <= channels
    dim = config.places(stage) if channel_tokens else channels
    return ViLLayer(dim, channel_tokens, config.bidirectional)


class Upsample(nn.Module):
    """Nearest neighbours, then a 1x1 convolution to the skip's channels."""

    def __init__(self, dims: int, in_channels: int, channels: int, stride: Sequence[int]):
        super().__init__()
        self.stride = tuple(float(s) for s in stride)
        self.conv = CONVS[dims](in_channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # Nearest neighbours and a 1x1 convolution commute, and the convolution is cheaper on the
        # small map.
        return F.interpolate(self.conv(x), scale_factor=self.stride, mode="nearest")


class Decoder(nn.Module):
    """From the bottleneck up; every stage can give logits."""

    def __init__(self, config: XLSTMUNetConfig):
        super().__init__()
        dims, features, blocks = config.dims, config.features, config.decoder_blocks
        stages, upsample, heads = [], [], []
        for j in range(len(features) - 1):
            below, here = features[-(j + 1)], features[-(j + 2)]
            upsample.append(Upsample(dims, below, here, config.axes(config.strides[-(j + 1)])))
            skips = 1 if dims == 2 and j == len(features) - 2 else 2
            stages.append(
                _stage(
                    dims, skips * here, here, config.axes(config.kernels[-(j + 2)]), 1, blocks[j]
                )
            )
            heads.append(CONVS[dims](here, config.num_classes, 1))
        self.stages, self.upsample_layers = nn.ModuleList(stages), nn.ModuleList(upsample)
        self.seg_layers = nn.ModuleList(heads)
        self.last_skip = dims == 3

    def forward(self, maps: Sequence[Tensor], all_stages: bool) -> list[Tensor]:
        """Maps of the encoder -> logits, the finest first; of the finest stage alone unless
        ``all_stages``."""
        x, outputs, last = maps[-1], [], len(self.stages) - 1
        for j, (stage, up) in enumerate(zip(self.stages, self.upsample_layers, strict=True)):
            x = up(x)
            # As released: in two dimensions the last stage does not look at its skip.
            if j < last or self.last_skip:
                x = cat([x, maps[-(j + 2)]], dim=1)
            x = stage(x)
            if all_stages or j == last:
                outputs.append(self.seg_layers[j](x))
        return outputs[::-1]


class XLSTMUNet(nn.Module):
    """Logits for each pixel or voxel; in training, with deep supervision, a list of them, the
    finest first."""

    def __init__(self, config: XLSTMUNetConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if config.variant == "bot":
            self.xlstm = ViLLayer(config.features[-1], bidirectional=config.bidirectional)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """(B, C, spatial…) -> logits (B, K, spatial…)."""
        deep = self.training and self.config.deep_supervision
        outputs = self.decoder(self.features(image), all_stages=deep)
        return outputs if deep else outputs[0]

    def features(self, image: Tensor) -> list[Tensor]:
        """(B, C, spatial…) -> the maps of the encoder, the finest first; UsageError for a size it
        cannot take."""
        self._check(tuple(image.shape[2:]))
        maps = self.encoder(image)
        return [*maps[:-1], self.xlstm(maps[-1])] if self.config.variant == "bot" else maps

    def _check(self, size: tuple[int, ...]) -> None:
        config = self.config
        wanted = tuple(config.patch_size or ())
        if config.variant == "enc" and size != wanted:
            raise UsageError("xlstm-unet", f"takes {wanted} only, not {size}", "cut windows")
        if any(side % divisor for side, divisor in zip(size, config.divisor, strict=True)):
            raise UsageError("xlstm-unet", f"{size} does not divide by {config.divisor}", "pad it")
