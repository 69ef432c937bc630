"""Every golden of the core: those of the CvT release."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from vitrail.backbones import create_backbone
from vitrail.backbones.cvt import Block, CvT
from vitrail.backbones.cvt_official import build, convert, prepare_image
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into


def check(folder: Path) -> list[Comparison]:
    """Every golden in a folder of the cvt pack's format."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    if path.stem == "manifest":
        return _check_manifest(spec)
    if path.stem.startswith("preproc"):
        return _check_pictures(spec, tensors)
    return _check_network(spec, tensors)


@torch.no_grad()
def _check_network(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    state = {
        key.removeprefix("weight."): value
        for key, value in tensors.items()
        if key.startswith("weight.")
    }
    image, ours = tensors["input.image"], {}
    for suffix, activation in (("", "quick_gelu"), ("_exact_gelu", "gelu")):
        model = build(spec["config"], spec["num_classes"], activation).eval()
        for keys in (state, _renamed(state, spec.get("key_map_official_to_transformers", {}))):
            load_into(model, convert(keys), subject="golden")
            ours |= {f"{name}{suffix}": value for name, value in _values(model, image).items()}
    for key, expected in tensors.items():
        name = key.partition(".")[2]
        if key.startswith(("mid.", "output.")):
            yield compare(key, ours[name], expected, spec["rtol"], spec["atol"])


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    return {names.get(key, key): value for key, value in state.items()}


def _values(model: CvT, image: Tensor) -> dict[str, Tensor]:
    """Everything that the goldens keep, by their names."""
    values = {}
    embedded = model.stage0.patch_embed(image)
    block = model.stage0.blocks[0]
    assert isinstance(block, Block)
    values["stage0_patch_embed"] = embedded
    values["stage0_block0_attn"] = block.attn(
        block.norm1(embedded.flatten(2).mT), embedded.shape[-2:]
    )
    x = image
    for number, stage in enumerate(model.stages):
        x, token = stage(x)
        values[f"stage{number}"] = x
        if token is not None:
            values[f"cls_stage{number}"] = token
    return values | {"features": model.forward_features(image), "logits": model(image)}


def _check_pictures(spec: Mapping, tensors: Mapping[str, Tensor]) -> Iterable[Comparison]:
    for key, expected in tensors.items():
        if key.startswith("output."):
            name, size, _ = key.removeprefix("output.").rsplit("_", 2)
            ours = prepare_image(tensors[f"input.{name}"].numpy(), int(size))
            yield compare(key, ours, expected.float(), spec["rtol"], spec["atol"])


def _check_manifest(spec: Mapping) -> Iterable[Comparison]:
    for name, variant in spec.items():
        with torch.device("meta"):
            named = create_backbone(name.replace("-", "_"), num_classes=variant["num_classes"])
            built = build(variant["config"], variant["num_classes"])
            stored = {key: torch.empty(shape) for key, shape in variant["state_dict"].items()}
        ported = _renamed(stored, variant.get("key_map_official_to_transformers", {}))
        for what, keys in (("official", stored), ("the port's", ported)):
            expected = {(key, value.shape) for key, value in convert(keys).items()}
            for model in (named, built):
                different = {
                    (key, value.shape) for key, value in model.state_dict().items()
                } ^ expected
                yield Comparison(f"{name}, {what} keys and shapes", len(different), 0)
        parameters = sum(parameter.numel() for parameter in built.parameters())
        yield same(f"{name}, parameters", parameters, variant["params"])
