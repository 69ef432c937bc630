"""EViTPose: a plain vision transformer whose joint tokens tell which patches hold the body; and
ViTPose, which is the same without them (Xu et al. 2022)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pose_estimate.models.config import PATCH, EViTPoseConfig
from pose_estimate.models.decoders import (
    ClassicDecoder,
    RegressionHead,
    SimpleDecoder,
    TokenHead,
)
from vitrail.backbones.layers import drop_path_rates, init_linear
from vitrail.backbones.lite import DIMS, LiteTrunk
from vitrail.backbones.vit import Block

PADDING = 2  # of ViTPose's patch embedding, on every side

Schedule = Sequence[tuple[int, float]]


class Encoded(NamedTuple):
    """``features`` (B, C, rows, columns) of all cells, ``joints`` (B, K, C) or None, ``kept`` (B,
    n) the ascending numbers of the patches that went through all blocks."""

    features: Tensor
    joints: Tensor | None
    kept: Tensor


class Answer(NamedTuple):
    """What the network's heads say: ``heatmaps`` and ``token_maps`` (B, K, H/4, W/4), ``places``
    (B, K, 3) as in ``RegressionHead``; None for heads that it lacks. ``kept`` as in ``Encoded``."""

    heatmaps: Tensor | None
    token_maps: Tensor | None
    places: Tensor | None
    kept: Tensor


class PatchEmbed(nn.Module):
    """ViTPose's one convolution: (B, 3, H, W) to (B, C, H/16, W/16)."""

    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, PATCH, PATCH, PADDING)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images)


