"""Every golden of the iColoriT release, computed by us."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from image_colorize import official
from image_colorize.color import displayable, lab_to_rgb, rgb_to_lab
from image_colorize.model import IColoriT, huber, planes, sinusoids
from image_colorize.scores import boundary, boundary_psnr, patch_error_variance, propagation, psnr
from vitrail.errors import InputError
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

MULTIPLIER = 0x45D9F3B
OFFSET = 1_000_003
FULL_STRIDE = 97


def check(folder: Path) -> list[Comparison]:
    """Every golden in a folder of the pack; InputError for one that is not known."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    checks = {
        "manifest": check_manifest,
        "tiny": check_tiny,
        "fullsize_formula": check_formula,
        "preproc": check_preprocessing,
    }
    if path.stem not in checks:
        raise InputError(path.stem, "is not a golden that we know", "give a folder of the pack")
    with torch.no_grad():
        yield from checks[path.stem](spec, tensors)


def check_manifest(spec: Mapping, tensors: Mapping) -> Iterator[Comparison]:
    """The released models, key by key and shape by shape."""
    for variant in (spec, *spec["other_configs"]):
        with torch.device("meta"):
            model = official.build(variant["config"])
        own = {key: list(value.shape) for key, value in model.state_dict().items()}
        known = {k: v for k, v in variant["state_dict"].items() if not k.endswith(official.INDEX)}
        yield same(f"{variant['name']}, keys and shapes", own, known)
        yield same(
            f"{variant['name']}, dropped buffers",
            sorted(set(variant["state_dict"]) - set(known)),
            sorted(variant["integer_buffers"]),
        )
        count = sum(parameter.numel() for parameter in model.parameters())
        yield same(f"{variant['name']}, parameters", count, variant["params"])


