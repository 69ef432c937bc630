"""Every golden that was computed with the official release: networks, losses, preparation, error
against discard."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from face_quality.edc import Curve, distances, pair_quality
from face_quality.models import build_model
from face_quality.models.vit_fiqa import ViTFIQA
from face_quality.official import SIZES, learning_rate, read_config
from face_quality.training.loss import MarginSoftmax, certainty_ratio, quality_loss
from vitrail.faces.align import TEMPLATE, align, alignment
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

FMRS = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4}


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its description's fields tell."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    if "state_dict" in spec:
        return _check_manifest(spec)
    if "fill_rule" in spec:
        return _check_full_size(spec, tensors)
    if "loss" in spec:
        return chain(_check_tiny(spec, tensors), _check_losses(spec, tensors))
    return _check_preparation(spec, tensors)


def _check_manifest(spec: Mapping) -> Iterator[Comparison]:
    for one in (spec, *spec["other_configs"]):
        name = f"{one['name']} {one['mode']}"
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in one["state_dict"].items()}
            read = read_config(stored)
            model = build_model(SIZES[one["name"]] | {"mode": one["mode"]})
            again = build_model(read)
        expected = {(key, value.shape) for key, value in stored.items()}
        for what, built in (("its name", model), ("its shapes", again)):
            ours = {(key, value.shape) for key, value in built.state_dict().items()}
            yield Comparison(f"{name}, keys and shapes from {what}", len(ours ^ expected), 0)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        yield same(f"{name}, parameters", parameters, one["params"])
        official = {key: one["config"][key] for key in ("img_size", "num_heads", "mode")}
        yield same(f"{name}, options", {key: read[key] for key in official}, official)


@torch.inference_mode()
def _check_tiny(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    for name, case in spec["cases"].items():
        golden = {
            key.removeprefix(f"{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }
        config = case["config"]
        sizes = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "mode")
        model = build_model({key: config[key] for key in sizes}).eval()
        state = {
            key.removeprefix("weight."): value
            for key, value in golden.items()
            if key.startswith("weight.")
        }
        load_into(model, state, subject=name)
        yield same(
            f"{name}, parameters", sum(p.numel() for p in model.parameters()), case["params"]
        )
        values = _values(model, golden["input.image"], golden["input.mask_noise"])
        for key, expected in golden.items():
            if key.startswith(("output.", "mid.")):
                yield compare(f"{name}, {key}", values[key], expected, *bounds)


def _values(model: ViTFIQA, image: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Everything that the goldens keep, by their names."""
    tokens = model.embed(image)
    embedding, quality = model(image)
    masked = model(image, noise, keep_token=False)
    return {
        "mid.patch_embed": model.patch_embed(image),
        "mid.tokens_in": tokens,
        "mid.block0": model.blocks[0](tokens),
        "mid.norm": model.encode(tokens),
        "output.embedding": embedding,
        "output.quality": quality,
        "output.masked_embedding": masked[0],
        "output.masked_quality": masked[1],
    }


