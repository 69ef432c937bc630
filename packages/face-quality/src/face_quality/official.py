"""The names and sizes of the release: ViT-FIQA's checkpoints by their own keys.

Code and weights of the release are under CC BY-NC 4.0: they are read from where the user has them,
and never fetched or bundled.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from face_quality.models.config import FIQAConfig
from vitrail.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

LICENCE = "ViT-FIQA's released weights are under CC BY-NC 4.0: for non-commercial use only"
HEAD_DIM = 64  # of every released network; no shape tells it
REMEDY = "give model.pt of a ViT-FIQA release, or a file that 'vitrail train' wrote"
SIZES = {
    "vit_s_qs": {"embed_dim": 512, "depth": 12, "num_heads": 8},
    "vit_b_qs": {"embed_dim": 512, "depth": 24, "num_heads": 8},
}
_BLOCK = re.compile(r"blocks\.(\d+)\.norm1\.weight")


def read_config(state: "Mapping[str, Tensor]") -> dict[str, Any]:
    """The options of the network that fits the tensors of a checkpoint.

    Without ``qs_token`` it is ViT-FIQA(C); otherwise the width of the embedding's first layer tells
    whether it sees the quality token. InputError for what is no ViT-FIQA.
    """
    try:
        dim, _, patch, _ = state["patch_embed.proj.weight"].shape
        tokens = state["pos_embed"].shape[1]
        width = state["feature.0.weight"].shape[1]
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError("checkpoint", f"is no ViT-FIQA: it lacks {error}", REMEDY) from error
    has_token = "qs_token" in state
    mode = ("full" if width == dim * tokens else "token") if has_token else "crfiqa"
    side = int((tokens - has_token) ** 0.5)
    size = FIQAConfig.img_size if side == FIQAConfig.img_size // patch else side * patch
    return {
        "img_size": size,
        "patch_size": patch,
        "embed_dim": dim,
        "depth": sum(bool(_BLOCK.fullmatch(key)) for key in state),
        "num_heads": max(1, dim // HEAD_DIM),
        "mlp_ratio": hidden / dim,
        "mode": mode,
    }


def learning_rate(step: int, schedule: Mapping[str, float]) -> float:
    """The release's rate after ``step`` steps of its scheduler: the first step runs at the full
    rate, then it grows linearly over ``warmup_iters`` and falls to zero at ``total_iters``."""
    base, warmup, total = (schedule[key] for key in ("base_lr", "warmup_iters", "total_iters"))
    if step == 0:
        return base
    if step <= warmup:
        return base * step / warmup
    return base * (1 - (step - warmup) / (total - warmup)) ** schedule["power"]
