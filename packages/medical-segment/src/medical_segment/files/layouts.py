"""Labelled cases on disk: nnU-Net's and the Medical Segmentation Decathlon's layouts, and images
with instances."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.errors import InputError
from vitrail.sources import natural_sorted

LAYOUT = "give an nnU-Net or Decathlon folder with dataset.json, or one with images/ and instances/"
VOLUME_SUFFIXES = (".nii.gz", ".nii")
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg")
CELLS = ("background", "interior", "boundary")
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class LabelledCase:
    """One labelled case: a file per channel (or one file with all of them), and its label map."""

    name: str
    images: tuple[Path, ...]
    label: Path


@dataclass(frozen=True)
class Collection:
    """Cases that one network can be trained on.

    ``labels`` are the classes' names in the order of their numbers. With ``regions`` the network
    gives overlapping regions instead: for each name the numbers in the label map that it covers;
    ``values`` and ``order`` are then as in ``Plan``. ``instances``: the label maps number objects.
    """

    cases: tuple[LabelledCase, ...]
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    dims: int
    regions: Mapping[str, tuple[int, ...]] | None = None
    values: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    instances: bool = False


def read_collection(folder: Path) -> Collection:
    """The labelled cases in ``folder``, by name in natural order; InputError where it is not a
    layout that we know."""
    description = folder / "dataset.json"
    if description.is_file():
        content = _read_json(description)
        try:
            return (
                _nnunet(folder, content)
                if "channel_names" in content
                else _decathlon(folder, content)
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                description, f"is not a description of a data set ({error})", LAYOUT
            ) from error
    if (folder / "images").is_dir() and (folder / "instances").is_dir():
        return _images(folder)
    raise InputError(folder, "holds no labelled cases", LAYOUT)


def split(
    cases: Sequence[LabelledCase], file: Path
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """Training and test cases by a JSON file with the lists ``train`` and ``test``: names, with or
    without a suffix."""
    lists = _read_json(file)
    try:
        names = [{_stem(str(name)) for name in lists[part]} for part in ("train", "test")]
    except (KeyError, TypeError) as error:
        raise InputError(
            file, f"has no list {error}", "name the cases under train and test"
        ) from error
    if both := sorted(names[0] & names[1]):
        raise InputError(
            file, f"{both[0]} is both for training and for the test", "name each case once"
        )
    known = {case.name for case in cases}
    if unknown := sorted((names[0] | names[1]) - known):
        raise InputError(file, f"names {unknown[0]}, which is not there", "list the folder's cases")
    train, test = ([case for case in cases if case.name in part] for part in names)
    return train, test


def _nnunet(folder: Path, content: Mapping[str, Any]) -> Collection:
    """``imagesTr/NAME_0000.nii.gz`` per channel, ``labelsTr/NAME.nii.gz`` (nnU-Net v2's raw
    layout)."""
    ending = content["file_ending"]
    channels = tuple(
        content["channel_names"][key] for key in sorted(content["channel_names"], key=int)
    )
    labels = natural_sorted((folder / "labelsTr").glob(f"*{ending}"))
    cases = []
    for label in labels:
        name = label.name.removesuffix(ending)
        found = [
            folder / "imagesTr" / f"{name}_{number:04d}{ending}" for number in range(len(channels))
        ]
        # nnU-Net keeps colours as three channels of one file.
        is_in_colour = len(channels) == 3 and not found[1].exists()
        cases.append(LabelledCase(name, tuple(found[:1] if is_in_colour else found), label))
    dims = 2 if ending.lower() in IMAGE_SUFFIXES else 3
    names, regions, values, order = class_names(content)
    return _collection(
        folder, cases, channels, names, dims, regions=regions, values=values, order=order
    )


def class_names(content: Mapping[str, Any]) -> tuple:
    """From nnU-Net's dataset.json: names of classes by number, None, (), (); or, if one covers
    several numbers, names of regions, the numbers of each, their values and the order of
    painting."""
    numbers = {
        name: tuple(value) if isinstance(value, list) else (value,)
        for name, value in content["labels"].items()
    }
    numbers.pop("ignore", None)
    if all(len(value) == 1 for value in numbers.values()):
        names = tuple(sorted(numbers, key=lambda name: numbers[name]))
        if [numbers[name] for name in names] != [(number,) for number in range(len(names))]:
            raise ValueError("labels must be numbered 0, 1, 2, …")
        return names, None, (), ()
    regions = {name: value for name, value in numbers.items() if value != (0,)}
    painted = tuple(
        int(value) for value in content["regions_class_order"]
    )  # channel by channel, later over earlier
    return tuple(regions), regions, painted, tuple(range(len(regions)))


def _decathlon(folder: Path, content: Mapping[str, Any]) -> Collection:
    """``training: [{image, label}]`` with all channels in one file (the Decathlon's layout)."""
    channels = tuple(content["modality"][key] for key in sorted(content["modality"], key=int))
    names = tuple(content["labels"][key] for key in sorted(content["labels"], key=int))
    pairs = [*content["training"], *content.get("testing_labelled", [])]
    cases = [
        LabelledCase(_stem(pair["label"]), (folder / pair["image"],), folder / pair["label"])
        for pair in pairs
    ]
    # Label maps that stand in no list, such as those of a public test part, are cases too.
    listed = {case.name for case in cases}
    for parent in sorted({Path(pair["label"]).parent for pair in pairs}):
        for label in natural_sorted((folder / parent).glob("*.nii*")):
            image = folder / Path(pairs[0]["image"]).parent / label.name
            if _stem(label.name) not in listed and image.is_file():
                cases.append(LabelledCase(_stem(label.name), (image,), label))
    return _collection(folder, cases, channels, names, 3)


def _images(folder: Path) -> Collection:
    """``images/NAME.png`` and ``instances/NAME.png``, whose numbers tell objects apart."""
    images = [
        path
        for path in natural_sorted((folder / "images").iterdir())
        if path.suffix in IMAGE_SUFFIXES
    ]
    cases = []
    for image in images:
        found = [folder / "instances" / f"{image.stem}{suffix}" for suffix in IMAGE_SUFFIXES]
        label = next((path for path in found if path.is_file()), found[0])
        cases.append(LabelledCase(image.stem, (image,), label))
    return _collection(folder, cases, COLOURS, CELLS, 2, instances=True)


def _collection(
    folder: Path, cases: Sequence[LabelledCase], channels, labels, dims, **more: Any
) -> Collection:
    if not cases:
        raise InputError(folder, "holds no labelled case", LAYOUT)
    for case in cases:
        for path in (*case.images, case.label):
            plain = Path(
                os.path.normpath(path)
            )  # links are followed: folders of links are a usual way to save space
            if not plain.is_relative_to(os.path.normpath(folder)):
                raise InputError(
                    folder, f"{case.name} leads out of the folder", "list files inside it"
                )
            if not path.is_file():
                raise InputError(path, "is missing", f"{case.name} needs it")
    return Collection(tuple(cases), channels, labels, dims, **more)


def _stem(name: str) -> str:
    return re.sub(r"\.(nii\.gz|nii|png|tiff?|bmp|jpg)$", "", Path(name).name)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"is not readable JSON ({type(error).__name__})", LAYOUT) from error
    if not isinstance(content, dict):
        raise InputError(path, "is not a JSON object", LAYOUT)
    return content
