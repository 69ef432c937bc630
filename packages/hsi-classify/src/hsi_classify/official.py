"""The release: names of its options, its checkpoints' keys, its preprocessing and its split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from hsi_classify.models.specvit import SpecViT, SpecViTConfig
from vitrail.errors import InputError, UsageError

SPLIT_SEED, TEST_SHARE = 345, 0.9
OPTIONS = {
    "in_channels": "components",
    "num_classes": "num_classes",
    "dim": "embed_dim",
    "depths": "depths",
    "num_heads": "num_heads",
    "mlp_ratio": "mlp_ratio",
    "drop_path_rate": "drop_path",
    "spatial_size": "patch",
    "r": "rank",
    "lora_alpha": "alpha",
}
ALPHA_PER_RANK = 2.0  # of the release; no tensor tells it


def config_of(options: Mapping[str, Any]) -> SpecViTConfig:
    """The release's options as ours; UsageError for one that it does not have."""
    options = dict(options)
    windows = set(options.pop("window_size", [7]))
    if unknown := sorted(options.keys() - OPTIONS.keys()):
        raise UsageError(unknown[0], "is not an official option", f"they are {', '.join(OPTIONS)}")
    if len(windows) > 1:
        raise UsageError("window_size", "differs between levels", "no release has that")
    return SpecViTConfig(
        **{OPTIONS[name]: value for name, value in options.items()}, window=windows.pop()
    )


def build(options: Mapping[str, Any]) -> SpecViT:
    """The network of the release's options, with fresh weights."""
    return SpecViT(config_of(options))


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an official file; the prefix of a parallel training goes."""
    return {key.removeprefix("module."): value for key, value in state.items()}


def is_official(state: Mapping[str, Tensor]) -> bool:
    keys = {key.removeprefix("module.") for key in state}
    return {"pos_embed", "spectral_conv.0.weight", "head.linear.weight"} <= keys


def read_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Our options from the shapes of a checkpoint's tensors. InputError for another network."""
    state = convert(state)
    try:
        side, dim = state["pos_embed"].shape[1], state["pos_embed"].shape[3]
        levels = range(1 + max(int(k.split(".")[1]) for k in state if k.startswith("levels.")))
        depths = [
            len(
                {
                    k.split(".")[2]
                    for k in state
                    if k.startswith(f"levels.{level}.") and ".attn" in k
                }
            )
            for level in levels
        ]
        tables = [state[f"levels.{level}.0.attn.relative_position_bias_table"] for level in levels]
        rank = state["head.lora_down.weight"].shape[0]
        hidden = state["levels.0.0.mlp.0.linear.weight"].shape[0]
        classes = len(state["head.linear.bias"])
        widths = [state[f"spectral_conv.{n}.weight"].shape[0] for n in (0, 3)]
    except (KeyError, IndexError, ValueError, AttributeError):
        raise InputError(
            "checkpoint", "is not a LoLA-SpecViT", "give the file that its training wrote"
        ) from None
    return {
        "num_classes": classes,
        "patch": 2 * side + 1,
        "embed_dim": dim,
        "depths": depths,
        "num_heads": [table.shape[1] for table in tables],
        "window": round((tables[0].shape[0] ** 0.5 + 1) / 2),
        "mlp_ratio": hidden / dim,
        "rank": rank,
        "alpha": ALPHA_PER_RANK * rank,
        "spectral_widths": widths,
    }


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the training and of the test pixels among all labelled ones (N,), in row order."""
    from sklearn.model_selection import train_test_split

    numbers = np.arange(len(labels))
    train, test = train_test_split(
        numbers, test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
    )
    return np.asarray(train), np.asarray(test)
