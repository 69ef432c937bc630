"""How many multiply-accumulates a crop costs, by formula; in thousand millions (GMACs)."""

import math

from pose_estimate.models.config import EViTPoseConfig

GIGA = 1e9
# EfficientNet-Lite0's multiply-accumulates for each cell of its maps at each stride, and the
# channels of the two that are taken; held against its layers by a test, so that no PyTorch is
# needed here.
TRUNK = {2: 3_200, 4: 14_832, 8: 44_160, 16: 697_680, 32: 1_559_328}
FINE_DIM, COARSE_DIM = 112, 192


def evitpose_gmacs(config: EViTPoseConfig, keep: float = 1.0) -> dict[str, float]:
    """The parts ``stem``, ``blocks``, ``ranking`` and ``decoder``, where ``keep`` of the patches
    that are there stay after each block of ``select_after``."""
    dim, joints = config.embed_dim, config.num_joints if config.joint_tokens else 0
    stages = set(config.select_after) if keep < 1 else set()
    patches, blocks, ranking = config.num_patches, 0.0, 0.0
    for number in range(1, config.depth + 1):
        blocks += block_macs(dim, patches + joints, config.mlp_ratio)
        if stages and number <= max(stages):
            ranking += dim * joints * (patches + joints)
        if number in stages:
            patches = max(round(keep * patches), 1)
    return {
        "stem": _stem_macs(config) / GIGA,
        "blocks": blocks / GIGA,
        "ranking": ranking / GIGA,
        "decoder": _decoder_macs(config) / GIGA,
    }


def keep_for(config: EViTPoseConfig, gmacs: float) -> float | None:
    """The largest share of patches, in steps of one patch, whose cost is at most ``gmacs``; None
    where even one patch costs more."""
    for count in range(config.num_patches, 0, -1):
        keep = count / config.num_patches
        if sum(evitpose_gmacs(config, keep).values()) <= gmacs:
            return keep
    return None


def block_macs(dim: int, tokens: int, mlp_ratio: float = 4.0) -> float:
    """Of one block: projections and MLP are linear in the tokens, attention is quadratic."""
    return (4 + 2 * mlp_ratio) * dim**2 * tokens + 2 * dim * tokens**2


def _stem_macs(config: EViTPoseConfig) -> float:
    if config.stem == "patch":
        return config.num_patches * 3 * 16**2 * config.embed_dim
    areas = {stride: math.prod(side // stride for side in config.img_size) for stride in TRUNK}
    macs = sum(areas[stride] * each for stride, each in TRUNK.items())
    return macs + (areas[16] * FINE_DIM + areas[32] * COARSE_DIM) * config.embed_dim


def _decoder_macs(config: EViTPoseConfig) -> float:
    height, width = config.heatmap_size
    area, dim, joints = height * width, config.embed_dim, config.num_joints
    macs = 0.0
    if "heatmap" in config.heads and config.decoder == "simple":
        macs += area * 9 * dim * joints
    elif "heatmap" in config.heads:
        filters = config.decoder_filters
        # A deconvolution of stride 2 with kernel 4 touches each output with four of its taps.
        macs += (area / 4 * dim * 4 + area * filters * 4 + area * joints) * filters
    if "token" in config.heads:
        macs += joints * dim * area
    if "regression" in config.heads:
        macs += joints * (dim**2 + 3 * dim)
    return macs
