"""The image detector in TGBFormer: from maps to tokens, from tokens to boxes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from video_detect.models.config import Config
from video_detect.models.deformable import (
    MLP,
    DecoderLayer,
    EncoderLayer,
    Shapes,
    inverse_sigmoid,
    proposal_boxes,
    sine_boxes,
    sine_position,
    token_centres,
    valid_ratios,
)

PRIOR = -4.59511985  # log(0.01 / 0.99): few places hold anything
GROUPS = 32
BOX_SINES = 64  # of each of a box's four numbers


@dataclass(frozen=True)
class Tokens:
    """``values`` (B, L, C) of ``shapes``; ``padding`` (B, L) or None, ``ratios`` (B, levels, 2)."""

    values: Tensor
    shapes: Shapes
    padding: Tensor | None
    ratios: Tensor


@dataclass(frozen=True)
class Found:
    """What each decoder layer finds: ``logits`` (layers, B, Q, classes) and ``boxes``
    (layers, B, Q, 4), centre and size in 0..1; with two stages also the proposals' (B, L, …)."""

    logits: Tensor
    boxes: Tensor
    proposal_logits: Tensor | None = None
    proposal_boxes: Tensor | None = None
    queries: Tensor | None = None  # (layers, B, Q, C)
    references: Tensor | None = None  # (layers, B, Q, 2 or 4)


class Projection(nn.Module):
    """Maps of the backbone to ``embed_dim``: merged to one of stride 16, or each a level."""

    def __init__(self, config: Config, channels: list[int]):
        super().__init__()
        self.merged = config.merged
        dim = config.embed_dim
        layers = [self._layer(width, dim, 1) for width in channels]
        for number in range(config.extra_levels):
            layers.append(self._layer(dim if number else channels[-1], dim, 3))
        self.layers = nn.ModuleList(layers)

    @staticmethod
    def _layer(width: int, dim: int, kernel: int) -> nn.Sequential:
        conv = nn.Conv2d(width, dim, kernel, stride=1 if kernel == 1 else 2, padding=kernel // 2)
        nn.init.xavier_uniform_(conv.weight)
        conv.get_parameter("bias").data.zero_()
        return nn.Sequential(conv, nn.GroupNorm(GROUPS, dim))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        levels = [layer(x) for layer, x in zip(self.layers, maps, strict=False)]
        if self.merged:
            return [self._merge(levels)]
        for number in range(len(maps), len(self.layers)):
            levels.append(self.layers[number](maps[-1] if number == len(maps) else levels[-1]))
        return levels

    @staticmethod
    def _merge(levels: list[Tensor]) -> Tensor:
        """On the grid of the second map: finer ones are averaged, coarser ones interpolated."""
        base = levels[1] if len(levels) > 1 else levels[0]
        total = base
        for level in levels:
            if level is base:
                continue
            if level.shape[2] > base.shape[2]:
                total = total + F.avg_pool2d(level, 2)
            else:
                size = (base.shape[2], base.shape[3])
                total = total + F.interpolate(level, size, mode="bilinear", align_corners=False)
        return total


class Encoder(nn.Module):
    """Deformable DETR's encoder: levels (B, C, h, w) to tokens that know of each other."""

    def __init__(self, config: Config):
        super().__init__()
        dim = config.embed_dim
        sizes = (dim, config.num_heads, config.num_levels, config.num_points, config.mlp_dim)
        self.layers = nn.ModuleList(EncoderLayer(*sizes) for _ in range(config.encoder_layers))
        self.level_embed = nn.Parameter(torch.empty(config.num_levels, dim).uniform_(-1, 1))

    def forward(self, levels: list[Tensor], paddings: list[Tensor] | None = None) -> Tokens:
        """``paddings`` (B, h, w) of each level, True where there is no image."""
        shapes = [(level.shape[2], level.shape[3]) for level in levels]
        masks = paddings or [torch.zeros_like(level[:, 0], dtype=torch.bool) for level in levels]
        position = torch.cat(
            [
                sine_position(mask, level.shape[1]).flatten(1, 2) + embed
                for mask, level, embed in zip(masks, levels, self.level_embed, strict=True)
            ],
            1,
        )
        x = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)
        ratios = valid_ratios(masks)
        padding = torch.cat([mask.flatten(1) for mask in paddings], 1) if paddings else None
        reference = token_centres(shapes, ratios)
        for layer in self.layers:
            x = layer(x, position, reference, shapes, padding)
        return Tokens(x, shapes, padding, ratios)


