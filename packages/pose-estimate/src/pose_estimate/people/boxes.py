"""Boxes that the user has already: COCO results or annotations, MOT's text, CSV."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import InputError, plain
from vitrail.sources import require_file

MAX_BYTES = 500_000_000
MAX_BOXES = 2000  # in one image
MIN_SIDE = 2.0  # pixels
EXAMPLE = "see the README for the forms that it may have"
COLUMNS = ("x", "y", "width", "height")


@dataclass
class Listed:
    """The boxes (x, y, width, height, score) of one image or one frame, and the id that the file
    gives the image."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    image_id: int | str | None = None


@dataclass(frozen=True)
class BoxFile:
    """``images`` by file name, or by the text of an id; ``frames`` by frame number, from 0.
    ``kind`` is coco, mot or csv."""

    path: Path
    kind: str
    images: Mapping[str, Listed]
    frames: Mapping[int, Listed]

    def of_image(self, path: Path) -> Listed | None:
        """What the file lists for an image: by its name, by its name without suffix, or by the
        number that its name is; None where it is not in the file."""
        stem = path.stem
        number = str(int(stem)) if stem.isascii() and stem.isdigit() else stem
        keys = (path.name, stem, number)
        return next((self.images[key] for key in keys if key in self.images), None)

    def of_frame(self, index: int) -> Listed:
        """What the file lists for a frame of a film; nothing where it lists none."""
        return self.frames.get(index, Listed())


def read_boxes(path: Path) -> BoxFile:
    """Raises InputError for a file that is none of these, with the place of what is wrong."""
    if require_file(path).stat().st_size > MAX_BYTES:
        raise InputError(path, "is too large for a list of boxes", EXAMPLE)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, "is no text", EXAMPLE) from error
    if text.lstrip()[:1] in ("[", "{"):
        return _read_coco(path, text)
    first = text.lstrip().splitlines()[0] if text.strip() else ""
    if any(cell.strip().lower() in COLUMNS for cell in first.split(",")):
        return _read_csv(path, text)
    return _read_mot(path, text)


def usable(rows: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, list[str]]:
    """Those of the boxes (n, 5) that an image of ``size`` (width, height) can show, and a sentence
    for each kind that it cannot."""
    finite = np.isfinite(rows).all(axis=1)
    large = finite & (rows[:, 2:4] >= MIN_SIDE).all(axis=1)
    low = np.maximum(rows[:, :2], 0)
    high = np.minimum(rows[:, :2] + rows[:, 2:4], np.array(size))
    inside = large & (high - low > 0).all(axis=1)
    order = np.flatnonzero(inside)
    remarks = [
        f"{count} of {len(rows)} boxes {what}"
        for what, count in (
            ("hold no numbers and were left out", int((~finite).sum())),
            (f"are smaller than {MIN_SIDE:g} px and were left out", int((finite & ~large).sum())),
            ("lie outside the image and were left out", int((large & ~inside).sum())),
        )
        if count
    ]
    if len(order) > MAX_BOXES:
        remarks.append(f"of {len(order)} boxes the {MAX_BOXES} best were looked at")
        order = np.sort(order[np.argsort(-rows[order, 4], kind="stable")[:MAX_BOXES]])
    return rows[order], remarks


def _read_coco(path: Path, text: str) -> BoxFile:
    with plain(path, "is no JSON", EXAMPLE):
        content = json.loads(text)
    names: dict[str, str] = {}
    images: dict[str, Listed] = {}
    entries: Any = content
    if isinstance(content, dict):
        if not isinstance(content.get("images"), list):
            raise InputError(path, "is a COCO file without images", "give annotations, or results")
        entries = content.get("annotations", [])
        for number, image in enumerate(content["images"]):
            with _entry(path, "images", number):
                name = Path(str(image["file_name"])).name
                names[_key(image["id"])] = name
                images[name] = Listed(image_id=image["id"])
    if not isinstance(entries, list):
        raise InputError(path, "holds no list of boxes", EXAMPLE)
    for number, entry in enumerate(entries):
        with _entry(path, "annotations", number):
            if entry.get("iscrowd") or entry.get("category_id", 1) != 1:
                continue
            key = _key(entry["image_id"])
            if names and key not in names:
                raise ValueError(f"image_id {key} is not among the images")
            listed = images.setdefault(names.get(key, key), Listed(image_id=entry["image_id"]))
            if not isinstance(entry["bbox"], list):
                raise TypeError("a bbox that is no list")
            x, y, width, height = map(float, entry["bbox"])
            listed.rows.append((x, y, width, height, float(entry.get("score", 1.0))))
    return BoxFile(path, "coco", images, {})


def _read_mot(path: Path, text: str) -> BoxFile:
    """frame from 1, id, left, top, width, height, confidence and more."""
    frames: dict[int, Listed] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        cells = line.replace(",", " ").split()
        try:
            frame = int(float(cells[0])) - 1
            box = tuple(map(float, cells[2:6]))
            score = float(cells[6]) if len(cells) > 6 else 1.0
            if len(box) != 4 or frame < 0:
                raise ValueError
        except (ValueError, IndexError, OverflowError):
            raise InputError(path, f"line {number} is no box of MOT's form", EXAMPLE) from None
        listed = frames.setdefault(frame, Listed(image_id=frame + 1))
        listed.rows.append((*box, score if 0 < score <= 1 else 1.0))
    if not frames:
        raise InputError(path, "holds no boxes", EXAMPLE)
    images = {str(frame + 1): listed for frame, listed in frames.items()}
    return BoxFile(path, "mot", images, frames)


def _read_csv(path: Path, text: str) -> BoxFile:
    """Columns x, y, width, height, and image (a name) or frame (from 0); score if there is one."""
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    fields = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = fields
    lacking = [name for name in COLUMNS if name not in fields]
    if lacking or not {"image", "frame"} & set(fields):
        problem = f"lacks the column {lacking[0]}" if lacking else "has no column image or frame"
        raise InputError(path, problem, EXAMPLE)
    images: dict[str, Listed] = {}
    frames: dict[int, Listed] = {}
    for number, row in enumerate(reader, 2):
        try:
            box = tuple(float(row[name]) for name in COLUMNS)
            score = float(row["score"]) if row.get("score") else 1.0
            if row.get("image"):
                listed = images.setdefault(Path(row["image"]).name, Listed())
            else:
                listed = frames.setdefault(int(row["frame"]), Listed())
        except (TypeError, ValueError, KeyError):
            raise InputError(path, f"line {number} is no box", EXAMPLE) from None
        listed.rows.append((*box, score))
    return BoxFile(path, "csv", images, frames)


class _entry:
    """Around one entry of a COCO file: what is wrong with it names its place."""

    def __init__(self, path: Path, table: str, number: int):
        self.path, self.place = path, f"{table}[{number}]"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, AttributeError | KeyError | TypeError | ValueError):
            problem = f"{self.place} is not as COCO has it ({error})"
            raise InputError(self.path, problem, EXAMPLE) from None


def _key(image_id: Any) -> str:
    """Ids are numbers, and in some files texts of numbers."""
    if isinstance(image_id, bool) or not isinstance(image_id, int | str):
        raise ValueError(f"an id that is {type(image_id).__name__}")
    return str(image_id)
