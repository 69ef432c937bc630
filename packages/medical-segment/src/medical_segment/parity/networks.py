"""Goldens of networks: keys, logits, maps between, and the cell."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from medical_segment import official
from medical_segment.models.mlstm import chunkwise, parallel
from medical_segment.models.segformer3d import SegFormer3D
from medical_segment.models.vil import ViLBlock
from medical_segment.models.xlstm_unet import XLSTMUNet
from vitrail.testing.parity import Comparison, compare, read_pack, same
from vitrail.weights.files import load_into

SCALES = ("head_dim", "num_heads")
FLOOR = 1e-4  # of what float32 may be off in the cell
CELL_FACTOR = 10
CHUNK = 16  # short, so that the goldens' few tokens make several


def hashed(tensor_index: int, count: int, seed: int) -> np.ndarray:
    """The packs' numbers in -1..1: a hash of the tensor's index, the element's index and the seed,
    in float64."""
    mask = 0xFFFFFFFF
    start = ((tensor_index + 1) * 2246822519 + seed * 3266489917) & mask
    out = np.empty(count)
    for at in range(0, count, 1 << 20):
        x = (np.arange(at, min(at + (1 << 20), count), dtype=np.uint64) * 2654435761 + start) & mask
        x ^= x >> 16
        x = (x * 2246822507) & mask
        x ^= x >> 13
        x = (x * 3266489909) & mask
        x ^= x >> 16
        out[at : at + len(x)] = x / 2**32 * 2 - 1
    return out


def fill(module: nn.Module, seed: int) -> None:
    """Fills every weight by the packs' closed formula, in the order of the official names."""
    state = {key: value for key, value in module.state_dict().items() if value.is_floating_point()}
    for index, key in enumerate(sorted(state)):
        value = state[key]
        u = hashed(index, value.numel(), seed)
        value.copy_(
            torch.from_numpy(_scaled(key, value, u).astype(np.float32).reshape(value.shape))
        )


def _scaled(key: str, value: Tensor, u: np.ndarray) -> np.ndarray:
    if key.endswith("fgate.bias"):
        return 4 + u
    if key.endswith("running_var"):
        return 1 + 0.5 * u
    if value.ndim >= 2:
        return u * math.sqrt(3 / math.prod(value.shape[1:]))
    less_one = key.endswith(("vil.norm.weight", "outnorm.weight"))
    if key.endswith(("weight", "learnable_skip")) and not less_one:
        return 1 + 0.2 * u
    return 0.1 * u


def check_manifest(spec: Mapping, tensors: Mapping, folder: Path) -> Iterator[Comparison]:
    for name, variant in spec["configs"].items():
        with torch.device("meta"):
            model = official.build(variant["config"])
        own = model.state_dict()
        different = {(key, tuple(value.shape)) for key, value in own.items()} ^ {
            (key, tuple(shape)) for key, shape in variant["state_dict"].items()
        }
        yield Comparison(f"{name}, keys and shapes", len(different), 0)
        yield same(
            f"{name}, parameters", sum(p.numel() for p in model.parameters()), variant["params"]
        )
        if "official_key_count" in variant:
            full = official.with_copies(own)
            yield same(f"{name}, official keys", len(full), variant["official_key_count"])
            yield same(f"{name}, keys without copies", official.convert(full).keys(), own.keys())


def check_segformer(
    spec: Mapping, tensors: Mapping[str, Tensor], folder: Path
) -> Iterator[Comparison]:
    """Logits, the stages' maps and sliding windows, with both attention scales."""
    from monai.inferers import sliding_window_inference

    tolerance = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    for scale in SCALES:
        model = official.build(spec["config"], scale).eval()
        assert isinstance(model, SegFormer3D)
        load_into(model, official.convert(_weights(tensors)), subject="golden")
        for name in (
            key.removeprefix("input.") for key in tensors if key.startswith("input.image")
        ):
            suffix, prefix = name.removeprefix("image"), f"{name}_" if name != "image" else ""
            image = tensors[f"input.{name}"]
            logits = model(image)
            yield compare(
                f"{name}, {scale}", logits, tensors[f"output.logits{suffix}_{scale}"], *tolerance
            )
            for number, map_ in enumerate(model.segformer_encoder(image), start=1):
                for key in (f"mid.{prefix}c{number}_{scale}", f"mid.{prefix}c{number}"):
                    if key in tensors and (key.endswith(scale) or scale == SCALES[0]):
                        yield compare(f"{key}, {scale}", map_, tensors[key], *tolerance)
        for mode in ("constant", "gaussian"):
            if scale == SCALES[0] and f"output.sliding_{mode}" in tensors:
                volume = tensors["input.volume"]
                found = sliding_window_inference(
                    volume, (32,) * 3, 2, model, overlap=0.5, mode=mode
                )
                assert isinstance(found, Tensor)
                yield compare(
                    f"sliding {mode}",
                    found[:, :, ::2, ::2, ::2],
                    tensors[f"output.sliding_{mode}"],
                    *tolerance,
                )