def check_tiny(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    """Small networks with every head, step by step."""
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    for case, facts in spec["cases"].items():
        options = facts["config"]
        model = official.build(options).eval()
        weights = {
            key.removeprefix(f"{case}.weight."): value
            for key, value in tensors.items()
            if key.startswith(f"{case}.weight.")
        }
        load_into(model, official.convert(weights), subject="golden")
        made = steps(
            model,
            planes(
                tensors[f"{case}.input.lab"],
                tensors[f"{case}.input.hint_mask"],
                average=options["avg_hint"],
                centre=options["mask_cent"],
            ),
        )
        for name, value in made.items():
            yield compare(f"{case}.{name}", value, tensors[f"{case}.{name}"], *bounds)


def steps(model: IColoriT, seen: Tensor) -> dict[str, Tensor]:
    """Everything that the goldens keep of one forward, by their names."""
    tokens = model.patch_embed(seen) + model.positions
    grid = (model.config.grid,) * 2
    features = model.features(seen)
    return {
        "mid.pos_embed": model.positions,
        "mid.network_input": seen,
        "mid.tokens_in": tokens,
        "mid.block0": model.blocks[0](tokens),
        "mid.norm": features,
        "mid.head_before_tanh": model.head(features, grid),
        "output.patches": model.patches(seen),
        "output.ab": model(seen),
    }


def check_formula(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    """The released sizes with weights from a hash."""
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    lab, mask = _formula_input(spec["hints"])
    for case, facts in spec["cases"].items():
        model = official.build(facts["config"]).eval()
        fill(model)
        for name, hinted in (("output", mask), ("output_no_hints", torch.ones_like(mask))):
            seen = planes(lab, hinted)
            patches = model.patches(seen)
            sample = patches.flatten()[::FULL_STRIDE]
            yield compare(f"{case}.{name}", sample, tensors[f"{case}.{name}.sample97"], *bounds)
            total = patches.double().abs().sum().item()
            error = abs(total / facts[name]["sum_abs"] - 1)
            yield Comparison(f"{case}.{name}, sum", error, bounds[0])
        if f"{case}.output.ab" in tensors:
            yield compare(
                f"{case}.output.ab", model(planes(lab, mask)), tensors[f"{case}.output.ab"], *bounds
            )


def fill(model: IColoriT) -> None:
    """The pack's weights: a hash of the place of an element and of its key among the release's,
    where the index buffers are counted too."""
    own = model.state_dict()
    indexes = [
        f"blocks.{n}.{official.INDEX}" for n in range(model.config.depth) if model.config.rel_pos
    ]
    for number, key in enumerate(sorted([*own, *indexes])):
        if key not in own:
            continue
        shape = own[key].shape
        index = np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(OFFSET * number)
        noise = torch.from_numpy(_hash(index)).reshape(shape)
        kind = key.rpartition(".")[2]
        if kind == "rpb_table":
            value = 0.5 * noise
        elif kind in ("bias", "q_bias", "v_bias"):
            value = 0.1 * noise
        elif len(shape) == 1:
            value = 1 + 0.2 * noise
        else:
            value = math.sqrt(3 / math.prod(shape[1:])) * noise
        own[key].copy_(value)


def _hash(index: np.ndarray) -> np.ndarray:
    """float64 in -1..1 for each uint64, modulo 2^32."""
    x = index.astype(np.uint32)
    for _ in range(2):
        x ^= x >> np.uint32(16)
        x *= np.uint32(MULTIPLIER)
    x ^= x >> np.uint32(16)
    return 2 * (x / 2**32) - 1


def _formula_input(hints: int) -> tuple[Tensor, Tensor]:
    y, x = np.mgrid[:224, :224].astype(np.float64)
    lab = np.stack(
        [
            0.45 * np.sin(0.031 * x + 0.017 * y) * np.cos(0.023 * y),
            0.5 * np.sin(0.05 * x - 0.02 * y + 0.4),
            0.5 * np.cos(0.013 * x + 0.041 * y - 0.7),
        ]
    )
    mask = np.ones((112, 112), bool)
    for j in range(hints):
        mask[(37 * j + 5) % 112, (53 * j + 11) % 112] = False
    return torch.from_numpy(lab[None].astype(np.float32)), torch.from_numpy(mask.reshape(1, -1))


def check_preprocessing(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    """Colours, hints, resizing, positions, loss, schedule and figures."""
    yield from _check_colours(spec["tolerance"], tensors)
    yield from _check_hints(spec["tolerance"]["hints.*"], tensors)
    yield from _check_scores(spec, tensors)
    for n, dim, key, stride in (
        (16, 12, "pos.table_n16_d12", 1),
        (196, 192, "pos.table_n196_d192_every37", 37),
    ):
        table = sinusoids(n, dim)
        got = table.flatten()[::stride] if stride > 1 else table
        yield compare(key, got, tensors[key], 0, 1e-6)
    image = Image.fromarray(tensors["resize.input.rgb_hwc"].numpy())
    small = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
    got = torch.from_numpy(np.moveaxis(small, -1, 0) / 255).float()
    yield compare(
        "resize", got, tensors["resize.output.tensor"], 0, spec["tolerance"]["resize"]["atol"]
    )
    yield compare(
        "lr", official_schedule(spec["lr"]), tensors["lr.output"], *_bounds(spec["tolerance"]["lr"])
    )
    table = tensors["gamut.input_L_rgb_output_rgb"]
    rows = [
        displayable(float(row[0]), row[1:4].numpy().astype(np.uint8)).astype(np.float64)
        for row in table
    ]
    got = torch.from_numpy(np.stack(rows))
    yield compare("gamut", got, table[:, 4:], 0, spec["tolerance"]["gamut"]["atol"])


def official_schedule(facts: Mapping) -> Tensor:
    """The release's learning rate at each step: linear from 0, ends included, then a cosine."""
    warm = facts["warmup_epochs"] * facts["iters_per_epoch"]
    rest = facts["epochs"] * facts["iters_per_epoch"] - warm
    rise = np.linspace(0, facts["base"], warm)
    wave = 1 + np.cos(np.pi * np.arange(rest) / rest)
    return torch.from_numpy(
        np.concatenate([rise, facts["final"] + 0.5 * (facts["base"] - facts["final"]) * wave])
    )


def _check_colours(bounds: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    rgb = tensors["lab.input.rgb"].movedim(1, -1).numpy()
    lab = rgb_to_lab(rgb)
    got = torch.from_numpy(lab).movedim(-1, 1)
    yield compare("lab", got, tensors["lab.output.lab"], *_bounds(bounds["lab.output"]))
    normal = torch.cat([(got[:, :1] - 50) / 100, got[:, 1:] / 110], dim=1)
    key = "lab.output.lab_normalised"
    yield compare(key, normal, tensors[key], *_bounds(bounds[key]))
    reference = tensors["lab.reference.skimage_float64"]
    yield compare("skimage", got.double(), reference, 0, bounds["lab against skimage"]["atol"])
    back = torch.from_numpy(lab_to_rgb(lab)).movedim(-1, 1)
    yield compare("round trip", back, tensors["lab.output.rgb_roundtrip"], 1e-4, 1e-4)
    values = tensors["lab_inverse.input.lab_normalised"].movedim(1, -1).numpy().copy()
    values[..., 0] = values[..., 0] * 100 + 50
    values[..., 1:] *= 110
    got = torch.from_numpy(lab_to_rgb(values)).movedim(-1, 1)
    yield compare("lab_inverse", got, tensors["lab_inverse.output.rgb_unclamped"], 1e-4, 1e-4)


def _check_hints(bounds: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    rgb = tensors["hints.input.rgb"].movedim(1, -1).numpy()
    lab = torch.from_numpy(rgb_to_lab(rgb)).movedim(-1, 1)
    lab = torch.cat([(lab[:, :1] - 50) / 100, lab[:, 1:] / 110], dim=1)
    for name, size, average, key in (
        ("hints", 2, True, "hints.output.network_input"),
        ("hints", 2, False, "hints.output.network_input_no_average"),
        ("hints4", 4, True, "hints4.output.network_input"),
    ):
        side = lab.shape[2] // size
        mask = torch.ones(side, side, dtype=torch.bool)
        for row, column in tensors["hints.input.coords_row_col"].tolist():
            mask[row // size, column // size] = False
        if size == 2 and average:
            expected = tensors["hints.output.mask"].reshape(side, side)
            yield same(f"{name}, mask", mask.tolist(), expected.tolist())
        got = planes(lab, mask.reshape(1, -1), average=average)
        yield compare(key, got, tensors[key], *_bounds(bounds))


def _check_scores(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    rtol, atol = _bounds(spec["tolerance"]["metric.*"])
    facts = spec["metrics"]
    first, second = (tensors[f"metric.input.{name}"].movedim(1, -1).numpy() for name in "ab")
    each = [psnr(*pair) for pair in zip(first, second, strict=True)]
    found = {
        "psnr_batch_mean": float(np.mean(each)),
        "psnr_single_0": each[0],
        "psnr_single_2_capped": each[2],
    }
    for size in (16, 8):
        scores = [boundary_psnr(*pair, size) for pair in zip(first, second, strict=True)]
        found[f"boundary_psnr_p{size}"] = float(np.mean(scores))
    spread = [patch_error_variance(*pair, 16) for pair in zip(first, second, strict=True)]
    found["patch_error_variance_p16"] = float(np.mean(spread))
    for name, value in found.items():
        allowed = atol + rtol * abs(facts[name])
        yield Comparison(name, abs(value - facts[name]), allowed)
    got = torch.from_numpy(boundary((32, 48), 16)).float()
    yield compare("boundary_mask", got, tensors["metric.output.boundary_mask_p16"], 0, 0)
    yield from _check_propagation(facts, tensors, atol)
    predicted = tensors["huber.input.pred"].clone().requires_grad_()
    with torch.enable_grad():
        loss = huber(predicted.movedim(-1, 1), tensors["huber.input.target"].movedim(-1, 1))
        loss.backward()
    yield Comparison("huber", abs(loss.item() - facts["huber"]), atol + rtol * facts["huber"])
    assert predicted.grad is not None
    yield compare("huber, gradient", predicted.grad, tensors["huber.output.grad"], rtol, atol)


def _check_propagation(
    facts: Mapping, tensors: Mapping[str, Tensor], atol: float
) -> Iterator[Comparison]:
    before, after = (
        tensors[f"hpr.input.{name}_lab_normalised"].movedim(1, -1).numpy()
        * np.array([100, 110, 110], np.float32)
        for name in ("prev", "next")
    )
    places = tensors["hpr.input.hint_row_col"].tolist()
    distances = [
        propagation(one, other, (row, column))
        for one, other, (row, column) in zip(before, after, places, strict=True)
    ]
    found = np.mean([[each.mean(), each.std(ddof=1)] for each in distances], axis=0)
    for name, value, expected in zip(("mean", "std"), found, facts["hpr_mean_std"], strict=True):
        yield Comparison(f"hpr, {name}", abs(value - expected), atol + 1e-4 * expected)


def _bounds(tolerance: Mapping[str, float]) -> tuple[float, float]:
    return tolerance.get("rtol", 0.0), tolerance["atol"]
