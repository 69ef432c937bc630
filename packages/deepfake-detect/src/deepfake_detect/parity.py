"""The goldens computed with the official release, compared with ours."""

import re
from collections.abc import Iterable, Mapping
from functools import partial
from math import inf
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_detect.decide.crops import cut_square
from deepfake_detect.model import GenConViTED, GenConViTVAE, build_model
from deepfake_detect.official import (
    build,
    convert,
    modern_swin_keys,
    official_score,
    pool,
    read_config,
)
from vitrail.backbones import create_backbone
from vitrail.preprocess.image import normalise
from vitrail.preprocess.video import sample_indices
from vitrail.testing.parity import Comparison, check_packs, compare, formula_tensor, same
from vitrail.weights.files import load_into


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its description's fields tell."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    if "variants" in spec:
        return _check_manifest(spec)
    if "frame_sampling" in spec:
        return [*_check_faces(spec, tensors), *_check_rules(spec)]
    return _check_network(spec, tensors)


@torch.inference_mode()
def _check_network(spec: Mapping, tensors: Mapping[str, Tensor]) -> list[Comparison]:
    stored = {
        key.removeprefix("weight."): value
        for key, value in tensors.items()
        if key.startswith("weight.")
    }
    noise = tensors.get("input.eps")
    with torch.device("meta"):
        model = build(spec.get("config", {}), "ed" if noise is None else "vae").eval()
    state = dict(stored)
    if "formula" in spec:
        absent = {
            key: value.shape for key, value in model.state_dict().items() if key not in stored
        }
        state |= {key: formula_tensor(key, shape) for key, shape in absent.items()}
    load_into(model, convert(state), subject="golden", assign=True)

    image = tensors.get("input.image")
    if image is None:
        image = torch.from_numpy(normalise(tensors["input.image_u8"].movedim(1, -1).numpy()))
    if noise is None:
        assert isinstance(model, GenConViTED)
        ours = _values_ed(model, image)
    else:
        assert isinstance(model, GenConViTVAE)
        ours = _values_vae(model, image, noise)
    if "mid.logvar" in tensors:
        ours |= _kl(ours["encoder_features"], ours["mu"], stored)
    if "output.embedder" in tensors:
        ours["embedder"] = _embedder(spec["config"]["swin"], stored)(image)

    goldens = {key: value for key, value in tensors.items() if key.startswith(("mid.", "output."))}
    bounds = spec["rtol"], spec["atol"]
    return [
        _compare_kept(key, ours.get(_plain(key)), expected, *bounds)
        for key, expected in goldens.items()
    ]


def _values_ed(model: GenConViTED, image: Tensor) -> dict[str, Tensor]:
    encoded = model.encoder(image)
    decoded = model.decoder(encoded)
    return {
        "encoder": encoded,
        "decoder": decoded,
        "backbone_of_decoded": model.backbone(decoded),
        "backbone_of_image": model.backbone(image),
        "logits": model(image),
    }


def _values_vae(model: GenConViTVAE, image: Tensor, noise: Tensor) -> dict[str, Tensor]:
    mu = model.encoder(image)
    values = {
        "encoder_features": model.encoder.features(image).flatten(1),
        "mu": mu.flatten(1),
        "backbone_of_image": model.backbone(image),
    }
    for suffix, eps in (("", noise), ("_mean", None)):
        reconstruction = model.reconstruct(image, eps)
        values |= {
            f"z{suffix}": model.sample(mu, eps).flatten(1),
            f"xhat{suffix}": reconstruction,
            # The release's second output; it has this size whatever the image's.
            f"recon{suffix}": F.interpolate(
                reconstruction, (224, 224), mode="bilinear", antialias=True
            ),
            f"backbone_of_decoded{suffix}": model.backbone(reconstruction),
            f"logits{suffix}": model(image, eps),
        }
    return values


