"""The user's own labelled faces: lists of files, videos and images cut to face crops, and these as
training samples."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, default_rng
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deepfake_detect.data import loosen, to_tensor
from deepfake_detect.data.augment import augment_alike
from deepfake_detect.decide.crops import CropRule, cut_square
from deepfake_detect.model import FAKE, REAL
from vitrail.errors import InputError, VitrailError
from vitrail.faces.find import Finder
from vitrail.output import atomic_folder
from vitrail.preprocess.frames import chunks, open_frames
from vitrail.preprocess.image import read_image
from vitrail.preprocess.video import sample_indices
from vitrail.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural_sorted

LABELS = {"fake": FAKE, "real": REAL}
MAX_CROP = 256  # pixels; networks see less
LAYOUT = "put the files into real/ and fake/, or write a list with the columns path,label"


@dataclass(frozen=True)
class Labelled:
    """A video or an image with its label. What shares a ``group`` shows one scene and stays
    together in a split. ``kind`` names what a fake was made by, where that is known."""

    path: Path
    label: int
    group: str
    kind: str = ""


def read_labelled(source: Path) -> list[Labelled]:
    """The files of a folder's ``real`` and ``fake`` sub-folders, or of a CSV list ``path,label``
    (labels real, fake).

    A file's group is its own name, or that of the folder below ``real`` or ``fake`` in which it
    lies. Paths in a list are relative to it. InputError where nothing or only one label is found.
    """
    files = _in_folder(source) if source.is_dir() else _in_list(source)
    if missing := [
        name for name, label in LABELS.items() if all(file.label != label for file in files)
    ]:
        raise InputError(source, f"no {missing[0]} video or image in it", LAYOUT)
    return files


def _in_folder(folder: Path) -> list[Labelled]:
    media = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    return [
        Labelled(path, label, path.relative_to(folder / name).parts[0])
        for name, label in LABELS.items()
        for path in natural_sorted((folder / name).rglob("*"))
        if path.suffix.lower() in media and path.is_file()
    ]


def _in_list(source: Path) -> list[Labelled]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(source, "cannot be read as a list", LAYOUT) from error
    files = []
    for number, row in enumerate(rows, start=2):
        path, label = row.get("path"), str(row.get("label")).strip().lower()
        if not path or label not in LABELS:
            raise InputError(
                source,
                f"line {number} has no path, or a label that is neither real nor fake",
                LAYOUT,
            )
        files.append(Labelled(source.parent / path, LABELS[label], path))
    return files


def split(files: Sequence[Labelled], share: float) -> tuple[list[Labelled], list[Labelled]]:
    """Training and validation files; of each label about ``share`` of the groups validate, chosen
    by their names.

    A group of the same name under both labels (a person, say) is never divided. Raises InputError
    where a label has fewer than two groups.
    """
    chosen: set[str] = set()
    for name, label in LABELS.items():
        groups = sorted({file.group for file in files if file.label == label}, key=_by_chance)
        if len(groups) < 2:
            raise InputError(
                name, "a split needs two videos, folders or images", "give more of them"
            )
        chosen |= set(groups[: max(1, round(share * len(groups)))])
    train = [file for file in files if file.group not in chosen]
    if {file.label for file in train} != {FAKE, REAL}:
        raise InputError(
            "split",
            "leaves one label without training data",
            "give more groups, or a smaller share",
        )
    return train, [file for file in files if file.group in chosen]


def _by_chance(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def extract_faces(
    sources: Mapping[Path, Path], finder: Finder, rule: CropRule, *, frames: int = 16
) -> Iterator[tuple[Path, int | VitrailError]]:
    """Cuts the largest face of evenly spaced ``frames`` of each source, by ``rule``, into PNG files
    of its own folder.

    ``sources`` gives each source's folder; one that exists is left as it is, so that an interrupted
    job goes on. Yields each source with the number of its crops, or with the error for which it has
    none.
    """
    for source, folder in sources.items():
        try:
            if not folder.is_dir():
                _extract(source, folder, finder, rule, frames)
            yield source, sum(1 for _ in folder.glob("*.png"))
        except VitrailError as error:
            yield source, error


def _extract(source: Path, folder: Path, finder: Finder, rule: CropRule, frames: int) -> None:
    with open_frames(source) as reader, atomic_folder(folder) as temporary:
        indices = sample_indices(reader.frame_count, number=frames)
        for chunk in chunks(reader.frames(sorted(set(indices)))):
            found = finder.predict([frame.image for frame in chunk])
            for frame, faces in zip(chunk, found, strict=True):
                if faces:
                    square = rule.square(max(faces, key=lambda face: face.size))
                    crop = cut_square(frame.image, square, min(square[2] - square[0], MAX_CROP))
                    Image.fromarray(crop).save(temporary / f"{frame.index:06d}.png")


class LabelledCrops(Dataset):
    """Sample n: a face crop as ``images``, uint8 (1, 3, S, S), and its ``labels`` (1,).

    ``train`` draws fake and real equally often, and of each label every group equally often; it
    mirrors, loosens and changes the crop.
    """

    def __init__(self, files: Iterable[Labelled], rule: CropRule, *, seed: int, train: bool):
        self.files, self.rule, self.seed, self.train = list(files), rule, seed, train
        self.groups: tuple[dict[str, list[Labelled]], ...] = ({}, {})
        for file in self.files:
            self.groups[file.label].setdefault(file.group, []).append(file)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = default_rng((self.seed, number))
        file = self._draw(rng) if self.train else self.files[number]
        image = read_image(file.path)
        side = min(image.shape[:2])
        square = (0, 0, side, side)
        if self.train:
            image = np.ascontiguousarray(image[:, ::-1]) if rng.random() < 0.5 else image
            (image,) = augment_alike([image], rng)
            square = loosen(square, rng, scale=(0.85, 1.0))
        crop = cut_square(image, square, self.rule.img_size)
        return {"images": to_tensor([crop]), "labels": torch.tensor([file.label])}

    def _draw(self, rng: Generator) -> Labelled:
        groups = list(self.groups[rng.integers(2)].values())
        group = groups[rng.integers(len(groups))]
        return group[rng.integers(len(group))]