def _check_losses(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    gradients = spec["tolerance"]["loss_grad"]["rtol"], spec["tolerance"]["loss_grad"]["atol"]
    given = {name: tensors[f"loss.input.{name}"].clone() for name in ("embedding", "quality")}
    centres, labels = tensors["loss.input.class_weight"], tensors["loss.input.labels"]
    for kind, facts in spec["loss"].items():
        embedding, quality = (value.clone().requires_grad_() for value in given.values())
        margin = facts["m3"] if kind == "cosface" else facts["m2"]
        softmax = MarginSoftmax(*centres.shape, kind=kind, margin=margin, scale=facts["s"])
        with torch.no_grad():
            softmax.weight.copy_(centres)
        recognition, cosines = softmax(embedding, labels)
        target = certainty_ratio(cosines, labels)
        of_quality = quality_loss(quality, target)
        total = recognition + facts["alpha"] * of_quality
        total.backward()
        own = cosines.gather(1, labels[:, None])
        found = {
            "logits": facts["s"] * softmax.with_margin(cosines, labels),
            "target_ratio": target,
            "ccs": own,
            "nnccs_plus_1": own / target - 1e-9,
            "grad_embedding": embedding.grad,
            "grad_class_weight": softmax.weight.grad,
            "grad_quality": quality.grad,
        }
        for key, value in found.items():
            expected = tensors[f"loss.output.{kind}.{key}"]
            assert value is not None
            allowed = gradients if key.startswith("grad") else bounds
            yield compare(f"loss, {kind}, {key}", value.detach(), expected, *allowed)
        for key, value in (("recognition", recognition), ("quality", of_quality), ("total", total)):
            expected = facts[f"loss_{key}"]
            allowed = bounds[1] + bounds[0] * abs(expected)
            yield Comparison(f"loss, {kind}, {key}", abs(value.item() - expected), allowed)


@torch.inference_mode()
def _check_full_size(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    first = 2 * _hashed(3 * 112 * 112, 900001) - 1
    c, y, x = np.ogrid[:3, :112, :112]
    second = np.sin(0.11 * (c + 1) * x + 0.07 * y) * np.cos(0.05 * y - 0.3 * c)
    images = np.stack((first.reshape(3, 112, 112), second)).astype(np.float32)
    for name, case in spec["cases"].items():
        size, _, mode = name.rpartition("_")
        model = build_model(SIZES[size] | {"mode": mode}).eval()
        _fill(model)
        for key, expected in case["fill_probe"].items():
            got = model.state_dict()[key].flatten()[:4]
            yield compare(f"{name}, filled {key}", got, torch.tensor(expected), 0, 1e-6)
        tokens = model.encode(model.embed(torch.from_numpy(images)))
        embedding, quality = model.judge(tokens)
        sample = tokens.flatten()[:: case["tokens_sample_stride"]]
        found = {"mid.tokens_sample": sample, "output.embedding": embedding}
        found["output.quality"] = quality
        for key, value in found.items():
            yield compare(f"{name}, {key}", value, tensors[f"{name}.{key}"], *bounds)


def _fill(model: ViTFIQA) -> None:
    """The weights that the golden's rule gives."""
    for number, (key, value) in enumerate(sorted(model.state_dict().items())):
        if not value.is_floating_point():
            continue
        last = key.rpartition(".")[2]
        r = 2 * _hashed(value.numel(), number) - 1
        if last == "running_var":
            values = 1 + 0.5 * r
        elif last in ("running_mean", "bias"):
            values = 0.1 * r
        elif last in ("qs_token", "pos_embed", "mask_token"):
            values = 0.5 * r
        elif value.ndim == 1:
            values = 1 + 0.2 * r
        else:
            values = np.sqrt(3 / value[0].numel()) * r
        value.copy_(torch.from_numpy(values.astype(np.float32)).view_as(value))


def _hashed(count: int, number: int) -> np.ndarray:
    """float64 (count,) in 0..1 of the golden's hash for tensor ``number``."""
    x = ((np.arange(count, dtype=np.uint64) + np.uint64(1000003 * number)) % (1 << 32)).astype(
        np.uint32
    )
    for _ in range(2):
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x45D9F3B)
    x ^= x >> np.uint32(16)
    return x / 2**32


def _check_preparation(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterator[Comparison]:
    tolerance = spec["tolerance"]
    image = tensors["align.input.image_hwc"].numpy()
    points = tensors["align.input.points"].numpy()
    matrices = torch.from_numpy(np.stack([alignment(five) for five in points]))
    bounds = tolerance["align.matrix"]["rtol"], tolerance["align.matrix"]["atol"]
    yield compare("align, matrix", matrices, tensors["align.output.matrix"], *bounds)
    yield compare("align, template", torch.from_numpy(TEMPLATE), tensors["align.template"], 0, 1e-5)
    ours = np.stack([align(image, five) for five in points]).astype(int)
    off = np.abs(ours - tensors["align.output.crop_hwc"].numpy())
    yield Comparison("align, crops, largest difference", int(off.max()), 3)
    yield Comparison("align, crops, share above one level", float((off > 1).mean()), 0.005)
    crop = tensors["normalise.input.crop_rgb_hwc"].permute(2, 0, 1)[None]
    normal = crop.float() / 127.5 - 1
    yield compare("normalise", normal, tensors["normalise.output.tensor"], 0, 1e-6)
    yield from _check_edc(spec, {key: value.numpy() for key, value in tensors.items()})
    rates = [learning_rate(step, spec["lr"]) for step in range(spec["lr"]["total_iters"] + 1)]
    bounds = tolerance["lr"]["rtol"], tolerance["lr"]["atol"]
    yield compare(
        "learning rate", torch.tensor(rates, dtype=torch.float64), tensors["lr.output"], *bounds
    )


def _check_edc(spec: Mapping, tensors: Mapping[str, np.ndarray]) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["edc"]["rtol"], spec["tolerance"]["edc"]["atol"]

    def compare_array(name: str, got: Any, expected: Any) -> Comparison:
        ours, theirs = (
            torch.from_numpy(np.atleast_1d(np.asarray(one, float))) for one in (got, expected)
        )
        return compare(f"edc, {name}", ours, theirs, *bounds)

    gaps = distances(tensors["edc.input.embedding_a"], tensors["edc.input.embedding_b"])
    quality = pair_quality(tensors["edc.input.quality_a"], tensors["edc.input.quality_b"])
    yield compare_array("distance", gaps, tensors["edc.output.distance"])
    yield compare_array("quality of pairs", quality, tensors["edc.output.pair_quality"])
    same_person = tensors["edc.input.same"].astype(bool)
    shares = tensors["edc.output.discard_fraction"]
    for name, fmr in FMRS.items():
        curve = Curve.of(-gaps, same_person, quality, fmr, shares, threshold="official")
        yield compare_array(f"at {name}", curve.fnmr, tensors[f"edc.output.fnmr_fmr{name}"])
        area = spec["edc_auc_over_discard_0_to_0.95"][name]
        yield compare_array(f"area at {name}", curve.area, area)
    curve = Curve.of(-gaps, same_person, quality, 1e-2, shares, threshold="fixed")
    yield compare_array("fixed", curve.fnmr, tensors["edc_fixed.output.fnmr_fmr1e-2"])
    expected = tensors["edc_fixed.output.threshold_fmr1e-2"]
    yield compare_array("fixed threshold", -curve.threshold, expected)
