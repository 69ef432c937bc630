"""Labelled people from files: COCO's form, MPII's, LSP's."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pose_estimate.skeleton import Skeleton, by_labels, converted, skeleton
from vitrail.errors import InputError, plain
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files, require_file
from vitrail.training.recipe import Section

MAX_BYTES = 2_000_000_000
PIXEL_STD = 200.0  # of MPII's scale
BOX_GROWTH = 1.25  # of a box around joints, where a data set gives none


class Coco(Section):
    """A COCO keypoints JSON and the folder of its images. Its joints are told by its category."""

    kind: Literal["coco"] = "coco"
    annotations: Path
    images: Path


class Lsp(Section):
    """A JSON ``{"order": [names], "pictures": [{"file", "joints": [[x, y, visible], ...]}]}`` with
    one person a picture, as the Leeds sets are kept; ``images`` is the folder of the pictures."""

    kind: Literal["lsp"]
    joints: Path
    images: Path


class Mpii(Section):
    """MPII's people as the HRNet release has them: ``joints``, ``joints_vis``, ``center``,
    ``scale``."""

    kind: Literal["mpii"]
    annotations: Path
    images: Path


class Yolo(Section):
    """Boxes without joints: a text file for each image with lines ``class x y width height`` in
    shares of its sides, x and y of the middle; ``person`` is the class of people. Images of the
    names in ``without`` are left out."""

    kind: Literal["yolo"]
    boxes: Path
    images: Path
    person: int = 0
    without: tuple[str, ...] = ()


Labels = Annotated[Coco | Lsp | Mpii | Yolo, Field(discriminator="kind")]


@dataclass(frozen=True, eq=False)
class Labelled:
    """One person. ``box`` is (x, y, width, height); ``joints`` (K, 3) x, y and whether it is
    labelled, in the order of ``skeleton``; ``head`` the head's box as two corners, NaN where it is
    not known. ``crowd`` marks a region with people that are not labelled one by one."""

    image: Path
    image_id: int | str
    box: np.ndarray
    joints: np.ndarray
    area: float
    skeleton: Skeleton
    crowd: bool = False
    head: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))

    @property
    def labelled(self) -> np.ndarray:
        return self.joints[:, 2] > 0

    def in_order_of(self, target: Skeleton) -> np.ndarray:
        """Joints (K, 3) of another skeleton; those that the data set lacks are 0."""
        return converted(self.joints, self.skeleton, target)


def read_people(source: Labels, *, unlabelled: bool = False) -> list[Labelled]:
    """Everybody in a data set who has a joint labelled and is no crowd; with ``unlabelled``
    everybody and every crowd.

    Raises InputError for a file that is not of the form, with the place of what is wrong.
    """
    readers = {"coco": _read_coco, "lsp": _read_lsp, "mpii": _read_mpii, "yolo": _read_yolo}
    people = list(readers[source.kind](source))
    if not unlabelled:
        people = [one for one in people if one.labelled.any() and not one.crowd]
    missing = next((one.image for one in people if not one.image.is_file()), None)
    if missing is not None:
        raise InputError(missing, "is labelled, but not here", "check the folder of images")
    if not people:
        raise InputError(_path_of(source), "holds nobody with labelled joints", "check the file")
    return people


def part_of(name: str, share: float) -> bool:
    """Whether a picture belongs to the share that validates, by its name alone."""
    return zlib.crc32(name.encode()) / 2**32 < share


def split_people(people: Sequence[Labelled], share: float) -> tuple[list[Labelled], list[Labelled]]:
    """Those to train on and those that validate: whole pictures, about ``share`` of them."""
    val = [one for one in people if part_of(one.image.name, share)]
    return [one for one in people if not part_of(one.image.name, share)], val


def read_json(path: Path) -> Any:
    """InputError where it is none."""
    if require_file(path).stat().st_size > MAX_BYTES:
        raise InputError(path, "is too large", "give a file of at most 2 GB")
    with plain(path, "is no JSON", "check the file"):
        return json.loads(path.read_text(encoding="utf-8-sig"))


def _path_of(source: Labels) -> Path:
    if isinstance(source, Yolo):
        return source.boxes
    return source.joints if isinstance(source, Lsp) else source.annotations


def _read_coco(source: Coco) -> Iterator[Labelled]:
    content = read_json(source.annotations)
    try:
        images = {str(image["id"]): image for image in content["images"]}
        categories = {c["id"]: by_labels(c["keypoints"]) for c in content["categories"]
                      if c.get("keypoints")}  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        problem = f"is no COCO keypoints file (without {error})"
        raise InputError(source.annotations, problem, "see the README") from None
    for number, entry in enumerate(content.get("annotations", ())):
        try:
            image = images[str(entry["image_id"])]
            bones = categories[entry["category_id"]]
            joints = np.array(entry.get("keypoints") or [0.0] * 3 * len(bones), np.float64)
            joints = joints.reshape(len(bones), 3)
            box = np.array(entry["bbox"], np.float64).reshape(4)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problem = f"annotations[{number}] is not as COCO has it ({error})"
            raise InputError(source.annotations, problem, "correct or remove it") from None
        area = float(entry.get("area") or box[2] * box[3])
        path = source.images / str(image["file_name"])
        crowd = bool(entry.get("iscrowd"))
        yield Labelled(path, image["id"], box, joints, area, bones, crowd)


def _read_lsp(source: Lsp) -> Iterator[Labelled]:
    content = read_json(source.joints)
    try:
        bones = by_labels(content["order"])
        for picture in content["pictures"]:
            joints = np.array(picture["joints"], np.float64).reshape(len(bones), 3)
            joints[joints[:, 2] <= 0] = 0
            if not joints[:, 2].any():
                continue
            box = _around(joints)
            path = source.images / str(picture["file"])
            yield Labelled(path, path.stem, box, joints, float(box[2] * box[3]), bones)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"is not in this form ({error})"
        raise InputError(source.joints, problem, "see the README") from None


def _read_mpii(source: Mpii) -> Iterator[Labelled]:
    bones = skeleton("mpii")
    for number, entry in enumerate(read_json(source.annotations)):
        try:
            joints = np.column_stack((entry["joints"], entry["joints_vis"])).astype(np.float64)
            joints = joints.reshape(len(bones), 3)
            centre = np.array(entry["center"], np.float64)
            side = float(entry["scale"]) * PIXEL_STD
            path = source.images / str(entry["image"])
        except (KeyError, TypeError, ValueError) as error:
            problem = f"entry {number} is not as MPII has it ({error})"
            raise InputError(source.annotations, problem, "correct or remove it") from None
        joints[joints[:, 2] <= 0] = 0
        box = np.array([*(centre - side / 2), side, side])
        yield Labelled(path, path.stem, box, joints, side**2, bones, head=_head(joints, entry))


def read_boxes(source: Yolo) -> Iterator[tuple[Path, np.ndarray]]:
    """Each image that has labels, with the boxes (n, 4) of its people."""
    for image in image_files(source.images):
        labels = source.boxes / f"{image.stem}.txt"
        if image.name in source.without or not labels.is_file():
            continue
        with plain(labels, "is not a list of boxes in YOLO's form", "correct or remove it"):
            lines = labels.read_text().split("\n")
            rows = np.array([line.split()[:5] for line in lines if line.strip()], np.float64)
        rows = rows.reshape(-1, 5)[rows.reshape(-1, 5)[:, 0] == source.person, 1:]
        sides = np.tile(read_image(image).shape[1::-1], 2)
        yield image, np.column_stack((rows[:, :2] - rows[:, 2:] / 2, rows[:, 2:])) * sides


def _read_yolo(source: Yolo) -> Iterator[Labelled]:
    bones = skeleton("coco")
    for image, boxes in read_boxes(source):
        for box in boxes:
            joints = np.zeros((len(bones), 3))
            yield Labelled(image, image.stem, box, joints, float(box[2] * box[3]), bones)


def _head(joints: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    """The head's box; without one, the box of which the way from neck to top is the diagonal times
    0.6, so that PCKh's size is that way."""
    if "headbox" in entry:
        return np.array(entry["headbox"], np.float64).reshape(4)
    bones = skeleton("mpii")
    top, neck = (joints[bones.joints.index(name)] for name in ("head_top", "neck"))
    if not (top[2] and neck[2]):
        return np.full(4, np.nan)
    half = np.linalg.norm(top[:2] - neck[:2]) / 0.6 / np.sqrt(8)
    middle = (top[:2] + neck[:2]) / 2
    return np.array([*(middle - half), *(middle + half)])


def _around(joints: np.ndarray) -> np.ndarray:
    """The box (4,) around the labelled joints, a quarter larger."""
    points = joints[joints[:, 2] > 0, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum((high - low) * BOX_GROWTH, 8.0)
    return np.concatenate(((low + high - size) / 2, size))
