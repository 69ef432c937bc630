"""The bridge to official CvT checkpoints: option names, key names of every source, and the proof on
goldens.

Official files have our names (``stage0.blocks.0…``). The transformers port renames all of them
(``cvt.encoder.stages…``, ``classifier``), and networks that embed either put a prefix of their own
before that.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from vitrail.backbones import create_backbone
from vitrail.errors import InputError
from vitrail.preprocess.image import normalise
from vitrail.testing.parity import Comparison, compare, read_pack, same
from vitrail.weights.files import load_into

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


def build(config: Mapping, num_classes: int = 1000, activation: str = "quick_gelu") -> nn.Module:
    """A CvT from the official option names; InputError for an option that no released model has."""
    for option, value in config.items():
        if option not in OPTIONS and FIXED.get(option) != value:
            raise InputError(
                "CvT", f"the option {option}: {value} is in no released model", "leave it out"
            )
    ours = {OPTIONS[option]: tuple(value) for option, value in config.items() if option in OPTIONS}
    return create_backbone("cvt", num_classes=num_classes, activation=activation, **ours)


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
        return normalise(
            np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))[None], MEAN, STD
        )[0]
    short = int(size / 0.875)
    width, height = (short * side // min(picture.size) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return normalise(
        np.asarray(picture.crop((left, top, left + size, top + size)))[None], MEAN, STD
    )[0]


def check(folder: Path) -> list[Comparison]:
    """Every golden in a folder of the cvt pack's format."""
    comparisons = []
    for path in sorted(Path(folder).glob("*.json")):
        spec, tensors = read_pack(path)
        if path.stem == "manifest":
            found = _check_manifest(spec)
        elif path.stem.startswith("preproc"):
            found = _check_pictures(spec, tensors)
        else:
            found = _check_network(spec, tensors)
        comparisons += [
            Comparison(f"{path.stem}, {item.name}", item.error, item.tolerance) for item in found
        ]
    return comparisons


@torch.no_grad()
def _check_network(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    state = {
        key.removeprefix("weight."): value
        for key, value in tensors.items()
        if key.startswith("weight.")
    }
    image, ours = tensors["input.image"], {}
    for suffix, activation in (("", "quick_gelu"), ("_exact_gelu", "gelu")):
        model = build(spec["config"], spec["num_classes"], activation).eval()
        for keys in (state, _renamed(state, spec.get("key_map_official_to_transformers", {}))):
            load_into(model, convert(keys), subject="golden")
            ours |= {f"{name}{suffix}": value for name, value in _values(model, image).items()}
    for key, expected in tensors.items():
        name = key.partition(".")[2]
        if key.startswith(("mid.", "output.")):
            yield compare(key, ours[name], expected, spec["rtol"], spec["atol"])


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    return {names.get(key, key): value for key, value in state.items()}


def _values(model: nn.Module, image: Tensor) -> dict[str, Tensor]:
    """Everything that the goldens keep, by their names."""
    values = {}
    embedded = model.stage0.patch_embed(image)
    block = model.stage0.blocks[0]
    values["stage0_patch_embed"] = embedded
    values["stage0_block0_attn"] = block.attn(
        block.norm1(embedded.flatten(2).mT), embedded.shape[-2:]
    )
    x = image
    for number, stage in enumerate(model.stages):
        x, token = stage(x)
        values[f"stage{number}"] = x
        if token is not None:
            values[f"cls_stage{number}"] = token
    return values | {"features": model.forward_features(image), "logits": model(image)}


def _check_pictures(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    for key, expected in tensors.items():
        if key.startswith("output."):
            name, size, _ = key.removeprefix("output.").rsplit("_", 2)
            ours = prepare_image(tensors[f"input.{name}"].numpy(), int(size))
            yield compare(key, ours, expected.float(), spec["rtol"], spec["atol"])


def _check_manifest(spec: Mapping) -> Iterable[Comparison]:
    for name, variant in spec.items():
        with torch.device("meta"):
            named = create_backbone(name.replace("-", "_"), num_classes=variant["num_classes"])
            built = build(variant["config"], variant["num_classes"])
            stored = {key: torch.empty(shape) for key, shape in variant["state_dict"].items()}
        ported = _renamed(stored, variant.get("key_map_official_to_transformers", {}))
        for what, keys in (("official", stored), ("the port's", ported)):
            expected = {(key, value.shape) for key, value in convert(keys).items()}
            for model in (named, built):
                different = {
                    (key, value.shape) for key, value in model.state_dict().items()
                } ^ expected
                yield Comparison(f"{name}, {what} keys and shapes", len(different), 0)
        parameters = sum(parameter.numel() for parameter in built.parameters())
        yield same(f"{name}, parameters", parameters, variant["params"])
