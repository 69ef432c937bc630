"""The bridge to the release: option names, key names, camera conventions, constants.

Checkpoints are flat state dicts (``best_model.pth``) whose CvT bears the names of the transformers
port. The last three stages of the EfficientNet are stored there but were never used.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carla_drive.models.config import LeTFuserConfig
from carla_drive.models.dmfuser import DMFuser
from carla_drive.models.letfuser import LeTFuser
from vitrail.backbones import cvt_official
from vitrail.errors import InputError

DEAD = re.compile(r"SC_encoder\.(features\.[678]|classifier)\..*")
PREFIXES = ("module.", "model.")
WIDTH, CROP = 960, 768  # columns of the stored strip, and of what the network sees


def read_config(options: Mapping[str, Any]) -> tuple[str, LeTFuserConfig]:
    """Architecture and sizes from the release's own options."""
    wide, fused, attention = options["n_fmap_b3"], options["n_fmap_b3"][4], bool(options["attn"])
    cvt = options.get("cvt", {})
    sizes: dict[str, Any] = {}
    if cvt:
        sizes = {"dims": cvt["embed_dim"], "num_heads": cvt["num_heads"], "depths": cvt["depth"]}
    measurement = wide[3][0]
    chosen: dict[str, Any] = {key: tuple(value) for key, value in sizes.items()}
    config = LeTFuserConfig(
        **chosen,
        stem=wide[0][1],
        decoder=(wide[3][-1], wide[2][0], wide[1][0], wide[0][0]),
        neck_hidden=fused[1],
        neck=fused[0] if attention else fused[0] - measurement,
        measurement=measurement,
        hidden=fused[2],
        waypoints=options["pred_len"],
        control_steps=options["pred_len"] if attention else 1,
        attention_heads=options["fusion_num_heads"],
    )
    return ("dmfuser" if attention else "letfuser"), config


def read_shapes(state: Mapping[str, Tensor]) -> tuple[str, LeTFuserConfig]:
    """Architecture and sizes from the shapes of a checkpoint's tensors, whose head counts are the
    release's; InputError where it is neither network."""
    shapes = {key: tuple(value.shape) for key, value in convert(state).items()}
    try:
        widths = [shapes[f"cvt.stage{i}.patch_embed.proj.weight"][0] for i in range(3)]
        depths = [
            len({key.split(".")[3] for key in shapes if key.startswith(f"cvt.stage{i}.blocks.")})
            for i in range(3)
        ]
        attention = "attn_neck.0.weight" in shapes
        neck = shapes["attn_neck.3.weight" if attention else "necks_net.3.weight"]
        config = LeTFuserConfig(
            dims=tuple(widths),
            depths=tuple(depths),
            classes=shapes["final_ss_f.conv_block1.0.weight"][0],
            stem=shapes["conv1_down.conv.weight"][0],
            decoder=tuple(shapes[f"conv{i}_ss_f.conv_block1.conv.weight"][0] for i in (3, 2, 1, 0)),
            neck_hidden=neck[1],
            neck=neck[0],
            measurement=shapes["measurements.2.weight"][0],
            hidden=shapes["controller.0.weight"][0],
            control_steps=3 if attention else 1,
            single_task="D_gru.weight_ih" in shapes,
        )
    except (KeyError, IndexError) as error:
        raise InputError(
            "weights",
            f"hold neither LeTFuser nor DMFuser ({error} is missing)",
            "give best_model.pth",
        ) from error
    return ("dmfuser" if attention else "letfuser"), config


def build(architecture: str, config: LeTFuserConfig) -> LeTFuser:
    return DMFuser(config) if architecture == "dmfuser" else LeTFuser(config)


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Official keys to ours; what was never used is dropped, nothing else."""
    found = {}
    for key, value in state.items():
        while key.startswith(PREFIXES):
            key = key.partition(".")[2]
        if DEAD.fullmatch(key):
            continue
        if key.startswith("cvt."):
            (key,) = (f"cvt.{one}" for one in cvt_official.convert({key: value}))
        found[key] = value
    return found


def centre_crop(strip: np.ndarray) -> np.ndarray:
    """The middle 768 columns of a strip (160, 960, …)."""
    first = (strip.shape[1] - CROP) // 2
    return strip[:, first : first + CROP]


def to_local(point: np.ndarray, place: np.ndarray, theta: float) -> np.ndarray:
    """A place of the release's world (x north, y east) as seen from a car with compass ``theta``:
    right, and negative ahead. A compass without value counts as 0."""
    theta = 0.0 if not np.isfinite(theta) else theta
    angle = np.pi / 2 + theta
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn.T @ (np.asarray(point) - np.asarray(place))


def one_hot_commands(command: Tensor) -> Tensor:
    """(B,) 1..6 to (B, 6); anything else (CARLA's VOID is -1) counts as following the lane."""
    known = torch.where((command >= 1) & (command <= 6), command, torch.full_like(command, 4))
    return torch.nn.functional.one_hot(known.long() - 1, 6).float()