def _kl(features: Tensor, mu: Tensor, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The release's KL number. No output and no loss depends on it, so its layer is no part of our
    model."""
    shapes = {"weight": (mu.shape[1], features.shape[1]), "bias": (mu.shape[1],)}
    var = {name: stored.get(f"encoder.var.{name}") for name in shapes}
    var = {
        name: formula_tensor(f"encoder.var.{name}", shapes[name]) if v is None else v
        for name, v in var.items()
    }
    logvar = F.linear(features, **var)
    return {
        "logvar": logvar,
        "kl": 0.5 * (-0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)).mean(0, keepdim=True),
    }


def _embedder(config: Mapping, stored: Mapping[str, Tensor]) -> nn.Module:
    """The Swin that the release stores and never calls; a golden of it proves the change of its key
    names."""
    options = dict(config)
    options["norm_layer"] = partial(nn.LayerNorm, eps=options.pop("norm_eps", 1e-5))
    swin = create_backbone("swin_tiny_patch4_window7_224", **options).eval()
    old = {
        key.removeprefix("embedder."): value
        for key, value in stored.items()
        if key.startswith("embedder.")
    }
    swin.load_state_dict(modern_swin_keys(old))
    # A released file's masks follow from the sizes and are dropped; the golden's are random like
    # its other tensors.
    for key in old:
        if key.endswith(".attn_mask"):
            swin.get_submodule(key.removesuffix(".attn_mask")).attn_mask = old[key]
    return swin


def _plain(key: str) -> str:
    """``mid.xhat_every4_mean`` -> ``xhat_mean``."""
    return re.sub(r"_every\d+", "", key.partition(".")[2])


def _compare_kept(
    name: str, ours: Tensor | None, expected: Tensor, rtol: float, atol: float
) -> Comparison:
    """Large goldens keep only every k-th value of each image axis, or of a flat vector."""
    if ours is None:
        return Comparison(f"{name} has no counterpart", inf, atol)
    step = max(1, ours.shape[-1] // expected.shape[-1])
    kept = ours[..., ::step, ::step] if ours.ndim > 2 else ours[..., ::step]
    return compare(name, kept, expected, rtol, atol)


def _check_faces(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    for number in sorted(
        key.removeprefix("input.frame") for key in tensors if key.startswith("input.frame")
    ):
        top, right, bottom, left = spec[f"box{number}_top_right_bottom_left"]
        face = tensors[f"output.face{number}"]
        ours = cut_square(
            tensors[f"input.frame{number}"].numpy(), (left, top, right, bottom), len(face)
        )
        yield compare(f"face {number}", torch.from_numpy(ours), face, 0, spec["atol_face_uint8"])
        expected = tensors[f"output.tensor{number}_every4"]
        tensor = torch.from_numpy(normalise(face.numpy()))
        yield _compare_kept(f"tensor {number}", tensor, expected, spec["rtol"], spec["atol"])


def _check_rules(spec: Mapping) -> Iterable[Comparison]:
    for case in spec["frame_sampling"]:
        total, number = case["total_frames"], case["num_frames"]
        ours = sample_indices(total, number=None if number < 0 else number)
        yield same(f"{number} of {total} frames", list(ours), case["indices"])
    for case in [
        *spec["scoring"],
        {"name": "no face", "logits": [], **spec["no_face"]},
    ]:
        ours = official_score(np.reshape(case["logits"], (-1, 2)))
        value, expected = torch.tensor(ours.value), torch.tensor(case["value"])
        yield compare(f"score, {case['name']}", value, expected, spec["rtol"], spec["atol"])
        yield same(
            f"verdict, {case['name']}",
            (ours.class_index, ours.label),
            (case["class_index"], case["label"]),
        )
    cap = spec["cap"]
    yield same(
        "faces kept",
        len(pool(np.zeros((cap["faces_found"], 1, 2)), cap["frames"])),
        cap["faces_kept"],
    )


def _check_manifest(spec: Mapping) -> Iterable[Comparison]:
    for variant in spec["variants"]:
        name, shapes = variant["name"], variant["state_dict"]
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in shapes.items()}
            models = {
                "its config": build(variant["config"], name),
                "its shapes": build_model(*read_config(stored)),
            }
        live = convert(stored)
        for source, model in models.items():
            ours = {(key, value.shape) for key, value in model.state_dict().items()}
            different = ours ^ {(key, value.shape) for key, value in live.items()}
            yield Comparison(
                f"{name}, keys and shapes of the network built from {source}", len(different), 0
            )
        parameters = sum(parameter.numel() for parameter in models["its config"].parameters())
        yield same(
            f"{name}, parameters used at inference", parameters, variant["params_used_at_inference"]
        )
        kept_in_vain = live.keys() & set(variant["unused_in_forward"])
        yield Comparison(f"{name}, keys kept that the release never reads", len(kept_in_vain), 0)
