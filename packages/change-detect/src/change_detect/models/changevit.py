"""ChangeViT (Zhu et al., "ChangeViT: Unleashing Plain Vision Transformers in Change Detection",
arXiv 2406.12847): details from convolutions are injected into a plain ViT's map, and what differs
between two dates is decoded from the top down."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from change_detect.models.config import PATCH, ChangeViTConfig
from change_detect.models.detail import LITE_DIMS, LITE_MAP, LiteDetail, ResNetDetail
from change_detect.models.vit import ViT
from vitrail.backbones.layers import Mlp

Maps = list[Tensor]  # c2, c3, c4, c5 of one date


class CrossAttention(nn.Module):
    """Queries (B, N, dim) look at keys (B, M, key_dim): (B, N, dim)."""

    def __init__(self, dim: int, key_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(key_dim, 2 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        kv = self.kv(keys).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        k, v = kv.unbind()  # each (B, heads, M, head dim)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).flatten(2))


class InjectorBlock(nn.Module):
    """Details of one scale into the ViT's tokens (section 3.3 of the paper)."""

    def __init__(self, config: ChangeViTConfig, key_dim: int):
        super().__init__()
        dim, eps = config.embed_dim, config.injector_eps
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.norm2 = nn.LayerNorm(key_dim, eps=eps)
        self.attn = CrossAttention(dim, key_dim, config.injector_heads)
        self.norm3 = nn.LayerNorm(dim, eps=eps)
        activation = nn.ReLU if config.injector_act == "relu" else nn.GELU
        self.mlp = Mlp(dim, dim * config.mlp_ratio, activation)

    def forward(self, tokens: Tensor, details: Tensor) -> Tensor:
        """(B, N, dim) and (B, key_dim, h, w) to (B, N, dim)."""
        keys = self.norm2(details.flatten(2).transpose(1, 2))
        x = tokens + self.attn(self.norm1(tokens), keys)
        return x + self.mlp(self.norm3(x))


class Injector(nn.Module):
    """Three blocks that all start from the same tokens, fused to one map (B, dim, h, w)."""

    def __init__(self, config: ChangeViTConfig, dims: Sequence[int]):
        super().__init__()
        self.scales = nn.ModuleList(InjectorBlock(config, dim) for dim in dims)
        self.fuse = nn.Conv2d(len(dims) * config.embed_dim, config.embed_dim, 1, bias=False)

    def forward(self, tokens: Tensor, details: Maps, grid: tuple[int, int]) -> Tensor:
        parts = [block(tokens, one) for block, one in zip(self.scales, details, strict=True)]
        return self.fuse(torch.cat(parts, 2).transpose(1, 2).unflatten(2, grid))


class Encoder(nn.Module):
    """One date: images (B, 3, H, W) to c2, c3, c4 and the ViT's map with the details in it."""

    def __init__(self, config: ChangeViTConfig):
        super().__init__()
        if config.detail == "lite":
            self.detail, self.dims = LiteDetail(config.tokens == "map"), LITE_DIMS
        else:
            self.detail, self.dims = ResNetDetail(config.detail_dims), tuple(config.detail_dims)
        from_map = (LITE_MAP, 1) if config.tokens == "map" else (3, PATCH)
        self.vit = ViT(config, *from_map)
        self.injector = Injector(config, self.dims)

    def forward(self, image: Tensor) -> Maps:
        details = self.detail(image)
        # The lite branch goes one map deeper where the tokens are made of it.
        tokens = self.vit(details.pop() if len(details) > len(self.dims) else image)
        grid = (image.shape[2] // PATCH, image.shape[3] // PATCH)
        return [*details, self.injector(tokens, details, grid)]


def difference(dim: int, decay: int) -> nn.Sequential:
    """Two dates and the size of their difference (B, 3 * dim, h, w) to what changed
    (B, dim, h, w)."""
    hidden = dim // decay
    return nn.Sequential(
        nn.Conv2d(3 * dim, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(hidden, dim, 3, padding=1, bias=False),
    )


def _up(in_chans: int, out_chans: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_chans, out_chans, 1, bias=False),
        nn.ConvTranspose2d(out_chans, out_chans, 4, 2, 1),
    )


class Decoder(nn.Module):
    """Maps of two dates to logits (B, 1, H, W)."""

    def __init__(self, config: ChangeViTConfig, dims: Sequence[int]):
        super().__init__()
        c2, c3, c4 = dims
        sides = (c2, c3, c4, config.embed_dim)
        self.differences = nn.ModuleList(difference(dim, config.decay) for dim in sides)
        self.up_c5, self.up_c4, self.up_c3 = _up(config.embed_dim, c4), _up(c4, c3), _up(c3, c2)
        self.classifier = nn.Sequential(
            nn.ConvTranspose2d(c2, c2, 4, 2, 1), nn.Conv2d(c2, 1, 3, padding=1, bias=False)
        )
        for up in (self.up_c5, self.up_c4, self.up_c3, self.classifier):
            for layer in up:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, first: Maps, second: Maps) -> Tensor:
        d2, d3, d4, d5 = self.differing(first, second)
        x = d4 + self.up_c5(d5)
        x = d3 + self.up_c4(x)
        return self.classifier(d2 + self.up_c3(x))

    def differing(self, first: Maps, second: Maps) -> Maps:
        pairs = zip(self.differences, first, second, strict=True)
        return [module(torch.cat([x, y, (x - y).abs()], 1)) for module, x, y in pairs]


class ChangeViT(nn.Module):
    """Logits (B, 1, H, W) of change from two normalised images (B, 3, H, W), whose sides are
    multiples of 16."""

    def __init__(self, config: ChangeViTConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config, self.encoder.dims)

    def forward(self, earlier: Tensor, later: Tensor) -> Tensor:
        size = earlier.shape[0]
        maps = self.encoder(torch.cat([earlier, later]))
        return self.compare([one[:size] for one in maps], [one[size:] for one in maps])

    def compare(self, earlier: Maps, later: Maps) -> Tensor:
        """The same from what the encoder made of each date."""
        if self.config.order == "later-first":
            return self.decoder(later, earlier)
        # Training swaps the dates at random, so that one order at a time is enough there.
        if self.config.order == "earlier-first" or self.training:
            return self.decoder(earlier, later)
        pairs = list(zip(earlier, later, strict=True))
        first = [torch.cat([a, b]) for a, b in pairs]
        second = [torch.cat([b, a]) for a, b in pairs]
        logits = self.decoder(first, second)
        return logits.unflatten(0, (2, -1)).mean(0)


class Comparison(nn.Module):
    """The half of a network that comes after its ``encoder``: the maps of the earlier date and
    those of the later one, in a row, to logits (B, 1, H, W)."""

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, *maps: Tensor) -> Tensor:
        half = len(maps) // 2
        return self.network.compare(list(maps[:half]), list(maps[half:]))