def check_xlstm(spec: Mapping, tensors: Mapping[str, Tensor], folder: Path) -> Iterator[Comparison]:
    """Logits of every decoder stage and the maps of the encoder, from a state dict with all copies
    in it."""
    tolerance = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    model = official.build(spec["config"]).eval()
    assert isinstance(model, XLSTMUNet)
    state = official.with_copies(_weights(tensors))
    yield same("official keys", len(state), spec["official_key_count_with_aliases"])
    load_into(model, official.convert(state), subject="golden")
    image = tensors["input.image"]
    values = {"output.logits_ds0": model(image)}
    maps = model.features(image)
    if spec["config"]["variant"] == "bot":
        values["mid.xlstm"] = maps[-1]
    x = model.encoder.stem(image)
    for number, stage in enumerate(model.encoder.stages):
        x = values[f"mid.encoder_stage{number}"] = stage(x)
        if hasattr(model.encoder, "xlstm_layers"):
            x = values[f"mid.encoder_xlstm{number}"] = model.encoder.xlstm_layers[number](x)
    # Only in training are there logits of every stage; instance norms do not mind.
    for number, output in enumerate(model.train()(image)):
        values[f"output.logits_ds{number}"] = output
    yield from _compare_all(values, tensors, *tolerance)


def check_vil(spec: Mapping, tensors: Mapping[str, Tensor], folder: Path) -> Iterator[Comparison]:
    tolerance = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    for name, sizes in spec["blocks"].items():
        values = {}
        for direction in ("fwd", "rev"):
            block = ViLBlock(sizes["dim"], reverse=direction == "rev").eval()
            load_into(block, _weights(tensors, f"weight.{name}."), subject="golden")
            values[f"output.{name}_{direction}"] = block(tensors[f"input.{name}"])
        layer = ViLBlock(sizes["dim"])
        load_into(layer, _weights(tensors, f"weight.{name}."), subject="golden")
        values |= {
            f"mid.{name}_fwd_{key}": value
            for key, value in _inside(layer, tensors[f"input.{name}"]).items()
        }
        yield from _compare_all(
            values, {key: tensors[key] for key in tensors if f".{name}_" in key}, *tolerance
        )
    for name, facts in spec["cell"].items():
        q, k, v, i, f = (tensors[f"input.cell_{name}_{part}"] for part in "qkvif")
        inputs = (q, k, v, i[..., 0], f[..., 0])
        expected = tensors[f"output.cell_{name}_float64"]
        allowed = max(FLOOR, CELL_FACTOR * facts["float32_vs_float64_max_abs"])
        for form, call in (
            ("parallel", parallel),
            ("chunkwise", lambda *parts: chunkwise(*parts, chunk=CHUNK)),
        ):
            exact = call(*(part.double() for part in inputs))
            yield compare(f"cell {name}, {form}, float64", exact, expected, 1e-9, 1e-9)
            yield compare(f"cell {name}, {form}, float32", call(*inputs), expected, 0, allowed)


def _inside(block: ViLBlock, x: Tensor) -> dict[str, Tensor]:
    """What stands inside a block: the cell's three inputs and its output."""
    layer = block.layer
    u, _ = layer.proj_up(block.norm(x)).chunk(2, dim=-1)
    a = nn.functional.silu(layer.conv1d(u))
    q, k, v = layer.q_proj(a), layer.k_proj(a), layer.v_proj(u)
    return {"q": q, "k": k, "v": v, "h": layer.mlstm_cell(q, k, v)}


def check_formula(
    spec: Mapping, tensors: Mapping[str, Tensor], folder: Path
) -> Iterator[Comparison]:
    """Full-size networks with weights from a formula, on inputs from the same formula."""
    tolerance = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    configs = read_pack(folder / "manifest.json")[0]["configs"]
    for name, case in spec["cases"].items():
        scale = name.partition("_")[2] if "config" in spec else ""
        config = spec["config"] if scale else configs[case["config_in_manifest"]]["config"]
        model = official.build(config, scale) if scale else official.build(config)
        fill(model, spec["seed"])
        logits = model.eval()(_formula_input(case["input"], spec["seed"]))
        stride = case["output_stride"]
        steps = [stride] * (logits.ndim - 2) if isinstance(stride, int) else stride
        strided = logits[(..., *(slice(None, None, step) for step in steps))]
        key = f"output.logits_{scale}_{name.partition('_')[0]}" if scale else f"output.{name}"
        yield compare(name, strided, tensors[key], *tolerance)
        yield Comparison(
            f"{name}, mean", abs(logits.mean().item() - case["stats"]["mean"]), tolerance[1]
        )


def _formula_input(description: str, seed: int) -> Tensor:
    """From words such as ``shape [1,3,8,8], input number 0, value u*sqrt(3)``."""
    shape = [int(side) for side in description.split("[")[1].split("]")[0].split(",")]
    number = int(description.split("input number ")[1].split(",")[0])
    u = hashed(1_000_000 + number, math.prod(shape), seed)
    values = {"(u+1)/2": (u + 1) / 2, "u*sqrt(3)": u * math.sqrt(3)}[description.split("value ")[1]]
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def _weights(tensors: Mapping[str, Tensor], prefix: str = "weight.") -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }


def _compare_all(
    values: Mapping, tensors: Mapping, rtol: float, atol: float
) -> Iterator[Comparison]:
    """Every intermediate value and output that the golden keeps; one that we do not have fails."""
    for key, expected in tensors.items():
        if not key.startswith(("mid.", "output.")):
            continue
        if key in values:
            yield compare(key, values[key], expected, rtol, atol)
        else:
            yield same(f"{key} has no counterpart", None, key)
