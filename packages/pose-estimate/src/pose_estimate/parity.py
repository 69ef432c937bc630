"""The goldens computed with the official code of ViTPose, compared with ours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pose_estimate.models.evitpose import EViTPose
from pose_estimate.official import build, convert, read_config
from pose_estimate.pose.crop import CropShape, crop_matrix, cut, frame_of, straight_matrix, targets
from pose_estimate.pose.decode import decode, flip_back, mean_with_flipped
from pose_estimate.pose.oks import oks_matrix, oks_nms, pck, soft_oks_nms
from vitrail.preprocess.image import normalise
from vitrail.testing.parity import Comparison, check_packs, compare, same
from vitrail.weights.files import load_into

Tensors = Mapping[str, Tensor]


def check(folder: Path) -> list[Comparison]:
    """Compares with every golden in ``folder``; what a golden is, its description's fields tell."""
    return check_packs(folder, _check_pack)


def _check_pack(path: Path, spec: Mapping, tensors: Tensors) -> Iterable[Comparison]:
    if "configs" in spec:
        return _check_manifest(spec)
    if "blur_kernel" in spec["config"]:
        return _check_processing(spec, tensors)
    return _check_network(spec, tensors)


def _check_manifest(spec: Mapping) -> Iterator[Comparison]:
    """Keys, shapes, parameters and options of each released size, under its own keys."""
    for name, entry in spec["configs"].items():
        with torch.device("meta"):
            stored = {key: torch.empty(shape) for key, shape in entry["state_dict"].items()}
            named = build(entry["config"])
        expected = {(key, value.shape) for key, value in convert(stored).items()}
        ours = {(key, value.shape) for key, value in named.state_dict().items()}
        yield Comparison(f"{name}, keys and shapes", len(ours ^ expected), 0)
        yield same(f"{name}, parameters", _count(named), entry["params"])
        found = read_config(convert(stored))
        wanted = {key: getattr(named.config, key) for key in found}
        yield same(f"{name}, options told by shapes", found, wanted)


@torch.inference_mode()
def _check_network(spec: Mapping, tensors: Tensors) -> Iterator[Comparison]:
    state = {key[7:]: value for key, value in tensors.items() if key.startswith("weight.")}
    image = tensors["input.image"]
    numbers = tensors.get("input.dataset_index", torch.zeros(len(image), dtype=torch.int64))
    rows = [_values(spec, state, row[None], int(n)) for row, n in zip(image, numbers, strict=True)]
    ours = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    bounds = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    for key, expected in tensors.items():
        if key.startswith(("mid.", "output.")):
            yield compare(key, ours[key.partition(".")[2]], expected, *bounds)


def _values(spec: Mapping, state: Tensors, image: Tensor, expert: int) -> dict[str, Tensor]:
    """Everything that the goldens keep, by their names."""
    model = build(spec["config"]).eval()
    load_into(model, convert(state, expert), subject="golden")
    pairs = spec["config"]["flip_pairs"]
    values = dict(_steps(model, image))
    if "num_expert" not in spec["config"]:  # their blocks were kept while the mirrored image ran
        mirrored = dict(_steps(model, image.flip(3)))
        values |= {name: value for name, value in mirrored.items() if name.startswith("block")}
    flipped = _heatmaps(model, image.flip(3))
    values["heatmaps_flipped_back"] = torch.from_numpy(flip_back(flipped, pairs))
    own = _heatmaps(model, image)
    values["heatmaps_flip_test"] = torch.from_numpy(mean_with_flipped(own, flipped, pairs))
    return values


