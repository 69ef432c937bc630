"""Every golden of the release's pack, computed by us."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsi_classify import official
from hsi_classify.models.specvit import Block, SpecViT, streamline
from hsi_classify.scene.components import Moments, fit_components
from hsi_classify.scene.patches import at_pixels, standardised
from vitrail.errors import InputError
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

SCENE = "data/hyperspectral/salinas_a"  # beside the folder of goldens


def check(folder: Path) -> list[Comparison]:
    """Every golden in a folder of the pack's format."""
    return check_packs(folder, _check_pack)


@torch.no_grad()
def _check_pack(path: Path, spec: Mapping, tensors: Mapping[str, Tensor]) -> list[Comparison]:
    checks = {"manifest": _manifest, "tiny": _tiny, "full": _full, "preproc": _preprocessing}
    kind = next((name for name in checks if path.stem.startswith(name)), None)
    if kind is None:
        raise InputError(path.stem, "is not a golden that we know", "give a folder of the pack")
    return list(checks[kind](spec, tensors, path.parents[2]))


def _manifest(spec: Mapping, *_: Any) -> Iterator[Comparison]:
    shapes = spec["Salinas"]["state_dict"]
    for name, variant in spec.items():
        expected = {**shapes, **variant.get("state_dict_differs_from_Salinas_only_in", {})}
        with torch.device("meta"):
            model = official.build(variant["config"])
        ours = {key: list(value.shape) for key, value in model.state_dict().items()}
        different = {key for key in ours.keys() | expected if ours.get(key) != expected.get(key)}
        yield Comparison(f"{name}, keys and shapes", len(different), 0)
        parameters = dict(model.named_parameters())
        count = sum(p.numel() for p in parameters.values())
        yield same(f"{name}, parameters", count, variant["params"])
        adapters = sum(p.numel() for key, p in parameters.items() if ".lora_" in key)
        yield same(f"{name}, adapters", adapters, variant["trainable_params_official"])


