"""Pictures with boxes in YOLO's form, the objects that can be cut out of them, and frames of films
in MOT's."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from video_detect.classes import NAMES
from vitrail.errors import InputError, UsageError
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra",
)  # fmt: skip
OURS = {number: NAMES.index(name) for number, name in enumerate(COCO) if name in NAMES}
# The polygons count as COCO's own files do: from 1, with gaps after 11.
GAP_AFTER = 11
OUTLINED = {number + 1 + (number >= GAP_AFTER): ours for number, ours in OURS.items()}
MIN_CUT = 24  # pixels a side of an object that is worth cutting out
PARTS = ("train2017", "val2017")


@dataclass(frozen=True, eq=False)
class Picture:
    """``boxes`` (n, 4) as corners in pixels, ``labels`` (n,) numbers of ``NAMES``; ``outlines``
    are polygons (m, 2) in pixels with their labels."""

    path: Path
    boxes: np.ndarray
    labels: np.ndarray
    outlines: tuple[tuple[int, np.ndarray], ...] = ()


@dataclass(frozen=True, eq=False)
class CutOut:
    """An object with its outline: RGBA uint8 (H, W, 4)."""

    image: np.ndarray
    label: int


def read_pictures(folder: Path) -> list[Picture]:
    """All of COCO's pictures below ``folder`` (images, boxes, polygons), in order of their number;
    InputError where there are none."""
    found = []
    for part in PARTS:
        place = folder / "images" / part
        for path in image_files(place) if place.is_dir() else ():
            found.append(_picture(path, folder, part))
    if not found:
        raise InputError(folder, "holds no pictures", "name the folder of images and boxes")
    return sorted(found, key=lambda picture: picture.path.name)


def read_more(folder: Path) -> list[Picture]:
    """Further pictures, in ``images`` with their ``boxes``; InputError where there are none."""
    place = folder / "images"
    found = [_picture(path, folder, "") for path in (image_files(place) if place.is_dir() else ())]
    if not found:
        problem = "holds no pictures"
        raise InputError(folder, problem, "fill it, or leave data.more out")
    return found


def split_pictures(
    pictures: Sequence[Picture], test: int, val: int
) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """Training, validation and test: the latter two from those that show one of our classes, in an
    order that the names' checksums give."""
    shown = [picture for picture in pictures if len(picture.boxes)]
    shown.sort(key=lambda one: hashlib.sha256(one.path.stem.encode()).hexdigest())
    if len(shown) <= test + val:
        raise UsageError("data.test", f"only {len(shown)} pictures show our classes", "ask less")
    held = {one.path for one in shown[: test + val]}
    train = [picture for picture in pictures if picture.path not in held]
    return train, shown[test : test + val], shown[:test]


def read_film(folder: Path, label: str) -> list[Picture]:
    """The frames of a film in MOT's layout (``img1``, ``gt/gt.txt``), all boxes of one class."""
    rows = np.loadtxt(folder / "gt" / "gt.txt", delimiter=",", ndmin=2)
    frames = image_files(folder / "img1")
    pictures = []
    for number, path in enumerate(frames, start=1):
        own = rows[rows[:, 0] == number]
        boxes = own[:, 2:6].astype(np.float32)
        boxes[:, :2] -= 1  # MOT counts pixels from 1
        boxes[:, 2:] += boxes[:, :2]
        labels = np.full(len(boxes), NAMES.index(label))
        pictures.append(Picture(path, boxes, labels))
    return pictures


def cut_outs(pictures: Iterable[Picture]) -> list[CutOut]:
    """All objects of these pictures that have an outline and are not tiny."""
    found = []
    for picture in pictures:
        for label, outline in picture.outlines:
            low, high = np.floor(outline.min(0)).astype(int), np.ceil(outline.max(0)).astype(int)
            low = low.clip(0)
            if (high - low).min() < MIN_CUT:
                continue
            image = load(picture.path)[low[1] : high[1], low[0] : high[0]]
            mask = np.zeros(image.shape[:2], np.uint8)
            cv2.fillPoly(mask, [np.round(outline - low).astype(np.int32)], 255)
            found.append(CutOut(np.dstack((image, mask)), label))
    return found


@lru_cache(maxsize=600)
def load(path: Path) -> np.ndarray:
    """Kept between calls: the pictures of a training are few and small."""
    return read_image(path)


def _picture(path: Path, folder: Path, part: str) -> Picture:
    height, width = load(path).shape[:2]
    size = np.array((width, height), np.float32)
    rows = _rows(folder / "boxes" / part / f"{path.stem}.txt", OURS)
    boxes, labels = [], []
    for number, values in rows:
        centre, sides = values[:2] * size, values[2:4] * size
        boxes.append(np.concatenate((centre - sides / 2, centre + sides / 2)))
        labels.append(number)
    outlines = tuple(
        (number, values.reshape(-1, 2) * size)
        for number, values in _rows(folder / "polygons" / part / f"{path.stem}.txt", OUTLINED)
        if len(values) >= 6
    )
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Picture(path, boxes, np.array(labels, int), outlines)


def _rows(path: Path, classes: Mapping[int, int]) -> list[tuple[int, np.ndarray]]:
    """The lines ``class numbers…`` of our classes, under our numbers; none where there is no
    file."""
    if not path.is_file():
        return []
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    rows = ((int(words[0]), np.array(words[1:], np.float32)) for words in lines)
    return [(classes[number], values) for number, values in rows if number in classes]
