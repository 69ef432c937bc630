"""Goldens of cases: the official preparation, and figures of real label maps."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medical_segment import official
from medical_segment.data import read_label
from medical_segment.files.reading import read_case
from medical_segment.preprocess import prepare
from medical_segment.scores import count_cells, dice, inside, overlap
from vitrail.errors import InputError
from vitrail.testing.parity import Comparison, compare, same
from vitrail.training.recipe import data_folder

PIXEL_ATOL = 1e-6
MEASURE_TOLERANCE = 1e-5


def check_preprocessing(
    spec: Mapping, tensors: Mapping[str, Tensor], folder: Path
) -> Iterator[Comparison]:
    """The official BraTS preparation on volumes that a rule makes, in two orientations."""
    tolerance = spec["tolerance"]["rtol"], spec["tolerance"]["atol"]
    plan = official.BRATS
    for name, affine in spec["affines"].items():
        affine = np.array(affine, dtype=float)
        volume = np.stack([_modality(number, spec["seed"]) for number in range(4)])
        image = torch.from_numpy(official.crop_brats(prepare(volume, affine, plan)))
        for number in range(4):
            key = f"{name}_modality{number}"
            yield compare(
                key, image[number : number + 1, ::8, ::8, ::8], tensors[f"output.{key}"], *tolerance
            )
            total = image[number].double().sum().item()
            yield Comparison(f"{key}, sum", abs(total / spec["full"][key]["sum"] - 1), tolerance[0])
        regions = official.brats_regions(_label(spec["seed"]), affine, "decathlon")
        label = torch.from_numpy(regions)
        expected = tensors[f"output.{name}_label"]
        yield compare(f"{name}_label", label[:, ::4, ::4, ::4].to(expected.dtype), expected, 0, 0)
        counts = label.flatten(1).sum(1).tolist()
        yield same(
            f"{name}_label, voxels", counts, spec["full"][f"{name}_label"]["voxels_TC_WT_ET"]
        )


def _modality(m: int, seed: int) -> np.ndarray:
    i, j, k = np.ogrid[:240, :240, :155]
    v = (i * 7 + j * 13 + k * 29 + m * 31 + seed * 17 + (i * j) // 11 + (j * k) // 7) % 997
    inside = ((i - 120 - 3 * m) / 90) ** 2 + ((j - 118) / 95) ** 2 + ((k - 77) / 70) ** 2 < 1
    return np.where(inside, v + 1, 0).astype(np.int16)


def _label(seed: int) -> np.ndarray:
    i, j, k = np.ogrid[:240, :240, :155]
    label = np.zeros((240, 240, 155), np.uint8)
    for number, (a, b, c), radius in (
        (1, (110, 130, 80), 35),
        (2, (112, 128, 82), 22),
        (3, (114, 126, 84), 13),
    ):
        label[(i - a - seed) ** 2 + (j - b) ** 2 + (k - c) ** 2 < radius**2] = number
    return label


def check_metrics(spec: Mapping, tensors: Mapping, folder: Path) -> Iterator[Comparison]:
    """Overlap and surfaces of real labels against shifted ones, in both ways of counting
    surfaces."""
    for case in spec["cases"]:
        path = _data("hippocampus/labels") / case["file"]
        truth = read_label(path, read_case(path).shape)
        moved = np.roll(truth, case["shift"], (0, 1, 2))
        for number in (1, 2):
            expected = case[f"class{number}"]
            for surface, name in (("voxels", "monai"), ("elements", "surface_distance")):
                found = overlap(moved == number, truth == number, case["spacing"], surface=surface)
                where = (
                    f"{case['file']}, shift {case['shift']}, spacing {case['spacing']}, {number}"
                )
                for measure, key in (
                    ("dice", "dice"),
                    ("hd95", f"hd95_{name}"),
                    ("nsd", f"nsd_{name}_tol1"),
                ):
                    error = abs(getattr(found, measure) - expected[key])
                    yield Comparison(
                        f"{where}, {number}, {name}, {measure}", error, MEASURE_TOLERANCE
                    )


def check_cells(spec: Mapping, tensors: Mapping, folder: Path) -> Iterator[Comparison]:
    """Counted cells of real images against shifted ones."""
    from skimage.measure import label

    for case in spec["cases"]:
        path = _data("nuclei_dsb2018/instances") / f"{case['image']}.png"
        truth = read_label(path, read_case(path).shape)
        foreground = np.roll(truth, case["roll"], (0, 1)) > 0
        predicted = np.asarray(label(foreground))
        (count,) = count_cells(predicted, truth)
        where = f"{case['image']}, roll {case['roll']}"
        sizes = [len(np.unique(inside(part))) - 1 for part in (truth, predicted)]
        yield same(f"{where}, objects", sizes, [case["true"], case["pred"]])
        yield same(
            f"{where}, pairs",
            [count.tp, count.fp, count.fn],
            [case[key] for key in ("tp", "fp", "fn")],
        )
        for name in ("precision", "recall", "f1"):
            yield Comparison(f"{where}, {name}", abs(getattr(count, name) - case[name]), PIXEL_ATOL)
        yield Comparison(
            f"{where}, dice", abs(dice(foreground, truth > 0) - case["dice"]), PIXEL_ATOL
        )


def _data(part: str) -> Path:
    """Where the real labels lie that the goldens were measured on; InputError where they are
    not."""
    folder = Path(os.path.expanduser(data_folder())) / "medical" / part
    if not folder.is_dir():
        raise InputError(
            folder, "is not there, and its goldens need it", "name the data folder in VITRAIL_DATA"
        )
    return folder
