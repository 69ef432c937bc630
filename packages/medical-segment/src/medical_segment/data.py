"""Labelled cases as training samples: on the network's grid, cached, cut and changed by MONAI."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from monai.data import CacheDataset, PersistentDataset
from monai.transforms import Transform
from torch import Tensor
from torch.utils.data import Dataset

from medical_segment.files.layouts import Collection, LabelledCase
from medical_segment.files.reading import read_case
from medical_segment.plan import Plan
from medical_segment.preprocess import place, prepare
from vitrail.cache import cache_folder
from vitrail.errors import InputError

BOUNDARY = 2


class Samples(Protocol):
    """Prepared cases by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Any: ...


class Prepare(Transform):
    """A case's files to ``{"image": (C, spatial…) float32, "label": (1, spatial…) uint8}`` on the
    network's grid.

    MONAI's data sets keep its results, by the case's files and by this object's ``repr``.
    """

    def __init__(self, plan: Plan, instances: bool = False):
        self.plan, self.instances = plan, instances

    def __repr__(self) -> str:
        return f"Prepare({self.plan}, {self.instances})"

    def __call__(self, case: dict[str, Any]) -> dict[str, Tensor]:
        """Raises InputError where image and label map do not lie on the same grid or a label is not
        a class."""
        images = [Path(path) for path in case["images"]]
        volume = read_case(images if len(images) > 1 else images[0])
        numbers = read_label(Path(case["label"]), volume.shape)
        classes = cell_classes(numbers) if self.instances else numbers
        # Nearest, so that no voxel becomes the mean of two labels.
        label = place(classes[None].astype(np.uint8), volume.affine, self.plan, labels=True)
        image = prepare(volume.data, volume.affine, self.plan)
        return {"image": torch.from_numpy(image), "label": torch.from_numpy(label)}


def read_label(path: Path, shape: Sequence[int]) -> np.ndarray:
    """A label map's whole numbers; InputError where it has fractions or is not of its image's
    ``shape``."""
    data = read_case(path).data[0]
    if data.shape != tuple(shape):
        raise InputError(
            path,
            f"is {data.shape}, its image {tuple(shape)}",
            "give a label map on the image's grid",
        )
    whole = np.round(data).astype(np.int32)
    if not np.array_equal(whole, data):
        raise InputError(
            path, "holds labels that are not whole numbers", "was it resampled without 'nearest'?"
        )
    return whole


def cell_classes(instances: np.ndarray) -> np.ndarray:
    """Numbered objects (rows, columns) to background 0, interior 1 and, a pixel wide inside each
    object, boundary 2."""
    from skimage.segmentation import find_boundaries

    classes = (instances > 0).astype(np.uint8)
    classes[find_boundaries(instances, mode="inner") & (instances > 0)] = BOUNDARY
    return classes


def prepared(
    cases: Sequence[LabelledCase], collection: Collection, plan: Plan, cache: str = "memory"
) -> Samples:
    """The cases on the network's grid, each read once: kept in ``memory``, or on the ``disk`` for
    later runs too."""
    rows = [_row(case) for case in cases]
    step = Prepare(plan, collection.instances)
    if cache == "disk":
        return PersistentDataset(
            rows, step, cache_dir=cache_folder("medical-segment"), hash_transform=_hash
        )
    return CacheDataset(rows, step, progress=False, num_workers=None, copy_cache=False)


def _row(case: LabelledCase) -> dict[str, Any]:
    """The case as plain values; sizes and times of change are in it, so that a changed file is read
    again."""
    paths = (*case.images, case.label)
    states = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return {
        "name": case.name,
        "images": [str(p) for p in case.images],
        "label": str(case.label),
        "states": states,
    }


def _hash(steps: Sequence[Transform]) -> bytes:
    return hashlib.sha256(repr(steps).encode()).hexdigest().encode()


def check_labels(samples: Samples, cases: Sequence[LabelledCase], numbers: set[int]) -> None:
    """InputError for the first case that holds a label beyond ``numbers``."""
    for number, case in enumerate(cases):
        if strange := sorted(set(torch.unique(samples[number]["label"]).tolist()) - numbers):
            raise InputError(
                case.label, f"holds the label {strange[0]}", f"known: {sorted(numbers)}"
            )


class Cuttings(Dataset):
    """Windows as ``augment`` cuts and changes them, ``per_case`` of each case: ``(image,
    label)``."""

    def __init__(
        self, samples: Samples, augment: Callable[..., tuple[Tensor, Tensor]], per_case: int = 1
    ):
        self.samples, self.augment, self.per_case = samples, augment, per_case

    def __len__(self) -> int:
        return len(self.samples) * self.per_case

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        # From the global state, which the training loop sets at each epoch: a resumed run repeats
        # it.
        return self.augment(
            self.samples[number // self.per_case], seed=int(torch.randint(2**31, ()))
        )
