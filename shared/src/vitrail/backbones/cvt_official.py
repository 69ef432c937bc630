"""The bridge to official CvT checkpoints: option names, and key names of every source.

Official files have our names (``stage0.blocks.0…``). The transformers port renames all of them
(``cvt.encoder.stages…``, ``classifier``), and networks that embed either put a prefix of their own
before that.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitrail.backbones import create_backbone
from vitrail.backbones.cvt import CvT
from vitrail.errors import InputError
from vitrail.preprocess.image import normalise

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
OPTIONS = {
    "PATCH_SIZE": "kernels",
    "PATCH_STRIDE": "strides",
    "PATCH_PADDING": "paddings",
    "DIM_EMBED": "dims",
    "NUM_HEADS": "num_heads",
    "DEPTH": "depths",
    "MLP_RATIO": "mlp_ratio",
    "DROP_PATH_RATE": "drop_path",
    "QKV_BIAS": "qkv_bias",
    "CLS_TOKEN": "class_token",
    "QKV_PROJ_METHOD": "projection",
    "KERNEL_QKV": "qkv_kernels",
    "PADDING_KV": "kv_paddings",
    "STRIDE_KV": "kv_strides",
    "PADDING_Q": "q_paddings",
    "STRIDE_Q": "q_strides",
}
# Options that change nothing in the released models, with the only values that they have there.
FIXED = {
    "NUM_STAGES": 3,
    "INIT": "trunc_norm",
    "ATTN_DROP_RATE": [0.0] * 3,
    "DROP_RATE": [0.0] * 3,
    "POS_EMBED": [False] * 3,
}
PREFIXES = ("module.", "model.", "backbone.")
PORT = {  # the port's names, in the order in which they are replaced
    r"^(?:cvt\.)?encoder\.stages\.(\d)\.": r"stage\1.",
    r"embedding\.convolution_embeddings\.projection": "patch_embed.proj",
    r"embedding\.convolution_embeddings\.normalization": "patch_embed.norm",
    r"layers\.(\d+)\.layernorm_before": r"blocks.\1.norm1",
    r"layers\.(\d+)\.layernorm_after": r"blocks.\1.norm2",
    r"layers\.(\d+)\.intermediate\.dense": r"blocks.\1.mlp.fc1",
    r"layers\.(\d+)\.attention\.output\.dense": r"blocks.\1.attn.proj",
    r"layers\.(\d+)\.output\.dense": r"blocks.\1.mlp.fc2",
    r"layers\.(\d+)\.attention\.attention\.": r"blocks.\1.attn.",
    r"convolution_projection_(q|k|v)[a-z]+\.convolution_projection": r"conv_proj_\1",
    r"attn\.projection_(q|k|v)[a-z]+": r"attn.proj_\1",
    r"(conv_proj_.)\.convolution": r"\1.conv",
    r"(conv_proj_.)\.normalization": r"\1.bn",
    r"^layernorm\.": "norm.",
    r"^classifier\.": "head.",
}


def build(config: Mapping, num_classes: int = 1000, activation: str = "quick_gelu") -> CvT:
    """A CvT from the official option names; InputError for an option that no released model has."""
    for option, value in config.items():
        if option not in OPTIONS and FIXED.get(option) != value:
            raise InputError(
                "CvT", f"the option {option}: {value} is in no released model", "leave it out"
            )
    ours: dict[str, Any] = {
        OPTIONS[option]: tuple(value) for option, value in config.items() if option in OPTIONS
    }
    model = create_backbone("cvt", num_classes=num_classes, activation=activation, **ours)
    assert isinstance(model, CvT)
    return model


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of an official file, of the transformers port, or of a network that embeds either, to
    ours.

    Nothing is dropped: what is no CvT's is left for ``load_into`` to name. A file from the port
    needs ``activation="gelu"`` (``from_port`` tells).
    """
    return {_convert_key(_strip(key)): value for key, value in state.items()}


def from_port(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are the transformers port's, which computes exact GELU."""
    return any("encoder.stages." in key for key in state)


def _strip(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key.partition(".")[2]
    return key


def _convert_key(key: str) -> str:
    for pattern, ours in PORT.items():
        key = re.sub(pattern, ours, key)
    return key


def prepare_image(image: np.ndarray, size: int = 224) -> Tensor:
    """uint8 RGB (H, W, 3) to (3, size, size) by bicubic resizing as officially, up to 224 pixels
    with a centre crop."""
    picture = Image.fromarray(image)
    if size > 224:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    else:
        short = int(size / 0.875)
        width, height = (short * side // min(picture.size) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = round((width - size) / 2), round((height - size) / 2)
        picture = picture.crop((left, top, left + size, top + size))
    return torch.from_numpy(normalise(np.asarray(picture), MEAN, STD))
