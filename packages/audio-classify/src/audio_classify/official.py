"""The official releases: SSAST's and AST's own checkpoints, AST as the library transformers stores
it, their options and their preprocessing.

Each format of checkpoint is a table of patterns from its keys to ours; sizes are read from the
tensors' shapes.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from audio_classify.models import build_model
from audio_classify.models.config import SIZES, SSASTConfig
from audio_classify.models.pretext import MaskedModel
from audio_classify.models.ssast import SSAST
from audio_classify.sound.features import Features
from vitrail.errors import InputError, UsageError

SAMPLE_RATE = 16_000
AUDIOSET_CLASSES = 527
# Mean and standard deviation of log energies, and the frames of an input, by the data set.
NORMALISATION = {
    "audioset": (-4.2677393, 4.5689974, 1024),
    "esc50": (-6.6268077, 5.358466, 512),
    "speechcommands": (-6.845978, 5.5654526, 128),
}

# Heads of the image model that training started from, and two numbers that the shapes tell as well.
DEAD = re.compile(r"v\.head(_dist)?\.(weight|bias)|p_input_[ft]dim")
OFFICIAL = {
    r"v\.": "trunk.",
    r"mlp_head\.": "head.",
    r"cpredlayer\.": "discriminative.",
    r"gpredlayer\.": "generative.",
    r"mask_embed$": "mask_embed",
}
_STEM, _LAYER = "audio_spectrogram_transformer.", r"encoder\.layer\.(\d+)\."
_EMBEDDINGS, _BLOCK = r"embeddings\.", r"trunk.blocks.\1."
PORT = {
    rf"{_EMBEDDINGS}cls_token": "trunk.cls_token",
    rf"{_EMBEDDINGS}distillation_token": "trunk.dist_token",
    rf"{_EMBEDDINGS}position_embeddings": "trunk.pos_embed",
    rf"{_EMBEDDINGS}patch_embeddings\.projection": "trunk.patch_embed.proj",
    rf"{_LAYER}layernorm_before": f"{_BLOCK}norm1",
    rf"{_LAYER}layernorm_after": f"{_BLOCK}norm2",
    rf"{_LAYER}attention\.attention": f"{_BLOCK}attn",
    rf"{_LAYER}attention\.output\.dense": f"{_BLOCK}attn.proj",
    rf"{_LAYER}intermediate\.dense": f"{_BLOCK}mlp.fc1",
    rf"{_LAYER}output\.dense": f"{_BLOCK}mlp.fc2",
    r"layernorm": "trunk.norm",
    r"classifier\.layernorm": "head.0",
    r"classifier\.dense": "head.1",
}  # its trunk's keys begin with _STEM
PORT_EPS = 1e-12
HEAD_DIM = 64  # of every released size
NUM_BINS = 128
STRIDES = {
    (16, 16): ((10, 10), (16, 16)),
    (128, 2): ((128, 1), (128, 2)),
}  # the likelier of each patch size first
_OPTIONS = {
    "model_size", "embed_dim", "depth", "heads", "mlp_ratio", "num_classes_of_unused_vit_heads",
    "pretrain_stage", "label_dim", "fshape", "tshape", "fstride", "tstride", "input_fdim",
    "input_tdim", "num_patches", "p_f_dim", "p_t_dim", "f_dim", "t_dim", "mask_patch", "batch",
    "seed", "base", "cls_token_num",
}  # fmt: skip


def build(config: Mapping[str, Any]) -> SSAST | MaskedModel:
    """The classifier, or for ``pretrain_stage`` the masked model, from the official option names.

    Without ``pretrain_stage`` a ``label_dim`` means the classifier. UsageError for an option that
    is not official.
    """
    if unknown := sorted(config.keys() - _OPTIONS):
        raise UsageError(
            unknown[0],
            "is not an official option",
            f"the options are {', '.join(sorted(_OPTIONS))}",
        )
    size = config.get("model_size", "base")
    sizes = SIZES[size.removesuffix("_nokd")]
    ours = {
        "embed_dim": config.get("embed_dim", sizes["embed_dim"]),
        "depth": config.get("depth", 12),
        "num_heads": config.get("heads", sizes["num_heads"]),
        "patch": (config["fshape"], config["tshape"]),
        "stride": (config["fstride"], config["tstride"]),
        "num_bins": config["input_fdim"],
        "num_frames": config["input_tdim"],
        "class_tokens": config.get("cls_token_num", 1 if size.endswith("_nokd") else 2),
        "num_classes": config.get("label_dim", 0),
    }
    if config.get("pretrain_stage", "label_dim" not in config):
        return MaskedModel(SSASTConfig(**ours))
    model = build_model("ssast", ours)
    assert isinstance(model, SSAST)
    return model


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of any of the three formats under our keys, without what is dead.

    The prefix ``module.`` may be there or not. Raises InputError for a key that no format knows.
    """
    state = {key.removeprefix("module."): value for key, value in state.items()}
    port = is_port(state)
    renamed, unknown = {}, []
    for key, value in state.items():
        if not port and DEAD.fullmatch(key):
            continue
        ours = _rename(key.removeprefix(_STEM), PORT if port else OFFICIAL)
        if ours is None:
            unknown.append(key)
        else:
            renamed[ours] = value
    if unknown:
        names = ", ".join(unknown[:3])
        raise InputError("checkpoint", f"has {len(unknown)} keys that no AST or SSAST has: {names}")
    return _join_qkv(renamed) if port else renamed