def _steps(model: EViTPose, image: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "patch_embed", model.patch_embed(image).flatten(2).transpose(1, 2)
    x, _ = model.embed(image)
    for number, block in enumerate(model.blocks):
        x = block(x)
        yield f"block{number}", x
    yield "backbone_features", model.encode(image).features
    yield "heatmaps", torch.from_numpy(_heatmaps(model, image))


def _heatmaps(model: EViTPose, image: Tensor) -> np.ndarray:
    heatmaps = model(image).heatmaps
    assert heatmaps is not None
    return heatmaps.numpy()


def _check_processing(spec: Mapping, tensors: Tensors) -> Iterator[Comparison]:
    """Boxes to crops, joints to heat maps, heat maps to joints, and the rules of scoring."""
    config = spec["config"]
    width, height = config["image_size"]
    shape = CropShape((height, width))
    got = dict(_crops(shape, tensors)) | dict(_decoded(shape, tensors))
    got |= dict(_scored(config["oks_sigmas"], tensors))
    limits = spec["tolerance"]
    for key, expected in tensors.items():
        if not key.startswith("output."):
            continue
        ours = torch.as_tensor(np.asarray(got[key[7:]]))
        if key.endswith(".crop"):
            off = (ours.int() - expected.int()).abs() > limits["crop_uint8"]
            yield Comparison(f"{key}, share of pixels", off.float().mean().item(), 0.01)
            continue
        if key.startswith("output.decode") and key.endswith("keypoints"):
            ours[0, 5] = expected[0, 5]  # its map is empty: the golden need not be reproduced
        if key == "output.udp.normalised0":  # a crop, so of the crop's tolerance
            off = (ours - expected).abs() > limits["crop_uint8"] / 255 / 0.224
            yield Comparison(f"{key}, share of values", off.float().mean().item(), 0.01)
            continue
        yield compare(key, ours.to(expected.dtype), expected, limits["rtol"], limits["atol"])


def _crops(shape: CropShape, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    image = tensors["input.image_rgb"].numpy()
    boxes, angles = tensors["input.boxes_xywh"].numpy(), tensors["input.rotation_deg"].numpy()
    frames = [
        frame_of(box, shape, angle=float(angle)) for box, angle in zip(boxes, angles, strict=True)
    ]
    yield "center", np.stack([frame.centre for frame in frames])
    yield "scale", np.stack([frame.size for frame in frames]) / 200
    joints, visible = tensors["input.joints"].numpy(), tensors["input.visible"].numpy()
    for name, matrix_of, unbiased in (
        ("udp", crop_matrix, True),
        ("classic", straight_matrix, False),
    ):
        matrices = np.stack([matrix_of(frame, shape) for frame in frames])
        yield f"{name}.matrix", matrices
        crops = np.stack([cut(image, matrix, shape) for matrix in matrices])
        yield f"{name}.crop", crops
        if unbiased:
            yield "udp.normalised0", normalise(crops[:1])
        moved = np.einsum("nij,nkj->nki", matrices[:, :, :2], joints) + matrices[:, None, :, 2]
        untouched = (visible == 0) & (not unbiased)  # the older code moves labelled joints alone
        yield f"{name}.joints", np.where(untouched[..., None], joints, moved)
        maps, weights = targets(moved, visible > 0, shape, unbiased=unbiased)
        yield f"{name}.target_heatmap", maps[:2]
        yield f"{name}.target_weight", weights[..., None]


def _decoded(shape: CropShape, tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    maps = tensors["input.heatmaps"].numpy()
    boxes = tensors["input.boxes_xywh"].numpy()
    frames = [frame_of(box, shape) for box in boxes]
    for kind in ("udp", "dark", "shift", "argmax"):
        found = decode(maps, frames, kind=kind)
        yield f"decode_{kind}.keypoints", found[..., :2]
        yield f"decode_{kind}.scores", found[..., 2:]
    pairs = [[2 * n + 1, 2 * n + 2] for n in range(8)]
    yield "flip_back", flip_back(maps, pairs)


def _scored(sigmas: Sequence[float], tensors: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    joints, area = tensors["input.nms.keypoints"].numpy(), tensors["input.nms.area"].numpy()
    scores = tensors["input.nms.score"].numpy()
    matrix = oks_matrix(joints, area, np.asarray(sigmas))
    yield "nms.oks_matrix", matrix
    yield "nms.keep_oks0.5", oks_nms(matrix, scores, 0.5)
    yield "nms.keep_oks0.9", oks_nms(matrix, scores, 0.9)
    yield "nms.soft_keep_oks0.9", soft_oks_nms(matrix, scores, 0.9)
    per_joint, average = pck(
        tensors["input.pck.pred"].numpy(),
        tensors["input.pck.gt"].numpy(),
        tensors["input.pck.mask"].numpy(),
        tensors["input.pck.normalize"].numpy(),
        0.2,
    )
    yield "pck.per_joint", per_joint
    yield "pck.average", np.array([average])


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
