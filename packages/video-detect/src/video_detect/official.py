"""Checkpoints of Deformable DETR and of TransVOD, whose image detector is the same.

TGBFormer itself was never released. What a TransVOD file holds beyond the image detector (its
temporal encoder, decoder and heads) has no place in TGBFormer and is dropped by name.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from video_detect.classes import VID
from vitrail.detection.others import COCO
from vitrail.errors import InputError

RENAMED = (
    ("transformer.level_embed", "encoder.level_embed"),
    ("transformer.encoder.layers.", "encoder.layers."),
    ("transformer.decoder.layers.", "decoder.layers."),
    ("transformer.reference_points.", "decoder.reference_points."),
    ("query_embed.", "decoder.query_embed."),
    ("class_embed.", "decoder.class_embed."),
    ("bbox_embed.", "decoder.bbox_embed."),
    ("input_proj.", "project.layers."),
    ("backbone.0.body.", "backbone.model."),
)
ALIASES = ("transformer.decoder.bbox_embed.", "transformer.decoder.class_embed.")
TEMPORAL = ("transformer.temporal_", "temp_class_embed.", "temp_bbox_embed.", "dynamic_layer_")
OFFSETS = "transformer.encoder.layers.0.self_attn.sampling_offsets.weight"
HEAD_DIM = 32  # of the releases: their files do not tell how many heads there are
DILATED_LEVELS = 1  # the releases of one level keep stride 16
COCO_GAPS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers that COCO gave to nothing
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_official(state: Mapping[str, Tensor]) -> bool:
    return OFFSETS in state and "query_embed.weight" in state


def read_config(state: Mapping[str, Tensor], num_heads: int | None = None) -> dict[str, Any]:
    """The network's options from the tensors' shapes; InputError where they are another's."""
    if not is_official(state):
        raise InputError("checkpoint", "is not of Deformable DETR or TransVOD", "use another file")
    queries, double = state["query_embed.weight"].shape
    dim = double // 2
    heads = num_heads or max(1, dim // HEAD_DIM)
    levels = state["transformer.level_embed"].shape[0] if "transformer.level_embed" in state else 1
    points = state[OFFSETS].shape[0] // (2 * heads * levels)
    layers = {part: _count(state, f"transformer.{part}.layers.") for part in ("encoder", "decoder")}
    blocks = _count(state, "backbone.0.body.layer3.")
    kernels = [state[f"input_proj.{n}.0.weight"].shape[-1] for n in range(levels)]
    maps = kernels.count(1)
    return {
        "backbone": {6: "resnet50", 23: "resnet101"}.get(blocks, "resnet50"),
        "maps": tuple(range(5 - maps, 5)),
        "dilated": levels == DILATED_LEVELS,
        "extra_levels": levels - maps,
        "embed_dim": dim,
        "num_heads": heads,
        "num_points": points,
        "encoder_layers": layers["encoder"],
        "decoder_layers": layers["decoder"],
        "mlp_dim": state["transformer.encoder.layers.0.linear1.weight"].shape[0],
        "num_queries": queries,
        "num_classes": state["class_embed.0.weight"].shape[0],
        "refine": "transformer.decoder.bbox_embed.0.layers.0.weight" in state,
        "temporal_layers": 0,
        "graph_blocks": 0,
    }


def convert(state: Mapping[str, Tensor], *, refine: bool) -> dict[str, Tensor]:
    """The image detector under our names; heads that all layers share are kept once.

    The single level of a file without a level code gets a code of zeros, and batch norms that are
    frozen there get the counter that ours have.
    """
    ours: dict[str, Tensor] = {}
    for key, value in state.items():
        if key.startswith((*TEMPORAL, *ALIASES)):
            continue
        if (
            not refine
            and key.startswith(("class_embed.", "bbox_embed."))
            and key.split(".")[1] != "0"
        ):
            continue
        name = next(
            (new + key.removeprefix(old) for old, new in RENAMED if key.startswith(old)), key
        )
        ours[name] = value
        if name.startswith("backbone.") and name.endswith("running_mean"):
            counter = name.removesuffix("running_mean") + "num_batches_tracked"
            ours[counter] = torch.zeros((), dtype=torch.int64, device=value.device)
    if "encoder.level_embed" not in ours:
        dim = state["query_embed.weight"].shape[1] // 2
        device = state["query_embed.weight"].device
        ours["encoder.level_embed"] = torch.zeros(1, dim, device=device)
    return ours


def _coco_numbered() -> tuple[str, ...]:
    names = iter(COCO)
    count = len(COCO) + len(COCO_GAPS)
    return tuple("nothing" if n in COCO_GAPS else next(names) for n in range(count))


COCO_NUMBERED = _coco_numbered()


def class_names(count: int) -> tuple[str, ...]:
    """ImageNet VID's where there are 31 (number 0 is not used), COCO's by its own numbers where
    there are 91, else plain numbers."""
    if count == len(VID) + 1:
        return ("nothing", *VID)
    if count == len(COCO_NUMBERED):
        return COCO_NUMBERED
    return tuple(f"class {number}" for number in range(count))


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})
