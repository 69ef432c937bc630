"""Faces to train on: found and aligned once, kept as one array; who must not be among them."""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from face_quality.records import read_record, records_of
from vitrail.cache import cache_folder
from vitrail.errors import InputError, VitrailError
from vitrail.faces.align import TEMPLATE_SIZE, alignment
from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.output import atomic_file
from vitrail.preprocess.image import read_image
from vitrail.say import warn
from vitrail.sources import image_files, natural_sorted, require_file

MARGIN = 8  # pixels kept around a crop, for training that shifts and turns it
SIDE = TEMPLATE_SIZE + 2 * MARGIN
CHUNK = 32  # photographs that are searched together
HASH_DIGITS = 16
_NUMBERED = re.compile(r"(.+)_\d{4}")  # First_Last_0001


@dataclass(frozen=True)
class Photograph:
    """One picture of one person; ``is_crop`` where it is aligned already. ``part`` is where its
    bytes begin in a file of records, and how many they are."""

    person: str
    path: Path
    is_crop: bool
    part: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        return self.path.stem if self.part is None else f"{self.path.stem}/{self.part[0]}"

    @property
    def facts(self) -> list[str | int]:
        """What tells it from others without reading it."""
        return [self.path.name, *(self.part or [self.path.stat().st_size])]


@dataclass(frozen=True)
class Crops:
    """Aligned faces, the usual template with ``MARGIN`` pixels around it.

    ``images`` is uint8 (N, 128, 128, 3) on the disk, of which ``places`` (n,) are meant;
    ``persons`` (n,) are numbers into ``people``; ``key`` tells these pictures from others.
    """

    images: np.ndarray
    places: np.ndarray
    persons: np.ndarray
    people: tuple[str, ...]
    names: tuple[str, ...]
    key: str = ""

    def __len__(self) -> int:
        return len(self.places)

    def image(self, number: int) -> np.ndarray:
        """uint8 (128, 128, 3)."""
        return np.array(self.images[self.places[number]])

    def at_most(self, count: int) -> "Crops":
        """Of each person the first ``count`` pictures."""
        seen: Counter[int] = Counter()
        kept = []
        for number, person in enumerate(self.persons.tolist()):
            seen[person] += 1
            if seen[person] <= count:
                kept.append(number)
        names = tuple(self.names[number] for number in kept)
        return replace(self, places=self.places[kept], persons=self.persons[kept], names=names)


def find_photographs(paths: Sequence[Path], leave_out: Sequence[Path] = ()) -> list[Photograph]:
    """The pictures of several sources, each picture once, without those of the people left out.

    A source is a CSV with the columns ``path`` and ``identity`` (aligned crops), an MXNet recordio
    of aligned crops, a folder with one folder for each person, or a folder of files
    ``First_Last_0001.jpg``, also one level deeper.
    """
    excluded = Excluded.of(leave_out)
    # One picture may lie in several sources; two people may have pictures of one name.
    found: dict[tuple[str, str, tuple[int, int] | None], Photograph] = {}
    readers = {".csv": _of_list, ".rec": _of_records}
    for path in paths:
        for one in readers.get(path.suffix, _of_folder)(path):
            if one.person not in excluded:
                found.setdefault((one.person, one.path.name, one.part), one)
    if not found:
        raise InputError(paths[0] if paths else "data.paths", "holds no pictures of people")
    return list(found.values())


@dataclass(frozen=True)
class Excluded:
    """People by name, or by the first 16 hex digits of the name's SHA-256."""

    names: frozenset[str]

    @classmethod
    def of(cls, lists: Iterable[Path]) -> "Excluded":
        """From CSV files with the column ``identity`` and texts with one name or hash a line."""
        names: set[str] = set()
        for path in lists:
            lines = _lines(path)
            if path.suffix == ".csv":
                names |= {row["identity"] for row in csv.DictReader(lines)}
            else:
                names |= {line.strip() for line in lines if line.strip()[:1] not in ("", "#")}
        return cls(frozenset(names))

    def __contains__(self, person: object) -> bool:
        digest = hashlib.sha256(str(person).encode()).hexdigest()[:HASH_DIGITS]
        return person in self.names or digest in self.names


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "cannot be read as a list of people") from error


