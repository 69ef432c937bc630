"""TGBFormer (Qi and Wang, AAAI 2025): objects in all frames of a window at once."""

import torch
from torch import Tensor, nn

from video_detect.models.blender import Blender
from video_detect.models.config import Config
from video_detect.models.detector import Decoder, Encoder, Found, Projection, Tokens
from video_detect.models.graph import GraphFormer
from video_detect.models.temporal import TemporalTransformer
from vitrail.architectures import build
from vitrail.backbones import create_backbone
from vitrail.backbones.lite import DIMS, ConvNorm, InvertedResidual, LiteTrunk, Stage

LITE = "efficientnet_lite0"  # the backbone whose head can hint at classes
LAST = Stage(1, 3, 1, 6, 320)  # the stage behind the trunk's, which only the head sees
HEAD_DIM = 1280


class TGBFormer(nn.Module):
    """Backbone and encoder frame by frame, the two branches and their blender over a window, the
    decoder frame by frame.

    ``net`` chooses what stands between encoder and decoder: ``both`` branches blended, one of
    them, or nothing (``single``: Deformable DETR).
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.backbone, channels = _backbone(config)
        self.project = Projection(config, channels)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        if config.num_levels == 1:
            self.temporal = TemporalTransformer(
                dim, config.num_heads, config.mlp_dim, config.radius, config.temporal_layers
            )
            self.graph_former = GraphFormer(
                dim,
                config.graph_blocks,
                config.graph_layers,
                config.neighbours,
                config.graph_window,
                config.graph_mlp_ratio,
            )
            self.blend = Blender(dim, config.gate)

    def features(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W), sides multiples of 32, to the backbone's maps."""
        return self.backbone(images)

    def encode(self, maps: list[Tensor], paddings: list[Tensor] | None = None) -> Tokens:
        return self.encoder(self.project(maps), paddings)

    def remember(self, images: Tensor) -> Tensor:
        """What is kept of each frame: (B, C, h, w)."""
        return as_map(self.encode(self.features(images)))

    def mix(
        self, memory: Tensor, net: str = "both", times: Tensor | None = None,
        padding: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """The memory (B, N, C, h, w) of the frames of a window, enriched by one another."""
        if net == "single":
            return memory
        if times is None:
            times = torch.arange(memory.shape[1], device=memory.device)
        if net == "transformer":
            return self.temporal(memory, times, padding)
        if net == "graph":
            return self.graph_former(memory, padding)
        return self.blend(self.temporal(memory, times, padding), self.graph_former(memory, padding))

    def find(self, memory: Tensor) -> Found:
        """Objects in frames (B, C, h, w) each for itself."""
        return self.decoder(as_tokens(memory))

    def forward(self, clip: Tensor, net: str = "both") -> Found:
        """Frames (N, 3, H, W) of one window; N takes the place of the batch in what is found."""
        memory = self.remember(clip)
        return self.find(self.mix(memory[None], net)[0])


class FramePart(nn.Module):
    """uint8 or float RGB 0..255 (B, 3, H, W) to the memory of each, (B, C, h, w)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: TGBFormer, mean: Tensor, std: Tensor):
        super().__init__()
        self.model = model
        self.register_buffer("mean", mean.view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", std.view(3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.model.remember((images - self.mean) / self.std)


class ClipPart(nn.Module):
    """The memory of windows (B, N, C, h, w) to logits (B, N, Q, classes) and boxes (B, N, Q, 4);
    with ``gates`` also the transformer's share at each token, (B, N, h, w)."""

    def __init__(self, model: TGBFormer, net: str):
        super().__init__()
        self.model, self.net = model, net

    def forward(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.model.mix(memory, self.net)
        found = self.model.find(mixed.flatten(0, 1))
        shape = (memory.shape[0], memory.shape[1])
        logits, boxes = found.logits[-1], found.boxes[-1]
        return logits.view(*shape, *logits.shape[1:]), boxes.view(*shape, *boxes.shape[1:])


class LiteMaps(nn.Module):
    """EfficientNet-Lite0's maps, those of ``indices`` (2: stride 4, 3: stride 8, and so on); with
    ``hints`` also what its classifying features say of each of so many groups of classes at each
    place of the last."""

    def __init__(self, indices: tuple[int, ...], hints: int):
        super().__init__()
        self.strides = [2 ** (number + 1) for number in indices]
        self.trunk = LiteTrunk(32 if hints else max(self.strides))
        last = InvertedResidual(DIMS[32], LAST, 1), ConvNorm(LAST.dim, HEAD_DIM)
        self.head = nn.Sequential(*last) if hints else None
        self.hint = nn.Conv2d(HEAD_DIM, hints, 1) if hints else None

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = dict(zip(self.trunk.strides, self.trunk(images), strict=True))
        wanted = [maps[stride] for stride in self.strides]
        if self.head is None or self.hint is None:
            return wanted
        return [*wanted, self.hint(self.head(maps[32]))]


def as_tokens(memory: Tensor) -> Tokens:
    """A map (B, C, h, w) without padding as the tokens of one level."""
    ratios = torch.ones_like(memory[:, :1, 0, :2])
    shapes = [(memory.shape[2], memory.shape[3])]
    return Tokens(memory.flatten(2).transpose(1, 2), shapes, None, ratios)


def as_map(tokens: Tokens) -> Tensor:
    """Tokens of one level as a map (B, C, h, w)."""
    (shape,) = tokens.shapes
    return tokens.values.transpose(1, 2).unflatten(2, shape)


def _backbone(config: Config) -> tuple[nn.Module, list[int]]:
    if config.backbone == LITE:
        body = LiteMaps(config.maps, config.hints)
        hints = [config.hints] if config.hints else []
        return body, [*(DIMS[stride] for stride in body.strides), *hints]
    if config.dilated:
        maps = create_backbone(config.backbone, features=config.maps, output_stride=16)
    else:
        maps = create_backbone(config.backbone, features=config.maps)
    return maps, maps.feature_info.channels()


ARCHITECTURES = {"tgbformer": (TGBFormer, Config)}


def build_model(architecture: str, options: dict) -> TGBFormer:
    """With fresh weights; UsageError for an architecture or an option that does not exist."""
    return build(ARCHITECTURES, architecture, options)


__all__ = ["ARCHITECTURES", "ClipPart", "Config", "FramePart", "TGBFormer", "build_model"]
