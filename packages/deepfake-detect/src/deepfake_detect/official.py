"""The official release of GenConViT: its option names, its keys, what the shapes of a checkpoint
say about the network, and its scoring rule."""

import re
from collections import Counter
from collections.abc import Mapping
from math import isqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitrail.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from deepfake_detect.model import GenConViTED, GenConViTVAE

NUM_FRAMES = 15
LABELS = ("FAKE", "REAL")

# Stored in the released files and read by no forward pass, or (encoder.var) only by a loss term
# that is never used.
DEAD = {
    "genconvit-ed": ("embedder.", "backbone.patch_embed."),
    "genconvit-vae": (
        "embedder.",
        "convnext_backbone.patch_embed.",
        "encoder.fc1.",
        "encoder.fc2.",
        "encoder.var.",
        "fc3.",
    ),
}
BACKBONE = {"genconvit-ed": "backbone.", "genconvit-vae": "convnext_backbone."}

_OPTIONS = {
    "img_size",
    "backbone",
    "embedder",
    "latent_dims",
    "num_classes",
    "convnext",
    "swin",
    "fc",
    "fc2",
}
_CONVNEXT_OPTIONS = {
    "depths": "depths",
    "dims": "dims",
    "stem_patch": "patch_size",
    "norm_eps": "norm_eps",
}


def build(config: Mapping, network: str | None = None) -> "GenConViTED | GenConViTVAE":
    """The network ``ed`` or ``vae`` from the official option names; without ``network``,
    ``latent_dims`` means vae.

    Raises UsageError for an option that is not official.
    """
    if unknown := sorted(config.keys() - _OPTIONS):
        raise UsageError(
            unknown[0],
            "is not an official option",
            f"the options are {', '.join(sorted(_OPTIONS))}",
        )
    from deepfake_detect.model import GenConViTED, GenConViTVAE, build_model

    network = network or ("vae" if "latent_dims" in config else "ed")
    ours = {key: config[key] for key in ("img_size", "backbone") if key in config}
    if convnext := config.get("convnext"):
        options = {
            ours: convnext[official]
            for official, ours in _CONVNEXT_OPTIONS.items()
            if official in convnext
        }
        if not convnext.get("layer_scale", True):
            options["ls_init_value"] = None
        ours |= {"backbone_options": options, "embedding": convnext["num_classes"]}
    if "fc" in config:
        ours["hidden"] = config["fc"][1]
    if network == "vae" and "latent_dims" in config:
        ours["latent_channels"] = config["latent_dims"] // (config.get("img_size", 224) // 32) ** 2
    model = build_model(f"genconvit-{network}", ours)
    assert isinstance(model, GenConViTED | GenConViTVAE)
    return model


def convert(state: Mapping) -> "dict[str, Tensor]":
    """An official checkpoint's tensors under our keys, which are the official ones: what is dead is
    left out.

    Self-trained files, which hold the tensors under ``state_dict``, are unwrapped. Raises
    InputError for a checkpoint of another network and for a key that is neither used nor known to
    be dead.
    """
    import torch

    from deepfake_detect.model import build_model

    state = state.get("state_dict", state)
    architecture, config = read_config(state)
    with torch.device("meta"):
        used = build_model(architecture, config).state_dict()
    live = {key: value for key, value in state.items() if not key.startswith(DEAD[architecture])}
    if unknown := [key for key in live if key not in used]:
        names = ", ".join(unknown[:3])
        raise InputError(
            "checkpoint", f"has {len(unknown)} keys that {architecture} does not know: {names}"
        )
    return live


def architecture_of(state: Mapping) -> str:
    """``genconvit-ed`` or ``genconvit-vae``, as the checkpoint's keys tell; InputError for another
    network's."""
    state = state.get("state_dict", state)
    for architecture, prefix in BACKBONE.items():
        if f"{prefix}stem.0.weight" in state:
            return architecture
    raise InputError(
        "checkpoint", "holds neither of GenConViT's networks", "use an official ed or vae file"
    )


