"""ViT-FIQA (Atzori et al., "ViT-FIQA: Assessing Face Image Quality using Vision Transformers", ICCV
Workshops 2025): a recognition network that also says how useful a face image is."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from face_quality.models.config import FIQAConfig
from vitrail.backbones.layers import drop_path_rates, init_linear
from vitrail.backbones.vit import Block

NORM_EPS = 1e-5
HEAD_EPS = 2e-5
NEARER = 28  # of the side, which is cut off at each edge of a nearer view


class PatchEmbed(nn.Module):
    """Images (B, 3, S, S) to tokens (B, N, dim)."""

    def __init__(self, config: FIQAConfig):
        super().__init__()
        if config.stem == "patch":
            self.proj = nn.Conv2d(3, config.embed_dim, config.patch_size, config.patch_size)
            return
        layers: list[nn.Module] = []
        before = 3
        for width in config.stem_widths:
            layers += [
                nn.Conv2d(before, width, 3, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            before = width
        self.proj = nn.Sequential(*layers, nn.Conv2d(before, config.embed_dim, 3, 2, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class ViTFIQA(nn.Module):
    """Crops as RGB in -1..1 (B, 3, 112, 112) to an embedding (B, features), not normalised, and a
    quality (B, 1) without bounds, the higher the better.

    Parameter names are the release's.
    """

    def __init__(self, config: FIQAConfig = FIQAConfig()):
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = PatchEmbed(config)
        self.qs_token = None
        if config.mode != "crfiqa":
            self.qs_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.num_tokens, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.blocks = nn.ModuleList(
            Block(
                dim,
                config.num_heads,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=False,
                norm_eps=NORM_EPS,
                drop_path=rate,
                activation=nn.ReLU6,
            )
            for rate in drop_path_rates(config.drop_path, config.depth)
        )
        self.norm = nn.LayerNorm(dim, NORM_EPS)
        seen = config.num_tokens if config.mode == "full" else config.num_patches
        self.feature = nn.Sequential(
            nn.Linear(dim * seen, dim, bias=False),
            nn.BatchNorm1d(dim, HEAD_EPS),
            nn.Linear(dim, config.features, bias=False),
            nn.BatchNorm1d(config.features, HEAD_EPS),
        )
        judged = dim if config.mode == "token" else config.features
        self.head_qs = nn.Sequential(
            nn.BatchNorm1d(judged, HEAD_EPS), nn.Linear(judged, 1, bias=False)
        )
        self.apply(init_linear)
        for table in (self.pos_embed, self.mask_token):
            nn.init.trunc_normal_(table, std=0.02)
        if self.qs_token is not None:
            nn.init.trunc_normal_(self.qs_token, std=1e-6)

    def forward(
        self, images: Tensor, noise: Tensor | None = None, *, keep_token: bool = True
    ) -> tuple[Tensor, Tensor]:
        """With ``noise`` (B, tokens), a tenth of the tokens is left out as in ``masked``."""
        tokens = self.embed(images)
        if noise is None:
            return self.judge(self.encode(tokens))
        protected = keep_token and self.qs_token is not None
        return self.judge(self.masked(tokens, noise, protected))

    def embed(self, images: Tensor) -> Tensor:
        """Tokens (B, tokens, dim) with their positions, the quality token first."""
        tokens = self.patch_embed(images)
        if self.qs_token is not None:
            tokens = torch.cat((self.qs_token.expand(tokens.shape[0], -1, -1), tokens), dim=1)
        return tokens + self.pos_embed

    def encode(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens.float())

    def masked(self, tokens: Tensor, noise: Tensor, keep_token: bool, share: float = 0.1) -> Tensor:
        """``encode`` without the ``share`` of the tokens that have the highest ``noise``, in whose
        places the mask token stands afterwards.

        The release drops the quality token too, whose sample is then judged by a constant;
        ``keep_token`` never does.
        """
        if keep_token:
            noise = torch.cat((noise.new_full((len(noise), 1), -1.0), noise[:, 1:]), dim=1)
        kept = int((1 - share) * tokens.shape[1])
        order = noise.argsort(dim=1)
        chosen = order[:, :kept, None].expand(-1, -1, tokens.shape[2])
        seen = self.encode(tokens.gather(1, chosen))
        whole = self.mask_token.to(seen.dtype).expand(len(tokens), tokens.shape[1], -1)
        return whole.scatter(1, chosen, seen)

    def judge(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The embedding and the quality of encoded tokens."""
        patches = tokens[:, 1:] if self.config.mode == "token" else tokens
        embedding = self.feature(patches.flatten(1))
        judged = tokens[:, 0] if self.config.mode == "token" else embedding
        return embedding, self.head_qs(judged)


class Scorer(nn.Module):
    """What a job runs: crops as RGB of 0..255, uint8 (B, 3, 112, 112), to the quality (B, 1), with
    ``embeds`` followed by the normalised embedding (B, 1 + features): the mean over the views that
    the config wants.

    ``exit_block`` reads the quality after that many blocks (EX-FIQA). What a score does not need is
    thrown away: blocks beyond, and for a quality token the large layer of the embedding.
    """

    def __init__(self, model: ViTFIQA, *, exit_block: int | None = None, embeds: bool = False):
        super().__init__()
        self.model, self.embeds = model, embeds
        if exit_block is not None:
            del model.blocks[exit_block:]
        if model.config.mode == "token" and not embeds:
            del model.feature

    def forward(self, crops: Tensor) -> Tensor:
        seen = [self._judge(view) for view in self._views(crops.float() / 127.5 - 1)]
        total = seen[0]
        for one in seen[1:]:
            total = total + one
        quality, embedding = total[:, :1] / len(seen), total[:, 1:]
        if not self.embeds:
            return quality
        unit = embedding / embedding.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        return torch.cat((quality, unit), dim=1)

    def _views(self, images: Tensor) -> list[Tensor]:
        """What a score is the mean over, as ``FIQAConfig.views`` has it."""
        count, side = self.model.config.views, self.model.config.img_size
        views = [images]
        if count == 4:
            edge = side // NEARER
            near = images[:, :, edge : side - edge, edge : side - edge]
            views.append(F.interpolate(near, (side, side), mode="bilinear", align_corners=False))
        return views + [view.flip(3) for view in views] if count > 1 else views

    def _judge(self, images: Tensor) -> Tensor:
        """Quality (B, 1), with ``embeds`` followed by the embedding."""
        tokens = self.model.encode(self.model.embed(images))
        if self.model.config.mode == "token" and not self.embeds:
            return self.model.head_qs(tokens[:, 0])
        embedding, quality = self.model.judge(tokens)
        return torch.cat((quality, embedding), dim=1) if self.embeds else quality