class Decoder(nn.Module):
    """Deformable DETR's decoder with its heads."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        dim, layers = config.embed_dim, config.decoder_layers
        sizes = (dim, config.num_heads, config.num_levels, config.num_points, config.mlp_dim)
        self.layers = nn.ModuleList(DecoderLayer(*sizes) for _ in range(layers))
        own = layers if config.refine else 1  # without refinement all layers share their heads
        self.class_embed = nn.ModuleList(nn.Linear(dim, config.num_classes) for _ in range(own))
        self.bbox_embed = nn.ModuleList(MLP(dim, dim, dim, 4) for _ in range(own))
        if config.two_stage:
            self.enc_output, self.enc_norm = nn.Linear(dim, dim), nn.LayerNorm(dim)
            self.enc_class, self.enc_bbox = (
                nn.Linear(dim, config.num_classes),
                MLP(dim, dim, dim, 4),
            )
            self.query_pos = MLP(4 * BOX_SINES, dim, dim)
        else:
            self.query_embed = nn.Embedding(config.num_queries, 2 * dim)
            self.reference_points = nn.Linear(dim, 2)
            nn.init.xavier_uniform_(self.reference_points.weight)
            nn.init.zeros_(self.reference_points.bias)
        self._start()

    def _start(self) -> None:
        for name, module in self.named_modules():
            if name.startswith(("class_embed.", "enc_class")) and isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, PRIOR)
            if isinstance(module, MLP) and module.last.out_features == 4:
                nn.init.zeros_(module.last.weight)
                nn.init.zeros_(module.last.bias)
        first = self.bbox_embed[0]
        if not self.config.two_stage and isinstance(first, MLP):  # the first boxes are small
            nn.init.constant_(first.last.bias.data[2:], -2.0)

    def forward(self, tokens: Tokens) -> Found:
        if self.config.two_stage:
            x, reference, logits, boxes = self._select(tokens)
            return self._refine(tokens, x, None, reference, logits, boxes)
        batch = tokens.values.shape[0]
        position, x = self.query_embed.weight.chunk(2, -1)
        position, x = (part.expand(batch, *part.shape) for part in (position, x))
        return self._refine(tokens, x, position, self.reference_points(position).sigmoid())

    def _select(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The queries of the most likely places: contents, boxes; and what all places say."""
        values = self.enc_norm(self.enc_output(tokens.values))
        logits = self.enc_class(values)
        start = inverse_sigmoid(proposal_boxes(tokens.shapes, tokens.ratios))
        boxes = (self.enc_bbox(values) + start).sigmoid()
        best = logits.amax(-1)
        if tokens.padding is not None:
            best = best.masked_fill(tokens.padding, -1e4)
        chosen = best.topk(min(self.config.num_queries, best.shape[1]), dim=1).indices[..., None]
        x = values.gather(1, chosen.expand(-1, -1, values.shape[-1])).detach()
        return x, boxes.gather(1, chosen.expand(-1, -1, 4)).detach(), logits, boxes

    def _refine(
        self,
        tokens: Tokens,
        x: Tensor,
        position: Tensor | None,
        reference: Tensor,
        proposal_logits: Tensor | None = None,
        proposals: Tensor | None = None,
    ) -> Found:
        logits, boxes, states, references = [], [], [], []
        for number, layer in enumerate(self.layers):
            scale = tokens.ratios
            scale = torch.cat((scale, scale), -1) if reference.shape[-1] == 4 else scale
            places = reference[:, :, None] * scale[:, None]
            where = position
            if where is None:
                where = self.query_pos(sine_boxes(reference, BOX_SINES))
            x = layer(x, where, places, tokens.values, tokens.shapes, tokens.padding)
            head = number if self.config.refine else 0
            logits.append(self.class_embed[head](x))
            change = self.bbox_embed[head](x)
            known = inverse_sigmoid(reference)
            if known.shape[-1] == 2:
                known = F.pad(known, (0, 2))
            box = (change + known).sigmoid()
            boxes.append(box)
            if self.config.refine:
                reference = box.detach()
            states.append(x)
            references.append(reference)
        return Found(
            torch.stack(logits),
            torch.stack(boxes),
            proposal_logits,
            proposals,
            torch.stack(states),
            torch.stack(references),
        )
