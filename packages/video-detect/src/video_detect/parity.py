"""Every golden of the parts around TGBFormer that were released: Deformable DETR, the image
detector of TransVOD, the graph convolution, the gate."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from video_detect import official
from video_detect.models import build_model
from video_detect.models.blender import Blender
from video_detect.models.config import Config
from video_detect.models.deformable import sine_position
from video_detect.models.detector import Decoder, Encoder, Projection
from video_detect.models.graph import GraphConvolution, nearest
from video_detect.training.losses import Targets, corners, costs, match, matched_losses
from vitrail.testing.parity import Comparison, check_packs, compare
from vitrail.weights.files import load_into

TOP = 100


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its name and config tell."""
    return check_packs(folder, _check_pack)


@torch.no_grad()
def _check_pack(
    path: Path, spec: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterable[Comparison]:
    if "configs" in spec:
        return list(_check_manifest(spec["configs"]))
    bounds = (spec["tolerance"]["rtol"], spec["tolerance"]["atol"])
    values = _graph_values(tensors) if "knn" in spec["config"] else _detector_values(spec, tensors)
    return [
        compare(key, values[key], expected.float(), *bounds)
        for key, expected in tensors.items()
        if key in values
    ]


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}


def _detector_values(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Everything of the image detector that the goldens keep, by its name there."""
    state = _weights(tensors)
    options = official.read_config(state, spec["config"]["nheads"])
    features = [tensors[key] for key in sorted(tensors) if key.startswith("input.feature") and
                "mask" not in key]  # fmt: skip
    masks = [tensors[key] for key in sorted(tensors) if key.startswith("input.feature_mask")]
    config = Config(**options)
    project = Projection(config, [part.shape[1] for part in features])
    encoder, decoder = Encoder(config), Decoder(config)
    ours = official.convert(state, refine=config.refine)
    for name, part in (("project", project), ("encoder", encoder), ("decoder", decoder)):
        own = {k.removeprefix(f"{name}."): v for k, v in ours.items() if k.startswith(f"{name}.")}
        load_into(part.eval(), own, subject="golden")
    levels = project(features)
    for level in levels[len(masks) :]:
        size = (level.shape[2], level.shape[3])
        whole = tensors["input.pixel_mask_padded"][:, None].float()
        masks.append(F.interpolate(whole, size)[:, 0].bool())
    masks = [mask.bool() for mask in masks]
    tokens = encoder(levels, masks)
    found = decoder(tokens)
    assert found.queries is not None and found.references is not None
    values = {
        "mid.encoder_memory": tokens.values,
        "mid.decoder_hidden_states": found.queries,
        "mid.decoder_reference_points": found.references,
        "output.aux0.pred_logits": found.logits[0],
        "output.aux0.pred_boxes": found.boxes[0],
    }
    for number, level in enumerate(levels):
        position = sine_position(masks[number], level.shape[1]).permute(0, 3, 1, 2)
        values[f"mid.position{number}"] = position
    if "input.orig_size" in tensors:  # of TransVOD what is final comes from its temporal part
        values |= {"output.pred_logits": found.logits[-1], "output.pred_boxes": found.boxes[-1]}
        values |= _results(found.logits[-1], found.boxes[-1], tensors["input.orig_size"])
        values |= _losses(found.logits, found.boxes, tensors)
    return values


def _results(logits: Tensor, boxes: Tensor, sizes: Tensor) -> dict[str, Tensor]:
    """The release's hundred best pairs of query and class; the job itself takes one class each."""
    scores, chosen = logits.sigmoid().flatten(1).topk(TOP, dim=1)
    count = logits.shape[2]
    height, width = sizes.float().unbind(1)
    scale = torch.stack((width, height, width, height), 1)[:, None]
    places = (chosen // count)[..., None].expand(-1, -1, 4)
    return {
        "output.post_scores": scores,
        "output.post_labels": (chosen % count).float(),
        "output.post_boxes": corners(boxes).gather(1, places) * scale,
    }


def _losses(logits: Tensor, boxes: Tensor, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    count = sum(key.startswith("input.target") and key.endswith("boxes") for key in tensors)
    parts = [
        torch.cat([tensors[f"input.target{n}.{part}"] for n in range(count)])
        for part in ("boxes", "labels")
    ]
    counts = [len(tensors[f"input.target{n}.labels"]) for n in range(count)]
    targets = Targets.of(parts[0], parts[1].long(), counts)
    values = {}
    for layer, suffix in ((-1, ""), (0, "_0")):
        pairs = match(costs(logits[layer], boxes[layer], targets), counts)
        if layer == -1:
            image, query, own = (part.float() for part in pairs)
            for number in range(count):
                values[f"output.match{number}.pred"] = query[image == number]
                values[f"output.match{number}.target"] = own[image == number]
        losses = matched_losses(logits[layer], boxes[layer], targets, pairs)
        for name, ours in (("ce", "class"), ("bbox", "l1"), ("giou", "giou")):
            values[f"output.loss.loss_{name}{suffix}"] = losses[ours].view(1)
    return values


def _graph_values(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state, tokens = _weights(tensors), tensors["input.knn.tokens"][None]
    k = tensors["mid.knn.neighbour_index"].shape[1]
    layer = GraphConvolution(tokens.shape[2], 2)
    own = {f"layers.{n}.{part}": state[f"knn.layers.{n}.linear.{part}"]
           for n in range(2) for part in ("weight", "bias")}  # fmt: skip
    load_into(layer, own | {"coef": state["knn.fusion.coef"]}, subject="golden")
    values = {}
    padding = tensors["input.knn.padding"].bool()
    for mask, index, output in (
        (padding[None], "neighbour_index", "with_padding"),
        (None, "neighbour_index_no_padding", "no_padding"),
    ):
        indices, valid = nearest(tokens, k, mask)
        values[f"mid.knn.{index}"] = indices[0].sort(-1).values.float()
        values[f"output.knn.{output}"] = layer(tokens, indices, valid, mask)[0]
    gate = Blender(tensors["mid.agblock.att_temporal"].shape[-1], "token")
    fusion = {part: state[f"agblock.fusion.{part}"] for part in ("weight", "bias")}
    load_into(gate.linear, fusion, subject="golden")
    branches = [tensors[f"mid.agblock.{name}_temporal"] for name in ("att", "graph")]
    logits = gate.linear(torch.cat(branches, -1))
    values["mid.agblock.fusion"] = logits  # before the softmax
    mixed = gate(*(part.permute(0, 1, 3, 2)[..., None] for part in branches))
    values["output.agblock"] = mixed[..., 0].permute(0, 1, 3, 2)
    return values


def _check_manifest(configs: Mapping[str, Any]) -> Iterable[Comparison]:
    """The released files' keys and shapes against the networks that we build for them."""
    for name, variant in configs.items():
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in variant["state_dict"].items()}
            options = official.read_config(stored, variant["config"]["nheads"])
            model = build_model("tgbformer", options)
        ours = official.convert(stored, refine=options["refine"])
        # The branches are no part of a release.
        built = {(key, value.shape) for key, value in model.state_dict().items()
                 if not key.startswith(("temporal.", "graph_former.", "blend."))}  # fmt: skip
        different = built ^ {(key, value.shape) for key, value in ours.items()}
        yield Comparison(f"{name}, keys and shapes", len(different), 0)
