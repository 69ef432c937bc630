"""The audio spectrogram transformer: a plain ViT over patches of a log-mel spectrogram, with two
class tokens.

Gong et al., "SSAST: Self-Supervised Audio Spectrogram Transformer", AAAI 2022 (arXiv 2110.09784),
and its parent "AST" (2021). Spectrograms are normalised filterbanks (B, frames, bins), low
frequencies first. Patches are numbered along time within a row of frequencies, the lowest row
first.

Three parts are ours: the ``conv`` stem, the stem ``speech`` that others' weights can start, and
positions that are cut to the length of the input, so that a short clip needs no padding.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audio_classify.models.config import CNNConfig, SSASTConfig
from audio_classify.models.speech import SpeechStem
from vitrail.backbones.vit import Block


class ConvStem(nn.Module):
    """Halves the spectrogram once per width and once more into the tokens: overlapping patches,
    learned step by step."""

    def __init__(self, widths: Sequence[int], embed_dim: int):
        super().__init__()
        layers = [
            (nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.GELU())
            for a, b in pairwise((1, *widths))
        ]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))
        self.proj = nn.Conv2d(widths[-1], embed_dim, 2, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(self.features(image))


class PatchStem(nn.Module):
    """One convolution, its kernel a patch."""

    def __init__(self, patch: Sequence[int], stride: Sequence[int], embed_dim: int):
        super().__init__()
        kernel, step = (patch[0], patch[1]), (stride[0], stride[1])
        self.proj = nn.Conv2d(1, embed_dim, kernel, step)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


def build_stem(config: SSASTConfig) -> ConvStem | SpeechStem | PatchStem:
    """From a spectrogram image (B, 1, bins, frames) to patches (B, dim, rows, columns)."""
    match config.stem:
        case "conv":
            return ConvStem(config.stem_widths, config.embed_dim)
        case "speech":
            return SpeechStem(config.embed_dim, config.num_bins)
        case _:
            return PatchStem(config.patch, config.stride, config.embed_dim)


class Trunk(nn.Module):
    """Patches to tokens: embedding, positions, pre-norm blocks, a last norm."""

    def __init__(self, config: SSASTConfig):
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = build_stem(config)
        rows, columns = config.grid(config.num_frames)
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.dist_token = nn.Parameter(torch.empty(1, 1, dim)) if config.class_tokens == 2 else None
        self.pos_embed = nn.Parameter(torch.empty(1, config.class_tokens + rows * columns, dim))
        for parameter in (self.cls_token, self.dist_token, self.pos_embed):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)
        drops = [
            config.drop_path * number / max(1, config.depth - 1) for number in range(config.depth)
        ]
        self.blocks = nn.Sequential(
            *(
                Block(dim, config.num_heads, norm_eps=config.norm_eps, drop_path=drop)
                for drop in drops
            )
        )
        self.norm = nn.LayerNorm(dim, eps=config.norm_eps)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> (B, class tokens + patches, dim)."""
        return self.encode(self.embed(spectrogram))

    def embed(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> patches (B, rows, columns, dim) without positions."""
        image = spectrogram.transpose(1, 2).unsqueeze(1)  # (B, 1, bins, frames)
        return self.patch_embed(image).permute(0, 2, 3, 1)

    def encode(self, patches: Tensor) -> Tensor:
        """(B, rows, columns, dim) -> (B, class tokens + rows * columns, dim), the columns being the
        first in time."""
        tokens = (patches + self._positions(patches.shape[2])).flatten(1, 2)
        heads = [self.cls_token] if self.dist_token is None else [self.cls_token, self.dist_token]
        heads = (
            torch.cat(list[Tensor](heads), dim=1) + self.pos_embed[:, : self.config.class_tokens]
        )
        tokens = torch.cat([heads.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        return self.norm(self.blocks(tokens))

    def _positions(self, columns: int) -> Tensor:
        """(1, rows, columns, dim), those of the first ``columns``."""
        rows, longest = self.config.grid(self.config.num_frames)
        return self.pos_embed[:, self.config.class_tokens :].unflatten(1, (rows, longest))[
            :, :, :columns
        ]


class SSAST(nn.Module):
    """The classifier: trunk, pooling, norm, one linear layer."""

    def __init__(self, config: SSASTConfig):
        super().__init__()
        self.config = config
        self.trunk = Trunk(config)
        self.head = nn.Identity()
        if config.num_classes:
            norm = nn.LayerNorm(config.embed_dim, eps=config.head_norm_eps)
            self.head = nn.Sequential(norm, nn.Linear(config.embed_dim, config.num_classes))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins), at least one patch and at most ``num_frames`` long -> logits (B,
        classes)."""
        return self.head(self.embedding(spectrogram))

    def embedding(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> (B, dim)."""
        return pool(self.trunk(spectrogram), self.config.pooling, self.config.class_tokens)

    def judge(self, heard: Tensor) -> Tensor:
        """Logits (B, classes) from what the stem ``speech`` hears."""
        patches = self.trunk.patch_embed.proj(heard).permute(0, 2, 3, 1)
        tokens = self.trunk.encode(patches)
        return self.head(pool(tokens, self.config.pooling, self.config.class_tokens))


def pool(tokens: Tensor, pooling: str, class_tokens: int) -> Tensor:
    """(B, tokens, dim) -> (B, dim): the mean of the ``class`` tokens, or of all others."""
    return (tokens[:, :class_tokens] if pooling == "class" else tokens[:, class_tokens:]).mean(
        dim=1
    )


def resize_positions(
    positions: Tensor, old: tuple[int, int], new: tuple[int, int], class_tokens: int
) -> Tensor:
    """(1, class tokens + rows * columns, dim) of the grid ``old`` for the grid ``new``, both (rows,
    columns).

    Shorter axes keep the middle, longer ones are interpolated linearly. Source: SSAST's fine-tuning
    code, without its fixed sizes.
    """
    heads, patches = positions[:, :class_tokens], positions[:, class_tokens:]
    patches = patches.transpose(1, 2).unflatten(2, old)  # (1, dim, rows, columns)
    for axis, (before, after) in enumerate(zip(old, new, strict=True), start=2):
        if after < before:
            patches = patches.narrow(axis, before // 2 - after // 2, after)
    if tuple(patches.shape[2:]) != tuple(new):
        patches = F.interpolate(patches, new, mode="bilinear", align_corners=False)
    return torch.cat([heads, patches.flatten(2).transpose(1, 2)], dim=1)


class WithEmbedding(nn.Module):
    """A classifier that gives its logits and, after them, the embedding that it judged by."""

    def __init__(self, module: "SSAST | AudioCNN"):
        super().__init__()
        self.module = module

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> (B, classes + dim)."""
        embedding = self.module.embedding(spectrogram)
        if isinstance(self.module.head, nn.Identity):
            return embedding
        return torch.cat([self.module.head(embedding), embedding], dim=1)


class AudioCNN(nn.Module):
    """The yardstick: four convolutions of stride 2 and one linear layer, trained by the same
    recipes."""

    def __init__(self, config: CNNConfig):
        super().__init__()
        self.config = config
        layers = [
            (nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise((1, *config.widths))
        ]
        self.features = nn.Sequential(*(layer for group in layers for layer in group))
        self.head = nn.Linear(2 * config.widths[-1], config.num_classes)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> logits (B, classes)."""
        return self.head(self.embedding(spectrogram))

    def embedding(self, spectrogram: Tensor) -> Tensor:
        """(B, frames, bins) -> the map's mean and maximum (B, 2 * last width)."""
        maps = self.features(spectrogram.transpose(1, 2).unsqueeze(1))
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)
