"""UniTransPose: windowed local attention and joint tokens on four scales, decoded by sub-pixel
convolutions and by regression at once."""

import itertools

import torch
from torch import Tensor, nn

from pose_estimate.models.config import UniTransPoseConfig
from pose_estimate.models.decoders import PixelShuffleDecoder, RegressionHead
from pose_estimate.models.evitpose import Answer
from pose_estimate.models.jagl import JAGLBlock
from vitrail.backbones.layers import LayerNorm2d, drop_path_rates, init_linear
from vitrail.backbones.lite import DIMS, LiteTrunk


class Scale(nn.Module):
    """One scale: the joints brought to its width, then its blocks, on a map (B, C, H, W)."""

    def __init__(self, config: UniTransPoseConfig, number: int, rates: list[float]):
        super().__init__()
        dim, before = config.dims[number], config.dims[max(number - 1, 0)]
        self.joint_proj = nn.Linear(before, dim) if number else nn.Identity()
        self.blocks = nn.ModuleList(
            JAGLBlock(
                dim,
                config.num_heads[number],
                config.window,
                shifted=config.shift and block % 2 == 1,
                mlp_ratio=config.mlp_ratio,
                joint_mlp_ratio=config.joint_mlp_ratio,
                gate=config.gate,
                drop_path=rate,
            )
            for block, rate in enumerate(rates)
        )

    def forward(self, x: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
        size = (x.shape[2], x.shape[3])
        tokens, joints = x.flatten(2).transpose(1, 2), self.joint_proj(joints)
        for block in self.blocks:
            tokens, joints = block(tokens, joints, size)
        return tokens.transpose(1, 2).unflatten(2, size), joints


class UniTransPose(nn.Module):
    """Normalised RGB crops (B, 3, H, W), sides multiples of 32, to heat maps and coordinates."""

    def __init__(self, config: UniTransPoseConfig = UniTransPoseConfig()):
        super().__init__()
        self.config = config
        dims = config.dims
        self.lite = LiteTrunk(32) if config.stem == "lite" else None
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, dim, 1)
            for channels, dim in zip(DIMS.values(), dims, strict=True)
            if self.lite is not None
        )
        self.stem = nn.Sequential(
            nn.Conv2d(3, dims[0] // 2, 3, 2, 1),
            LayerNorm2d(dims[0] // 2),
            nn.GELU(),
            nn.Conv2d(dims[0] // 2, dims[0], 3, 2, 1),
        )
        self.downsample = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, dim, 2, 2), LayerNorm2d(dim))
            for before, dim in itertools.pairwise(dims)
        )
        rates, first = drop_path_rates(config.drop_path, sum(config.depths)), 0
        self.scales = nn.ModuleList()
        for number, depth in enumerate(config.depths):
            self.scales.append(Scale(config, number, rates[first : first + depth]))
            first += depth
        self.norms = nn.ModuleList(LayerNorm2d(dim) for dim in dims)
        self.joint_tokens = nn.Parameter(torch.zeros(1, config.num_joints, dims[0]))
        self.decoder = self.regression_head = None
        if "heatmap" in config.heads:
            self.decoder = PixelShuffleDecoder(dims, config.decoder_dim, config.num_joints)
        if "regression" in config.heads:
            self.regression_head = RegressionHead(dims[-1])
        for part in (self.scales, self.regression_head):
            if part is not None:
                part.apply(init_linear)
        nn.init.trunc_normal_(self.joint_tokens, std=0.02)

    def forward(self, images: Tensor) -> Answer:
        """Heat maps (B, K, H/4, W/4) and places (B, K, 3), of the heads that there are; nothing is
        dropped, so that ``kept`` names the cells of the finest scale."""
        maps, joints = self.encode(images)
        cells = maps[0].shape[2] * maps[0].shape[3]
        return Answer(
            None if self.decoder is None else self.decoder(maps),
            None,
            None if self.regression_head is None else self.regression_head(joints),
            torch.arange(cells, device=images.device).expand(images.shape[0], cells),
        )

    def encode(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Normalised maps at strides 4, 8, 16 and 32, and the joints (B, K, 8 C) at the end."""
        sides = [] if self.lite is None else self.lite(images)
        sides = [lateral(side) for lateral, side in zip(self.lateral, sides, strict=True)]
        x = self.stem(images)
        joints = self.joint_tokens.expand(images.shape[0], -1, -1)
        maps = []
        for number, (scale, norm) in enumerate(zip(self.scales, self.norms, strict=True)):
            if number:
                x = self.downsample[number - 1](x)
            if sides:
                x = x + sides[number]
            x, joints = scale(x, joints)
            maps.append(norm(x))
        return maps, joints
