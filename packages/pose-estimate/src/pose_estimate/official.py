"""The official releases: ViTPose's and ViTPose++'s own checkpoints, and ViTPose as the library
transformers stores it. Of EViTPose and UniTransPose no weights are public.

Each format is a table of patterns from its keys to ours; sizes are read from the tensors' shapes.
"""

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from pose_estimate.models import build_model
from pose_estimate.models.evitpose import EViTPose
from vitrail.errors import InputError, UsageError

# The data sets of ViTPose++, in the order of its experts; the first one's head is the file's own.
DATASETS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")
NUM_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
HEAD_DIM = 64  # of sizes that were never released

OFFICIAL = {
    r"backbone\.last_norm\.": "norm.",
    r"backbone\.": "",
    r"keypoint_head\.": "decoder.",
}
_LAYER, _BLOCK = r"backbone\.encoder\.layer\.(\d+)\.", r"blocks.\1."
PORT = {
    r"backbone\.embeddings\.position_embeddings$": "pos_embed",
    r"backbone\.embeddings\.patch_embeddings\.projection\.": "patch_embed.proj.",
    rf"{_LAYER}attention\.attention\.": f"{_BLOCK}attn.",
    rf"{_LAYER}attention\.output\.dense\.": f"{_BLOCK}attn.proj.",
    rf"{_LAYER}layernorm_before\.": f"{_BLOCK}norm1.",
    rf"{_LAYER}layernorm_after\.": f"{_BLOCK}norm2.",
    rf"{_LAYER}mlp\.(experts\.)?experts\.": f"{_BLOCK}mlp.experts.",
    rf"{_LAYER}mlp\.": f"{_BLOCK}mlp.",
    r"backbone\.layernorm\.": "norm.",
    r"head\.deconv1\.": "decoder.deconv_layers.0.",
    r"head\.batchnorm1\.": "decoder.deconv_layers.1.",
    r"head\.deconv2\.": "decoder.deconv_layers.3.",
    r"head\.batchnorm2\.": "decoder.deconv_layers.4.",
    r"head\.conv\.": "decoder.final_layer.",
}
_EXPERT = re.compile(r"(blocks\.\d+\.mlp)\.experts\.(\d+)\.(weight|bias)")
_OTHER_HEAD = re.compile(r"associate_keypoint_heads\.(\d+)\.(.*)")
_OPTIONS = {
    "img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "qkv_bias",
    "patch_padding", "head", "head_filters", "num_keypoints", "num_expert", "part_features",
    "seed", "flip_pairs",
}  # fmt: skip


def build(config: Mapping[str, Any]) -> EViTPose:
    """ViTPose from the official option names; UsageError for an option that is not official."""
    if unknown := sorted(config.keys() - _OPTIONS):
        known = ", ".join(sorted(_OPTIONS))
        raise UsageError(unknown[0], "is no option of the official release", f"known: {known}")
    options = {
        "img_size": tuple(config["img_size"]),
        "num_joints": config["num_keypoints"],
        "decoder": config["head"],
        "decoder_filters": config.get("head_filters", 256),
    }
    same = ("embed_dim", "depth", "num_heads", "mlp_ratio")
    network = build_model(
        "evitpose",
        {**plain_options(config["depth"]), **options, **{key: config[key] for key in same}},
    )
    assert isinstance(network, EViTPose)
    return network


def plain_options(depth: int) -> dict[str, Any]:
    """What makes ViTPose of EViTPose: no joint tokens."""
    select_after = (min(3, depth - 1),) if depth > 1 else ()
    return {"joint_tokens": False, "heads": ("heatmap",), "select_after": select_after}


def is_official(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of a release."""
    return any(key.startswith(("backbone.", "keypoint_head.")) for key in state)


def experts(state: Mapping[str, Tensor]) -> int:
    """How many data sets a ViTPose++ checkpoint is for; 0 for any other."""
    keys = (_EXPERT.fullmatch(_renamed(key)) for key in state)
    return 1 + max((int(match[2]) for match in keys if match), default=-1)


def convert(state: Mapping[str, Tensor], expert: int = 0) -> dict[str, Tensor]:
    """A release's tensors under our keys. Of ViTPose++ one expert is merged, with its head.

    Raises InputError for an expert or a head that the file does not have.
    """
    heads = {int(match[1]) for key in state if (match := _OTHER_HEAD.match(key))}
    if expert and not 0 < expert < experts(state):
        raise InputError("checkpoint", f"has no expert {expert}", f"it has {experts(state)}")
    if expert and heads and expert - 1 not in heads:
        raise InputError("checkpoint", f"has no head for {DATASETS[expert]}", "choose another")
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        other = _OTHER_HEAD.match(key)
        if other and int(other[1]) == expert - 1:
            ours[f"decoder.{other[2]}"] = value
        elif not other and not (expert and heads and key.startswith("keypoint_head.")):
            ours[_renamed(key)] = value
    return _merge_expert(_join_qkv(ours), expert)


def read_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of ``evitpose`` that tensors under our keys (of ``convert``) tell by their
    shapes.

    The decoder is told by them too, never by a name. Raises InputError for another network, and for
    one whose crops are not of the shape 4 to 3, which the number of positions does not tell.
    """
    try:
        dim = state["patch_embed.proj.weight"].shape[0]
        patches = state["pos_embed"].shape[1] - 1
        hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
        last = state["decoder.final_layer.weight"]
    except (KeyError, IndexError):
        problem = "holds no ViTPose"
        raise InputError("checkpoint", problem, "give the file that was released") from None
    side = isqrt(patches // 12)
    if 12 * side**2 != patches:
        problem = f"its {patches} positions are no grid of 4 rows to 3 columns"
        raise InputError("checkpoint", problem, "give weights for crops of 256 x 192 or their like")
    classic = "decoder.deconv_layers.0.weight" in state
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    return plain_options(depth) | {
        "img_size": (64 * side, 48 * side),
        "num_joints": last.shape[0],
        "embed_dim": dim,
        "depth": depth,
        "num_heads": NUM_HEADS.get(dim, max(1, dim // HEAD_DIM)),
        "mlp_ratio": hidden / dim,
        "decoder": "classic" if classic else "simple",
        "decoder_filters": last.shape[1] if classic else 256,
    }


def _renamed(key: str) -> str:
    patterns = PORT if key.startswith(("backbone.encoder", "backbone.embeddings", "head.")) else {}
    patterns = patterns or ({**PORT, **OFFICIAL} if key.startswith("backbone.") else OFFICIAL)
    for pattern, ours in patterns.items():
        if match := re.match(pattern, key):
            return match.expand(ours) + key[match.end() :]
    return key


def _join_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The port's three projections per block, as one."""
    for key in [key for key in state if ".attn.query." in key]:
        names = [key.replace("query", name) for name in ("query", "key", "value")]
        if not set(names) <= state.keys():
            raise InputError("checkpoint", f"lacks a part of {key}", "download it again")
        state[key.replace("query", "qkv")] = torch.cat([state.pop(name) for name in names])
    return state


def _merge_expert(state: dict[str, Tensor], expert: int) -> dict[str, Tensor]:
    """The second layer of each MLP with the outputs of one expert after the shared ones."""
    for key in [key for key in state if _EXPERT.fullmatch(key)]:
        match = _EXPERT.fullmatch(key)
        assert match
        value, shared = state.pop(key), f"{match[1]}.fc2.{match[3]}"
        if int(match[2]) == expert and shared in state:
            state[shared] = torch.cat((state[shared], value))
    return state
