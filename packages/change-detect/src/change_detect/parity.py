"""Every golden that was computed with the official release: a small network, two full sizes, the
names and shapes of all tensors."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from change_detect.measure.scores import Confusion
from change_detect.models.changevit import ChangeViT
from change_detect.official import build, convert, read_config
from change_detect.scene.pixels import normalise
from change_detect.training.loss import bce_dice
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

FACTOR = 2_654_435_761
CHUNK = 1 << 20  # elements
MASK = np.uint64(2**32 - 1)


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``."""
    return check_packs(folder, _check_pack)


@torch.no_grad()
def _check_pack(
    path: Path, spec: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterable[Comparison]:
    if path.stem == "manifest":
        yield from _check_manifest(spec)
    elif "weights_rule" in spec:
        yield from _check_full(path, spec, tensors)
    else:
        yield from _check_tiny(spec, tensors)


def _check_manifest(spec: Mapping[str, Any]) -> Iterable[Comparison]:
    """Each key and shape; what is stored but never computed makes up the difference."""
    for name, variant in spec.items():
        stored = {key: torch.empty(shape, device="meta") for key, shape in _shapes(variant)}
        model = _built(convert(stored))
        theirs = {(key, value.shape) for key, value in convert(stored).items()}
        ours = {(key, value.shape) for key, value in model.state_dict().items()}
        yield Comparison(f"{name}, keys and shapes", len(theirs ^ ours), 0)
        counted = sum(one.numel() for one in model.parameters())
        yield same(f"{name}, parameters", counted, variant["params_used_in_forward"])


def _check_full(
    path: Path, spec: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterable[Comparison]:
    manifest = json.loads(path.with_name("manifest.json").read_text())[
        path.stem.removeprefix("full_")
    ]
    state = formula_state(dict(_shapes(manifest)))
    for key, values in spec["probe"].items():
        yield compare(f"weights {key}", state[key].flatten()[:3], torch.tensor(values), 1e-6, 1e-7)
    converted = convert(state)
    model = _built(converted)
    load_into(model, converted, subject=path.stem)
    values = _values(model, *_made_inputs())
    strides = {"vit": 32, "c2": 32, "c3": 16, "c4": 8, "injected": 4, "diff_c5": 4}
    yield from _compared(values, tensors, strides, spec["tolerance"])


def _check_tiny(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    state = convert(
        {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
    )
    model = _built(state)
    load_into(model, state, subject="tiny")
    images = [tensors[f"input.image_{which}_rgb_uint8"].numpy() for which in "ba"]
    first, second = (torch.from_numpy(normalise(np.moveaxis(i, -1, 0)))[None] for i in images)
    values = _values(model, first, second)
    values["model_first_input_sub"], values["model_second_input_sub"] = first, second
    for which, image in (("first", first), ("second", second)):
        values[f"vit_patch_embed_{which}"] = (
            model.encoder.vit.patch_embed(image).flatten(2).transpose(1, 2)
        )
    values["pos_embed_after_interpolation"] = model.encoder.vit.position_table(16, 16)
    maps = model.encoder(first), model.encoder(second)
    d5 = model.decoder.differing(*maps)[3]
    values["up_c5_sub"] = model.decoder.up_c5(d5)
    values["diff_c2_sub"] = model.decoder.differing(*maps)[0]
    details = model.encoder.detail(first)
    tokens = model.encoder.vit(first)
    values["inj_c2_first"] = model.encoder.injector.scales[0](tokens, details[0])
    values["prob_when_inputs_swapped_sub"] = model(first, second).sigmoid()
    strides = {
        "model": 16,
        "vit": 16,
        "inj_c2": 16,
        "c2": 32,
        "c3": 16,
        "c4": 8,
        "injected": 1,
        "diff_c5": 1,
        "diff_c2": 16,
        "up_c5": 4,
        "pos": 8,
        "prob_when": 8,
    }
    yield from _compared(values, tensors, strides, spec["tolerance"])
    label = tensors["input.label_uint8"].numpy() > 0
    probability = values["prob"][0, 0]
    confusion = Confusion.of(probability.numpy() > spec["expected"]["threshold"], label)
    for name, value in confusion.to_dict().items():
        official = {"kappa": "Kappa", "iou": "IoU", "f1": "F1", "accuracy": "OA"}.get(name, name)
        if official in spec["expected"]["metrics"]:
            expected = spec["expected"]["metrics"][official]
            yield Comparison(f"metric {name}", abs(value - expected), 1e-4)
    loss = bce_dice(values["logits"], torch.from_numpy(label)[None, None].float())
    yield Comparison("loss", abs(loss.item() - spec["expected"]["bce_dice_loss"]), 1e-4)


def _built(state: Mapping[str, Tensor]) -> ChangeViT:
    model = build(read_config(state))
    assert isinstance(model, ChangeViT)
    return model.eval()


def _values(model: ChangeViT, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """What the goldens keep; ``first`` is the later date, in the release's order of calling."""
    values: dict[str, Tensor] = {}
    maps = []
    for which, image in (("first", first), ("second", second)):
        vit = model.encoder.vit
        values[f"vit_block0_{which}"] = vit.blocks[0](vit.embed(image))
        values[f"vit_out_{which}"] = vit(image)
        maps.append(model.encoder(image))
        for name, one in zip(("c2", "c3", "c4", "injected_c5"), maps[-1], strict=True):
            values[f"{name}_{which}"] = one
    values["diff_c5"] = model.decoder.differing(*maps)[3]
    values["logits"] = model(second, first)
    values["prob"] = values["logits"].sigmoid()
    return values


def _compared(
    values: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    strides: Mapping[str, int],
    tolerance: Mapping[str, float],
) -> Iterable[Comparison]:
    for key, expected in tensors.items():
        if not key.startswith(("output.", "mid.")):
            continue
        name = key.partition(".")[2]
        ours = values[name]
        stride = next((s for part, s in strides.items() if name.startswith(part)), 1)
        ours = ours[:, ::stride] if ours.ndim == 3 else ours[..., ::stride, ::stride]
        yield compare(key, ours, expected, tolerance["rtol"], tolerance["atol"])


def _shapes(variant: Mapping[str, Any]) -> Iterable[tuple[str, list[int]]]:
    return variant["state_dict"].items()


def _made_inputs() -> tuple[Tensor, Tensor]:
    """The two inputs (1, 3, 256, 256) that the full sizes were computed on."""
    c, h, w = np.meshgrid(np.arange(3), np.arange(256), np.arange(256), indexing="ij")
    first = np.sin(0.031 * h + 0.017 * w * (c + 1) + 0.5 * c)
    second = np.cos(0.043 * w - 0.019 * h * (c + 1) + 0.3 * c)
    return torch.from_numpy(first)[None].float(), torch.from_numpy(second)[None].float()


def formula_state(shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """Weights from a hash of each key's place in sorted order and of each element's index."""
    return {key: _formula(key, place, shapes[key]) for place, key in enumerate(sorted(shapes))}


def _formula(key: str, place: int, shape: list[int]) -> Tensor:
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return torch.zeros(tuple(shape), dtype=torch.int64)
    count = int(np.prod(shape, dtype=np.int64))
    out = np.empty(count, np.float32)
    for start in range(0, count, CHUNK):
        index = np.arange(start, min(start + CHUNK, count), dtype=np.uint64)
        u = _hashed(index, place) / 2**32
        s = 2 * u - 1
        if kind == "running_var":
            value = 0.5 + u
        elif kind == "running_mean":
            value = 0.2 * s
        elif len(shape) == 1:
            value = 0.8 + 0.4 * u if kind == "weight" else 0.1 * s
        elif kind == "weight":
            value = s * np.sqrt(3 / np.prod(shape[1:]))
        else:
            value = 0.2 * s
        out[start : start + len(index)] = value
    return torch.from_numpy(out.reshape(shape))


def _hashed(index: np.ndarray, place: int) -> np.ndarray:
    h = (index + np.uint64(1)) * np.uint64((2 * place + 1) * FACTOR % 2**32) & MASK
    h ^= h >> np.uint64(16)
    h = h * np.uint64(2_246_822_519) & MASK
    h ^= h >> np.uint64(13)
    h = h * np.uint64(3_266_489_917) & MASK
    return h ^ (h >> np.uint64(16))
