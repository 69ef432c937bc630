"""Labelled pairs: folders of A, B and label as the benchmarks have them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from change_detect.labels import POLYGON_SUFFIXES, read_label, read_polygons
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files

FOLDERS = {
    "before": ("a", "t1", "im1"),
    "after": ("b", "t2", "im2"),
    "label": ("label", "out", "gt"),
}
SPLITS = ("train", "val", "test")
CROP = re.compile(r"(.+?)_\d{3,}_\d{3,}$")  # NAME_ROW_COL


@dataclass(frozen=True)
class Pair:
    """Two images and where they differ, as files; read when they are looked at."""

    name: str
    before: Path
    after: Path
    label: Path

    @property
    def scene(self) -> str:
        """The tile that a crop NAME_ROW_COL was cut from, else the name."""
        found = CROP.match(self.name)
        return found[1] if found else self.name

    @cached_property
    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Two (H, W, 3) uint8 RGB; InputError where their sizes differ."""
        before, after = read_image(self.before), read_image(self.after)
        if before.shape != after.shape:
            problem = f"is of {_size(after)}, and {self.before.name} of {_size(before)}"
            raise InputError(self.after, problem, "give pairs of one size")
        return before, after

    @cached_property
    def changed(self) -> np.ndarray:
        """(H, W) bool; InputError where the label is of another size, or is no label."""
        if self.label.suffix.lower() in POLYGON_SUFFIXES:
            return read_polygons(self.label, self.before)
        changed = read_label(self.label)
        if changed.shape != self.images[0].shape[:2]:
            problem = f"is of {_size(changed)}, and its images of {_size(self.images[0])}"
            raise InputError(self.label, problem, "give labels of the images' size")
        return changed


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder that holds A, B and label (of any case), by name; labels are masks, or
    polygons where the images are GeoTIFFs.

    InputError where one of the three folders is missing or empty, and where an image of A has no
    counterpart.
    """
    parts = {what: _subfolder(folder, names) for what, names in FOLDERS.items()}
    for what, part in parts.items():
        if part is None:
            names = " or ".join(FOLDERS[what])
            raise InputError(folder, f"has no folder {names}", "give A, B and label in it")
    files = {what: {p.stem: p for p in image_files(part)} for what, part in parts.items() if part}
    if drawn := parts["label"]:
        outlines = (p for p in sorted(drawn.iterdir()) if p.suffix.lower() in POLYGON_SUFFIXES)
        files["label"] = {p.stem: p for p in outlines} | files["label"]
    if not files["before"]:
        raise InputError(folder, "holds no image in its folder A", "give A, B and label in it")
    pairs = []
    for name, before in files["before"].items():
        lacking = [what for what in ("after", "label") if name not in files[what]]
        if lacking:
            raise InputError(before, f"has no image of the same name for {lacking[0]}")
        pairs.append(Pair(name, before, files["after"][name], files["label"][name]))
    return pairs


def find_split(root: Path, split: str) -> list[Pair]:
    """The pairs of ``root``'s split ``train``, ``val`` or ``test``: in a folder of that name, or of
    those that ``list/<split>.txt`` names; empty where it has no such split."""
    listed = _subfolder(root, ("list",))
    if listed and (names := _listed(listed, split)):
        return [pair for pair in find_pairs(root) if pair.name in names]
    part = _subfolder(root, (split,))
    return find_pairs(part) if part else []


def _listed(folder: Path, split: str) -> set[str]:
    file = next((p for p in folder.iterdir() if p.name.lower() == f"{split}.txt"), None)
    return {Path(line).stem for line in file.read_text().split()} if file else set()


def _subfolder(folder: Path, names: Sequence[str]) -> Path | None:
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "give one that holds A, B and label")
    return next(
        (p for p in sorted(folder.iterdir()) if p.is_dir() and p.name.lower() in names), None
    )


def tiles(pair: Pair, side: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Before, after (side, side, 3) and changed (side, side), side by side; the last of a row ends
    with the image."""
    from vitrail.grids import axis_starts

    (before, after), changed = pair.images, pair.changed
    for top in axis_starts(changed.shape[0], side, 0):
        for left in axis_starts(changed.shape[1], side, 0):
            part = (slice(top, top + side), slice(left, left + side))
            yield before[part], after[part], changed[part]