def _tiny(spec: Mapping, tensors: Mapping[str, Tensor], _: Path) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    state = {k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")}
    raw = tensors["input.patches_raw"].numpy()
    patches = torch.from_numpy(standardised(raw))
    yield compare("patches", patches, tensors["input.patches"], *bounds)
    model = official.build(spec["config"]).eval()
    load_into(model, official.convert(state), subject="golden")
    yield from _stages(model, tensors["input.patches"], tensors, bounds, stride=1)
    yield same("the options, read from the shapes", official.read_config(state), _wanted(model))
    logits = streamline(model)(tensors["input.patches"])
    yield compare("streamlined logits", logits, tensors["output.logits"], *bounds)


def _full(spec: Mapping, tensors: Mapping[str, Tensor], _: Path) -> Iterator[Comparison]:
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    model = official.build(spec["config"]).eval()
    _fill(model)
    state = model.state_dict()
    for key, values in spec["probe"].items():
        found = state[key].flatten()[: len(values)]
        yield compare(f"weights {key}", found, torch.tensor(values), 1e-5, 1e-6)
    b, c, h, w = np.ogrid[:2, :15, :15, :15]
    image = np.sin(0.31 * h + 0.17 * w * (c + 1) + 0.5 * c + 0.9 * b)
    image = torch.from_numpy(image.astype(np.float32))
    yield from _stages(model, image, tensors, bounds, stride=8)
    logits = streamline(model)(image)
    yield compare("streamlined logits", logits, tensors["output.logits"], *bounds)


def _stages(
    model: SpecViT, image: Tensor, tensors: Mapping[str, Tensor], bounds: tuple, stride: int
) -> Iterator[Comparison]:
    """All that the goldens keep, by their names; ``stride`` of the front end's channels."""
    found: dict[str, Tensor] = {}
    x = model.spectral_conv(image[:, None])
    found["spectral_conv"] = x[:, :, ::4, ::4, ::4]
    x = model.spectral_attention(x)
    found["spectral_attention"] = x[:, ::stride, ::4, ::4, ::4]
    x = model.patch_embed(x.mean(2))
    found["patch_embed"] = x
    x = x.permute(0, 2, 3, 1) + model.pos_embed
    first: Any = model.levels[0]
    block = first[0]
    assert isinstance(block, Block)
    tokens = block.norm1(x).flatten(1, 2)
    found["level0_qkv0"] = block.attn.qkv(tokens)
    found["level0_attn0"] = block.attn(tokens)
    after = x + found["level0_attn0"].view_as(x)
    found["level0_mlp0"] = block.mlp(block.norm2(after)).flatten(1, 2)
    for number, level in enumerate(model.levels):
        blocks: Any = level
        for place, block in enumerate(blocks):
            x = block(x)
            if isinstance(block, Block):
                found[f"level{number}_block{place}"] = x
                found[f"level{number}_last"] = x
            else:
                found[f"level{number}_down"] = x.permute(0, 3, 1, 2)
    found["norm"] = model.norm(x.flatten(1, 2))
    for key, expected in tensors.items():
        if key.startswith("mid."):
            ours = found[key.removeprefix("mid.")]
            # Tokens reach 150 on their way through the residuals, and float32 alone moves small
            # ones by the rounding of the large: the goldens are as far from float64 as we are.
            reach = bounds[0] * float(expected.abs().max())
            yield compare(key, ours, expected, bounds[0], bounds[1] + reach)
    yield compare("logits", model(image), tensors["output.logits"], *bounds)


def _wanted(model: SpecViT) -> dict:
    config = model.config
    names = official.read_config(model.state_dict())
    return {
        name: list(value) if isinstance(value := getattr(config, name), list | tuple) else value
        for name in names
    }


def _preprocessing(
    spec: Mapping, tensors: Mapping[str, Tensor], root: Path
) -> Iterator[Comparison]:
    from scipy.io import loadmat

    folder = root / SCENE
    cube = loadmat(folder / "SalinasA_corrected.mat")["salinasA_corrected"].astype(np.float64)
    labels = loadmat(folder / "SalinasA_gt.mat")["salinasA_gt"].ravel().astype(np.int64)
    bounds, expected = (spec["tolerance"]["rtol"], spec["tolerance"]["atol"]), spec["expected"]
    flat = cube.reshape(-1, cube.shape[-1])
    components = fit_components(Moments.of([flat]), 15)
    axes = components.axes * np.sqrt(_variances(flat, components.axes))
    explained = torch.from_numpy(components.explained.copy())
    yield compare(
        "explained variance", explained, tensors["output.explained_variance_ratio"], 1e-4, 1e-6
    )
    unit = axes / np.linalg.norm(axes, axis=0)
    yield compare("components", _tensor(np.abs(unit.T)), tensors["output.components_abs"], *bounds)
    projected = components.project(flat)
    # Scores of a whitened component lose digits in float32 where its variance is small.
    every = _tensor(np.abs(projected[::20]))
    yield compare("projections", every, tensors["output.pca_abs_every"], 1e-3, 2e-3)
    known = np.flatnonzero(labels)
    places = np.stack(np.unravel_index(known, cube.shape[:2]), 1)
    yield compare("pixels", _tensor(places), tensors["input.pixel_row_col"], 0, 0)
    classes = labels[known] - 1
    yield compare("labels", _tensor(classes), tensors["input.labels_zero_based"], 0, 0)
    train, _ = official.split(classes)
    yield compare("split", _tensor(np.sort(train)), tensors["output.train_index_sorted"], 0, 0)
    first = _tensor(train[:20])
    yield compare("split in order", first, tensors["output.train_index_first20_in_order"], 0, 0)
    yield from _patches(projected.reshape(*cube.shape[:2], -1), known, tensors, bounds)
    yield from _metrics(classes, tensors["input.metric_pred"].numpy(), expected)


def _patches(
    image: np.ndarray, known: np.ndarray, tensors: Mapping[str, Tensor], bounds: tuple
) -> Iterator[Comparison]:
    expected = tensors["output.patches_raw"].numpy()
    pixels = known[tensors["input.patch_pixels"].numpy()]
    ours = at_pixels(np.moveaxis(image, -1, 0), pixels, expected.shape[-1])
    signs = np.sign((ours * expected).sum((0, 2, 3)))[None, :, None, None]
    yield compare("patches", _tensor(ours * signs), _tensor(expected), 1e-3, 2e-3)
    scaled = _tensor(standardised(expected))
    yield compare("normalised patches", scaled, tensors["output.patches_normalised"], *bounds)


def _metrics(truth: np.ndarray, guesses: np.ndarray, expected: Mapping) -> Iterator[Comparison]:
    from hsi_classify.scores import score

    found = score(truth, guesses)
    pairs = (("OA", found.oa), ("AA", found.aa), ("kappa", found.kappa))
    for name, value in pairs:
        yield Comparison(name, abs(value - expected[name]), 1e-9)
    yield same("confusion matrix", found.confusion.tolist(), expected["confusion"])


def _variances(flat: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return ((flat - flat.mean(0)) @ axes).var(0, ddof=1)


def _fill(model: SpecViT) -> None:
    """The weights that the full-size golden calls by formula: a hash of a key's place among the
    sorted keys and of each element's place. Tensor by tensor, in place: it is a gigabyte."""
    state = model.state_dict()
    for index, key in enumerate(sorted(state)):
        tensor = state[key]
        if key.endswith(("num_batches_tracked", "relative_position_index")):
            continue
        u = _hash(tensor.numel(), index)
        s = 2 * u - 1
        if key.endswith("running_var"):
            values = 0.5 + u
        elif key.endswith("running_mean"):
            values = 0.2 * s
        elif tensor.ndim == 1:
            values = 0.8 + 0.4 * u if key.endswith("weight") else 0.1 * s
        elif key.endswith("weight"):
            values = s * np.sqrt(3 / np.prod(tensor.shape[1:])) * 0.9
        else:
            values = 0.2 * s
        tensor.copy_(_tensor(values.astype(np.float32)).reshape(tensor.shape))


def _hash(count: int, index: int) -> np.ndarray:
    """(count,) float64 in 0..1."""
    mask = np.uint64(0xFFFFFFFF)
    start = np.uint64(((2 * index + 1) * 2654435761) % 2**32)
    h = (np.arange(1, count + 1, dtype=np.uint64) * start) & mask
    for shift, factor in ((16, 2246822519), (13, 3266489917), (16, 1)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & mask
    return h / 2.0**32


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
