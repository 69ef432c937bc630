"""What the release calls its tensors, and its networks in our terms.

Its code is licensed for non-commercial use and was not read for this; the names and sizes are those
of the manifest of its checkpoints.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from change_detect.models import ARCHITECTURE, build_model
from change_detect.models.config import RELEASED
from vitrail.errors import InputError

WRAPPER = "module."
DEAD = re.compile(r"encoder\.(resnet\.(layer4|fc)\.|vit\.mask_token$)")  # stored, never computed
NAMES = (  # theirs, ours; the first that fits
    ("encoder.resnet.", "encoder.detail."),
    ("decoder.structure_enhance.c2_c5.", "encoder.injector.scales.0."),
    ("decoder.structure_enhance.c3_c5.", "encoder.injector.scales.1."),
    ("decoder.structure_enhance.c4_c5.", "encoder.injector.scales.2."),
    ("decoder.structure_enhance.", "encoder.injector."),
    ("decoder.mlp.", "decoder.differences."),
    ("decoder.classfier.", "decoder.classifier."),
)
HEADS = 6  # of every release, whatever its width


def build(config: Mapping[str, Any]) -> nn.Module:
    """A network that computes what the release does, from options of ``read_config``."""
    return build_model(ARCHITECTURE, {**config, **RELEASED})


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an official file under our names, without those that are never computed."""
    plain = {key.removeprefix(WRAPPER): value for key, value in state.items()}
    return {_renamed(key): value for key, value in plain.items() if not DEAD.match(key)}


def _renamed(key: str) -> str:
    for theirs, ours in NAMES:
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def read_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of a converted state, from its shapes.

    InputError where it lacks a tensor without which they cannot be told.
    """
    try:
        tokens, dim = state["encoder.vit.pos_embed"].shape[1:]
        stages = [state[f"encoder.detail.layer{n}.0.conv1.weight"] for n in (1, 2, 3)]
        hidden = state["encoder.vit.blocks.0.mlp.fc1.weight"].shape[0]
        squeezed = state["decoder.differences.3.0.weight"].shape[0]
    except (KeyError, ValueError) as error:
        problem = f"holds no ChangeViT: it lacks {error}"
        raise InputError("checkpoint", problem, "give a file of the release") from error
    side = round(tokens**0.5)
    blocks = {m[1] for key in state if (m := re.match(r"encoder\.vit\.blocks\.(\d+)\.", key))}
    return {
        "embed_dim": dim,
        "depth": len(blocks),
        "num_heads": HEADS,
        "mlp_ratio": hidden // dim,
        "grid": [side, tokens // side],
        "detail_dims": [len(weight) for weight in stages],
        "decay": dim // squeezed,
    }