class LiteEmbed(nn.Module):
    """EfficientNet-Lite0 in its place: the map at stride 16, and that at stride 32 enlarged onto
    it."""

    def __init__(self, dim: int):
        super().__init__()
        self.trunk = LiteTrunk(2 * PATCH)
        self.proj = nn.Conv2d(DIMS[PATCH], dim, 1)
        self.coarse = nn.Conv2d(DIMS[2 * PATCH], dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine, coarse = self.trunk(images)[-2:]
        return self.proj(fine) + F.interpolate(
            self.coarse(coarse), fine.shape[-2:], mode="bilinear", align_corners=False
        )


class RankingBlock(Block):
    """A transformer's block that can also tell how its last tokens look at the others."""

    def ranked(self, x: Tensor, num_joints: int, reduce: str) -> tuple[Tensor, Tensor]:
        """The block's output for tokens (B, N + K, C), the K joints last; and for each of the N
        patches the mean over heads of the ``max`` or ``mean`` over joints of their attention to it.
        """
        normed = self.norm1(x)
        attn = self.attn
        qkv = attn.qkv(normed).unflatten(2, (3, attn.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        patches = x.shape[1] - num_joints
        looks = (q[:, :, patches:] * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
        looks = looks.softmax(dim=3)[..., :patches]  # B, heads, K, N
        over_joints = looks.amax(dim=2) if reduce == "max" else looks.mean(dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.drop_path(attn.proj(mixed))
        return x + self.drop_path(self.mlp(self.norm2(x))), over_joints.mean(dim=1)


class EViTPose(nn.Module):
    """Normalised RGB crops (B, 3, H, W) to heat maps of joints, through as many patches as
    asked."""

    def __init__(self, config: EViTPoseConfig = EViTPoseConfig()):
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = (LiteEmbed if config.stem == "lite" else PatchEmbed)(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.num_patches + 1, dim))
        rates = drop_path_rates(config.drop_path, config.depth)
        self.blocks = nn.ModuleList(
            RankingBlock(dim, config.num_heads, mlp_ratio=config.mlp_ratio, drop_path=rate)
            for rate in rates
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.joint_tokens = self.joint_pos = None
        if config.joint_tokens:
            self.joint_tokens = nn.Parameter(torch.zeros(1, config.num_joints, dim))
            self.joint_pos = nn.Parameter(torch.zeros(1, config.num_joints, dim))
        self.decoder = self.token_head = self.regression_head = None
        if "heatmap" in config.heads:
            self.decoder = (
                ClassicDecoder(dim, config.decoder_filters, config.num_joints)
                if config.decoder == "classic"
                else SimpleDecoder(dim, config.num_joints)
            )
        if "token" in config.heads:
            self.token_head = TokenHead(dim, config.heatmap_size)
        if "regression" in config.heads:
            self.regression_head = RegressionHead(dim)
        self._start()

    def _start(self) -> None:
        for part in (self.blocks, self.token_head, self.regression_head):
            if part is not None:
                part.apply(init_linear)
        for table in (self.pos_embed, self.joint_tokens, self.joint_pos):
            if table is not None:
                nn.init.trunc_normal_(table, std=0.02)

    def forward(
        self, images: Tensor, schedule: Schedule = (), ranks: Tensor | None = None
    ) -> Answer:
        """``schedule``: after which block (counted from 1) what share of the patches that are there
        stays; ``ranks`` (B, N), the higher the better, is used in place of the joints' attention.
        """
        encoded = self.encode(images, schedule, ranks)
        return Answer(
            None if self.decoder is None else self.decoder(encoded.features),
            None if self.token_head is None else self.token_head(encoded.joints),
            None if self.regression_head is None else self.regression_head(encoded.joints),
            encoded.kept,
        )

    def encode(
        self, images: Tensor, schedule: Schedule = (), ranks: Tensor | None = None
    ) -> Encoded:
        """The features behind the heads; arguments as in ``forward``."""
        stages = {block: share for block, share in schedule if share < 1}
        by_attention = bool(stages) and ranks is None and self.joint_tokens is not None
        x, patches = self.embed(images)
        kept = torch.arange(patches, device=x.device).expand(x.shape[0], patches)
        cells, looked = None, []  # features of all cells once some are dropped; ranks by block
        for number, block in enumerate(self.blocks, 1):
            assert isinstance(block, RankingBlock)
            if by_attention and number <= max(stages):
                x, look = block.ranked(x, self.num_joint_tokens, self.config.rank_joints)
                looked.append(look)
            else:
                x = block(x)
            if number in stages:
                count = max(round(stages[number] * patches), 1)
                order = self._order(x[:, :patches], looked, kept, ranks)
                stays = order.topk(count, dim=1, sorted=False).indices.sort(dim=1).values
                cells = x[:, :patches] if cells is None else _placed(cells, kept, x[:, :patches])
                looked = [look.gather(1, stays) for look in looked]
                kept = kept.gather(1, stays)
                x = torch.cat((_rows(x, stays), x[:, patches:]), dim=1)
                patches = count
        x = self.norm(x)
        features = x[:, :patches]
        if cells is not None:
            ground = self.norm(cells) if self.config.fill == "kept" else torch.zeros_like(cells)
            features = _placed(ground, kept, features)
        features = features.transpose(1, 2).unflatten(2, self.config.grid)
        joints = x[:, patches:] if self.joint_tokens is not None else None
        return Encoded(features, joints, kept)

    def embed(self, images: Tensor) -> tuple[Tensor, int]:
        """Patches, then joints (B, N + K, C), with their positions; and the number N."""
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = x + self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        patches = x.shape[1]
        if self.joint_tokens is not None and self.joint_pos is not None:
            joints = (self.joint_tokens + self.joint_pos).expand(x.shape[0], -1, -1)
            x = torch.cat((x, joints), dim=1)
        return x, patches

    @property
    def num_joint_tokens(self) -> int:
        return 0 if self.joint_tokens is None else self.joint_tokens.shape[1]

    def _order(
        self, patches: Tensor, looked: list[Tensor], kept: Tensor, ranks: Tensor | None
    ) -> Tensor:
        """The rank (B, N) of each patch that is still there: as given, by the joints' attention,
        or,
        without joints, by the norm of its features."""
        if ranks is not None:
            return ranks.gather(1, kept)
        if not looked:
            return patches.norm(dim=2)
        return looked[-1] if self.config.rank_blocks == "last" else torch.stack(looked).mean(dim=0)


def _rows(x: Tensor, numbers: Tensor) -> Tensor:
    """Rows (B, n, C) of x (B, N, C) by their ``numbers`` (B, n)."""
    return x.gather(1, numbers.unsqueeze(2).expand(-1, -1, x.shape[2]))


def _placed(cells: Tensor, numbers: Tensor, rows: Tensor) -> Tensor:
    """``cells`` (B, N, C) with ``rows`` (B, n, C) in the places ``numbers`` (B, n)."""
    return cells.scatter(1, numbers.unsqueeze(2).expand(-1, -1, cells.shape[2]), rows)