def read_config(state: Mapping) -> tuple[str, dict]:
    """The architecture and the options for ``build_model`` of an official checkpoint, read from its
    shapes.

    Network A fits images of any size, so its ``img_size`` stays the official one. Raises InputError
    for a checkpoint of another network, or one without the layers that tell its size.
    """
    state = state.get("state_dict", state)
    architecture = architecture_of(state)
    try:
        config = _head_and_backbone(state, BACKBONE[architecture])
        if architecture == "genconvit-vae":
            config |= _latent(state, config["encoder_widths"])
    except (KeyError, IndexError) as error:
        raise InputError(
            "checkpoint", f"lacks a part of {architecture}: {error}", "use a whole file"
        ) from error
    return architecture, config


def _head_and_backbone(state: Mapping, prefix: str) -> dict:
    blocks = [
        re.match(rf"{prefix}stages\.(\d+)\.blocks\.\d+\.conv_dw\.weight", key) for key in state
    ]
    blocks = {match[0]: int(match[1]) for match in blocks if match}
    depths = Counter(blocks.values())
    widths = {stage: state[key].shape[0] for key, stage in blocks.items()}
    convolutions = [re.fullmatch(r"encoder\.features\.(\d+)\.weight", key) for key in state]
    convolutions = sorted(
        (int(match[1]), match[0]) for match in convolutions if match and state[match[0]].ndim == 4
    )
    return {
        "backbone_options": {
            "depths": [depths[stage] for stage in sorted(depths)],
            "dims": [widths[stage] for stage in sorted(widths)],
            "patch_size": state[f"{prefix}stem.0.weight"].shape[-1],
        },
        "embedding": state[f"{prefix}head.fc.weight"].shape[0],
        "hidden": state["fc.weight"].shape[0],
        "encoder_widths": [state[key].shape[0] for _, key in convolutions],
    }


def _latent(state: Mapping, encoder_widths: list[int]) -> dict:
    side = isqrt(state["encoder.mu.weight"].shape[1] // encoder_widths[-1])
    return {
        "img_size": side * 2 ** len(encoder_widths),
        "latent_channels": state["decoder.features.0.weight"].shape[0],
    }


def modern_swin_keys(state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """A Swin's tensors under timm's present key names, from those of timm before 0.9.

    Since then the down-sampling opens a stage where it closed the one before, and two buffers are
    no longer stored.
    """

    def renamed(key: str) -> str:
        key = re.sub(
            r"^layers\.(\d+)\.downsample\.",
            lambda match: f"layers.{int(match[1]) + 1}.downsample.",
            key,
        )
        return re.sub(r"^head\.(weight|bias)$", r"head.fc.\1", key)

    buffers = ("attn_mask", "relative_position_index")
    return {renamed(key): value for key, value in state.items() if not key.endswith(buffers)}


class Score(NamedTuple):
    """The official verdict on a video: ``value`` (0..1) is used as P(fake)."""

    value: float
    class_index: int
    label: str


def official_score(logits: np.ndarray) -> Score:
    """The official score of a video from all its rows of logits (N, 2), those of both networks one
    after the other.

    A sigmoid per logit, no softmax, then the mean over rows. A tie is FAKE, and so is a video
    without faces, at 0.5.
    """
    if len(logits) == 0:
        return Score(0.5, 0, LABELS[0])
    fake, real = (1 / (1 + np.exp(-np.asarray(logits, float)))).mean(axis=0).tolist()
    verdict = int(real > fake)
    return Score(fake if fake > real else abs(1 - real), verdict, LABELS[verdict])


def pool(outputs: np.ndarray, num_frames: int | None = NUM_FRAMES) -> np.ndarray:
    """The rows (N, 2) that are scored, of outputs (faces, networks, 2) for all faces of all frames.

    Whoever they belong to, the faces are cut at ``num_frames`` (None: kept); the networks follow
    one another.
    """
    return outputs[:num_frames].swapaxes(0, 1).reshape(-1, 2)