def _of_list(path: Path) -> Iterator[Photograph]:
    rows = csv.DictReader(_lines(path))
    if not {"path", "identity"} <= set(rows.fieldnames or ()):
        raise InputError(
            path, "lacks the columns path and identity", "give a list of aligned crops"
        )
    for row in rows:
        yield Photograph(row["identity"], path.parent / row["path"], True)


def _of_records(path: Path) -> Iterator[Photograph]:
    for record in records_of(require_file(path)):
        yield Photograph(record.person, path, True, (record.start, record.length))


def _of_folder(folder: Path) -> Iterator[Photograph]:
    if not folder.is_dir():
        raise InputError(folder, "is no folder of people and no list", "see the recipe's paths")
    for path in (*image_files(folder), *_below(folder)):
        numbered = _NUMBERED.fullmatch(path.stem)
        person = numbered[1] if numbered else path.parent.name
        yield Photograph(person, path, False)


def _below(folder: Path) -> Iterator[Path]:
    for inner in natural_sorted(one for one in folder.iterdir() if one.is_dir()):
        yield from image_files(inner)


def aligned_crops(photographs: Sequence[Photograph], finder: Finder) -> Crops:
    """The face nearest to each picture's centre, aligned, from the cache where it lies there.

    Pictures without a face, and unreadable ones, are left out, which is said each time.
    """
    key = hashlib.sha256(
        json.dumps(
            [one.facts for one in photographs]
            + [SIDE, *sorted(engine.weights for engine in finder.networks.values())]
        ).encode()
    ).hexdigest()[:24]
    folder = cache_folder("face-quality")
    array, index = folder / f"{key}.npy", folder / f"{key}.json"
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _align_all(photographs, finder, array, index)
    kept = json.loads(index.read_text())
    if missing := len(photographs) - len(kept):
        lost = f"{missing} of {len(photographs)} pictures cannot be read or show no face"
        warn("face-quality", f"{lost}, left out")
    persons = [photographs[number].person for number in kept]
    people = tuple(dict.fromkeys(persons))
    number_of = {person: number for number, person in enumerate(people)}
    return Crops(
        np.load(array, mmap_mode="r"),
        np.arange(len(kept)),
        np.array([number_of[person] for person in persons]),
        people,
        tuple(photographs[number].name for number in kept),
        key,
    )


def _align_all(photographs: Sequence[Photograph], finder: Finder, array: Path, index: Path) -> None:
    kept = []
    with atomic_file(array) as temporary:
        # Rows that nothing is written to cost no room on the disk.
        shape = (len(photographs), SIDE, SIDE, 3)
        crops = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        for start in range(0, len(photographs), CHUNK):
            chunk = range(start, min(start + CHUNK, len(photographs)))
            images = {n: image for n in chunk if (image := _read(photographs[n])) is not None}
            wanted = [n for n in images if not photographs[n].is_crop]
            faces = dict(zip(wanted, finder.predict([images[n] for n in wanted]), strict=True))
            for n, image in images.items():
                crop = _with_margin(image) if photographs[n].is_crop else _central(image, faces[n])
                if crop is not None:
                    crops[len(kept)] = crop
                    kept.append(n)
        crops.flush()
    with atomic_file(index) as temporary:
        temporary.write_text(json.dumps(kept))


def _read(photograph: Photograph) -> np.ndarray | None:
    try:
        if photograph.part is not None:
            return read_record(photograph.path, *photograph.part)
        return read_image(photograph.path)
    except VitrailError:
        return None


def _with_margin(crop: np.ndarray) -> np.ndarray:
    if crop.shape[:2] != (TEMPLATE_SIZE, TEMPLATE_SIZE):
        crop = cv2.resize(crop, (TEMPLATE_SIZE, TEMPLATE_SIZE), interpolation=cv2.INTER_AREA)
    around = [MARGIN] * 4
    return cv2.copyMakeBorder(crop, *around, borderType=cv2.BORDER_REFLECT_101)


def _central(image: np.ndarray, faces: Sequence[Face]) -> np.ndarray | None:
    """The face nearest to the centre, with its margin; black beyond the image."""
    if not faces:
        return None
    centre = np.array(image.shape[1::-1]) / 2
    face = min(faces, key=lambda one: np.linalg.norm(one.landmarks[2] - centre))
    return wide_crop(image, face.landmarks)


def wide_crop(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face on the template with its margin, uint8 (128, 128, 3)."""
    matrix = alignment(landmarks)
    matrix[:, 2] += MARGIN
    return cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
