"""Every golden that was computed with the official release: networks, preprocessing, full sizes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from audio_classify.models import build_model
from audio_classify.models.config import SSASTConfig
from audio_classify.models.pretext import MaskedModel, pick
from audio_classify.models.ssast import SSAST, pool, resize_positions
from audio_classify.official import DEAD, build, convert, read_config
from audio_classify.sound.features import Features
from vitrail.preprocess.filterbank import analysis_window, filterbank, mel_triangles
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its description's fields tell."""
    return check_packs(folder, _check_pack)


def _check_pack(
    path: Path, spec: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterable[Comparison]:
    if "cases" in spec:
        return _check_cases(path, spec)
    if "norm" in spec:
        return _check_features(spec, tensors)
    return _check_manifest(spec)


@torch.inference_mode()
def _check_cases(path: Path, spec: Mapping[str, Any]) -> Iterable[Comparison]:
    """Networks with random weights; a fine-tuned one takes what it does not list from the case that
    it is based on."""
    cases, bounds = spec["cases"], (spec["tolerance"]["rtol"], spec["tolerance"]["atol"])
    packs = {name: load_file(path.parent / case["file"]) for name, case in cases.items()}
    for name, case in cases.items():
        config, state = case["config"], _weights(packs[name])
        if base := config.get("base"):
            config = {**_sizes(cases[base]["config"]), **config}
            before = _weights(packs[base])
            yield _check_positions(name, config, state, cases[base]["config"], before, bounds)
            state = {**before, **state} if not case["full_weights"] else state
        model = build(config).eval()
        # A fine-tuned model has no use for the pretext's heads.
        ours = {
            key: value
            for key, value in convert(state).items()
            if not base or key.startswith(("trunk.", "head."))
        }
        load_into(model, ours, subject=name)
        if base:
            assert isinstance(model, SSAST)
            values = _classified(model, packs[name])
        else:
            assert isinstance(model, MaskedModel)
            values = _pretext(model, packs[name])
        for key, expected in packs[name].items():
            if key.startswith(("output.", "mid.")):
                yield _compare(
                    f"{name}, {key}", values.get(key.partition(".")[2]), expected, *bounds
                )


def _weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        key.removeprefix("weight."): value
        for key, value in tensors.items()
        if key.startswith("weight.")
    }


def _sizes(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config[key] for key in ("embed_dim", "depth", "heads") if key in config}


def _check_positions(name, config, state, base_config, base_state, bounds) -> Comparison:
    old, new = (
        SSASTConfig(
            num_frames=c["input_tdim"],
            patch=(c["fshape"], c["tshape"]),
            stride=(c["fstride"], c["tstride"]),
        ).grid(c["input_tdim"])
        for c in (base_config, config)
    )
    key = "module.v.pos_embed"
    return compare(
        f"{name}, positions", resize_positions(base_state[key], old, new, 2), state[key], *bounds
    )


def _pretext(model: MaskedModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    image, masked = tensors["input.fbank"], tensors["input.mask_index"]
    first: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        first.append(output)

    hook = model.trunk.blocks[0].register_forward_hook(keep)
    tokens = model.tokens(image, masked)
    hook.remove()
    hidden = pick(tokens[:, model.config.class_tokens :], masked)
    loss = model(image, masked)
    return {
        "patch_embed": model.trunk.embed(image).flatten(1, 2),
        "block0": first[0],
        "tokens": tokens,
        "cpred": model.discriminative(hidden),
        "gpred": model.generative(hidden),
        "unfold": model.targets(image),
        "acc": loss.accuracy[None],
        "nce": loss.discriminative[None],
        "mse": loss.generative[None],
        "joint_loss": loss.total[None],
    }


def _classified(model: SSAST, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tokens = model.trunk(tensors["input.fbank"])
    values = {"tokens": tokens}
    for name, pooling in (("avgtok", "mean"), ("cls", "class")):
        embedding = pool(tokens, pooling, model.config.class_tokens)
        values |= {f"embedding_{name}": embedding, f"logits_{name}": model.head(embedding)}
    return values


def _compare(
    name: str, ours: Tensor | None, expected: Tensor, rtol: float, atol: float
) -> Comparison:
    if ours is None:
        return Comparison(f"{name} has no counterpart", inf, atol)
    return compare(name, ours, expected, rtol, atol)


def _check_features(spec: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]

    def compare_array(name: str, ours: np.ndarray, expected: Tensor) -> Comparison:
        return compare(name, torch.from_numpy(ours), expected, *bounds)

    for key, expected in tensors.items():
        kind, _, rest = key.removeprefix("output.").partition(".")
        if kind.startswith("mel_banks_"):
            yield compare_array(kind, mel_triangles(_rate(kind)), expected)
        elif kind == "window_400":
            yield compare_array(kind, analysis_window(400), expected)
        elif kind == "fbank":
            wave = tensors[f"input.{rest}"].numpy()
            yield compare_array(key, filterbank(wave - wave.mean(), _rate(rest)), expected)
        elif kind == "model_input":
            (data, frames), name = rest.partition(".")[0].split("_t"), rest.partition(".")[2]
            features = Features(_rate(name), *spec["norm"][data], num_frames=int(frames))
            ours = features.network_input(tensors[f"input.{name}"].numpy(), exact=True)
            yield compare_array(key, ours, expected)
        elif key.startswith("output."):
            yield Comparison(f"{key} has no counterpart", inf, bounds[1])


def _rate(name: str) -> int:
    return 8000 if name.endswith("_8k") else 16000


def _check_manifest(spec: Mapping[str, Any]) -> Iterable[Comparison]:
    for name, variant in spec.items():
        shapes = variant["state_dict"]
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in shapes.items()}
            named, read = build(variant["config"]), read_config(stored)
            again = (
                MaskedModel(SSASTConfig(**read))
                if "mask_embed" in convert(stored)
                else build_model("ssast", read)
            )
        live = {(key, value.shape) for key, value in convert(stored).items()}
        for source, model in (("its config", named), ("its shapes", again)):
            ours = {(key, value.shape) for key, value in model.state_dict().items()}
            yield Comparison(
                f"{name}, keys and shapes of the network built from {source}", len(ours ^ live), 0
            )
        # Which tokens a head was trained on, no shape tells.
        read = replace(again.config, pooling=named.config.pooling)
        yield same(f"{name}, options read from the shapes", read, named.config)
        dead = sum(
            value.numel()
            for key, value in stored.items()
            if DEAD.fullmatch(key.removeprefix("module."))
        )
        parameters = sum(parameter.numel() for parameter in named.parameters())
        yield same(f"{name}, parameters", parameters + dead, variant["params"])