def is_port(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of the library transformers."""
    return any(key.startswith(_STEM) for key in state)


def read_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of the network that a checkpoint under its own keys was saved from.

    A pre-trained one (it has ``mask_embed``) has patches that do not overlap; of others the number
    of positions tells the stride. Raises InputError for a checkpoint of another network.
    """
    ours = convert(state)
    try:
        dim, _, *patch = ours["trunk.patch_embed.proj.weight"].shape
        positions = ours["trunk.pos_embed"].shape[1]
        class_tokens = 2 if "trunk.dist_token" in ours else 1
        stride, columns = _grid(
            (patch[0], patch[1]), positions - class_tokens, pretrained="mask_embed" in ours
        )
    except (KeyError, ValueError):
        raise InputError(
            "checkpoint", "holds neither SSAST nor AST", "give the file that was released"
        ) from None
    port = is_port(state)
    classes = ours["head.1.weight"].shape[0] if "head.1.weight" in ours else 0
    return {
        "num_classes": classes,
        "num_frames": _num_frames(columns, patch[1], stride[1]),
        "num_bins": NUM_BINS,
        "patch": tuple(patch),
        "stride": stride,
        "embed_dim": dim,
        "depth": len({key.split(".")[2] for key in ours if key.startswith("trunk.blocks.")}),
        "num_heads": max(1, dim // HEAD_DIM),
        "class_tokens": class_tokens,
        # The supervised AudioSet models classify by their class tokens, SSAST by the mean of all
        # patches.
        "pooling": "class" if port or classes == AUDIOSET_CLASSES else "mean",
        "norm_eps": PORT_EPS if port else 1e-6,
        "head_norm_eps": PORT_EPS if port else 1e-5,
    }


def features(config: SSASTConfig) -> Features:
    """What a released checkpoint was trained on: its length tells the data set."""
    lengths = {frames: (mean, std) for mean, std, frames in NORMALISATION.values()}
    mean, std = lengths.get(config.num_frames, NORMALISATION["audioset"][:2])
    return Features(SAMPLE_RATE, mean, std, config.num_frames)


def _rename(key: str, patterns: Mapping[str, str]) -> str | None:
    for pattern, ours in patterns.items():
        if match := re.match(pattern, key):
            return match.expand(ours) + key[match.end() :]
    return None


def _join_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The port's three projections per block, as one."""
    for key in [key for key in state if ".attn.query." in key]:
        parts = [state.pop(key.replace("query", name)) for name in ("query", "key", "value")]
        state[key.replace("query", "qkv")] = torch.cat(parts)
    return state


def _grid(patch: tuple[int, int], patches: int, pretrained: bool) -> tuple[tuple[int, int], int]:
    """The stride and the number of columns."""
    for stride in [patch] if pretrained else STRIDES[patch]:
        rows = (NUM_BINS - patch[0]) // stride[0] + 1
        if patches % rows == 0:
            return stride, patches // rows
    raise ValueError(patches)


def _num_frames(columns: int, patch: int, stride: int) -> int:
    """The input length that gives ``columns``: of the possible ones that which divides by 16, if
    any."""
    shortest = (columns - 1) * stride + patch
    lengths = range(shortest, shortest + stride)
    return next((length for length in lengths if length % 16 == 0), shortest)
