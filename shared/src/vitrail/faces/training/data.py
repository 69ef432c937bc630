"""Photographs with labelled faces: found by a teacher once, kept in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vitrail.detection.matching import MIN_IOU, iou
from vitrail.errors import InputError
from vitrail.faces.others import YuNet
from vitrail.preprocess.image import read_image
from vitrail.sources import image_files
from vitrail.training.recipe import Section

SURE, UNSURE = (
    0.75,
    0.35,
)  # the teacher's scores: a face; a region that is neither face nor background
EYES_NOSE_MOUTH = ((33, 133), (362, 263), (1,), (61,), (291,))  # points of the 468-point face mesh


class Data(Section):
    """Where the photographs lie.

    ``faces`` and ``val_faces`` hold photographs ``<Person>_<number>.jpg`` with one person at the
    centre; no person of ``val_faces`` or of the folders ``held_out`` is trained on. ``mesh`` is the
    npz file with the 468 points of each, its ``files`` relative to its own folder. ``scenes`` and
    ``val_scenes`` are other photographs, with and without people; ``peopled`` names those of
    ``val_scenes``, without their suffix, that show any. ``teacher`` is a YuNet file; what it finds
    is kept in the file ``cache``. The videos below ``clips`` are only measured on.
    """

    faces: str
    val_faces: str
    held_out: tuple[str, ...] = ()
    mesh: str
    scenes: tuple[str, ...]
    val_scenes: tuple[str, ...]
    peopled: tuple[str, ...] = ()
    teacher: str
    cache: str
    clips: str


@dataclass(frozen=True, eq=False)
class Scene:
    """An image, uint8 RGB (H, W, 3), and what is known of it in pixels.

    ``boxes`` float32 (n, 4) and ``landmarks`` (n, 5, 2) are its faces, the landmarks NaN where they
    are not known; ``unsure`` (m, 4) are boxes that may or may not hold a face.
    """

    image: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    unsure: np.ndarray


@dataclass(frozen=True)
class Photographs:
    """``portraits`` have their one well-known face first; ``scenes`` are all other images."""

    portraits: list[Scene]
    scenes: list[Scene]


def load_photographs(data: Data) -> tuple[Photographs, Photographs]:
    """The images to train on and to validate on."""
    strangers = {
        person(path) for folder in (data.val_faces, *data.held_out) for path in _images(folder)
    }
    known = [path for path in _images(data.faces) if person(path) not in strangers]
    return _labelled(data, known, data.scenes), load_strangers(data)


def load_strangers(data: Data) -> Photographs:
    """The images to validate on."""
    return _labelled(data, _images(data.val_faces), data.val_scenes)


def scenes_without_people(data: Data) -> list[Scene]:
    """The scenes to validate on in which nobody is seen."""
    paths = [
        path
        for folder in data.val_scenes
        for path in _images(folder)
        if path.stem not in data.peopled
    ]
    return [label(read_image(path), np.zeros((0, 5), np.float32)) for path in paths]


def _labelled(data: Data, faces: list[Path], folders: Sequence[str]) -> Photographs:
    scenes = [path for folder in folders for path in _images(folder)]
    found = teach(Path(data.teacher), [*faces, *scenes], Path(data.cache))
    mesh = read_mesh(Path(data.mesh))
    return Photographs(
        [label(read_image(path), found[path], mesh.get(path.resolve())) for path in faces],
        [label(read_image(path), found[path]) for path in scenes],
    )


def person(path: Path) -> str:
    """``Ana_Lopez`` for ``Ana_Lopez_0001.jpg``."""
    return path.stem.rpartition("_")[0]


def _images(folder: str) -> list[Path]:
    paths = image_files(Path(folder)) if Path(folder).is_dir() else []
    if not paths:
        raise InputError(
            folder, "no images are here", "set VITRAIL_DATA to the folder of the data sets"
        )
    return paths


def read_mesh(path: Path) -> dict[Path, np.ndarray]:
    """The five landmarks (5, 2) in pixels of each image that has a mesh."""
    with np.load(path) as arrays:
        points = arrays["xy_times_32"].astype(np.float32) / 32  # images, 468, 2
        landmarks = np.stack([points[:, group].mean(axis=1) for group in EYES_NOSE_MOUTH], axis=1)
        return {
            (path.parent / name).resolve(): five
            for name, five in zip(arrays["files"], landmarks, strict=True)
        }


def teach(teacher: Path, paths: Sequence[Path], cache: Path) -> dict[Path, np.ndarray]:
    """What YuNet, read from the file ``teacher``, finds in each image, rows (x0, y0, x1, y1,
    score); ``cache`` is read first, then completed, and the file is needed only for what it
    lacks."""
    found = {}
    if cache.exists():
        with np.load(cache) as arrays:
            found = dict(arrays)
    keys = {path: f"{teacher.stem}/{path.parent.name}/{path.name}" for path in paths}
    missing = [path for path, key in keys.items() if key not in found]
    if missing:
        network = YuNet(teacher, UNSURE)
        found |= {keys[path]: _taught(network, read_image(path)) for path in missing}
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(cache, **found)
    return {path: found[key] for path, key in keys.items()}


def _taught(network: YuNet, image: np.ndarray) -> np.ndarray:
    """The teacher's rows; what it sees only in the image of twice the size is doubtful."""
    twice = cv2.resize(image, None, fx=2, fy=2)
    rows, again = (network(seen[None])[0] for seen in (image, twice))
    rows, again = (found[:, [1, 2, 3, 4, 0]].astype(np.float32) for found in (rows, again))
    again[:, :4] /= 2
    again[:, 4] = again[:, 4].clip(max=(SURE + UNSURE) / 2)
    new = [row for row in again if not (iou(row[:4], rows[:, :4]) >= MIN_IOU / 2).any()]
    return np.concatenate((rows, np.reshape(new, (-1, 5)))).astype(np.float32)


def label(image: np.ndarray, rows: np.ndarray, landmarks: np.ndarray | None = None) -> Scene:
    """A scene from the teacher's ``rows``; ``landmarks`` (5, 2) belong to one of its faces, which
    comes first.

    InputError where the teacher found no face to which they could belong.
    """
    rows = rows[rows[:, 4] >= UNSURE]
    sure = rows[:, 4] >= SURE
    if landmarks is not None:
        if not len(rows):
            raise InputError("portrait", "the teacher finds no face in it", "leave the image out")
        centres = (rows[:, :2] + rows[:, 2:4]) / 2
        nearest = np.linalg.norm(centres - landmarks.mean(axis=0), axis=1).argmin()
        order = np.argsort(np.arange(len(rows)) != nearest, kind="stable")
        rows, sure = rows[order], sure[order]
        sure[0] = True
    points = np.full((int(sure.sum()), 5, 2), np.nan, np.float32)
    if landmarks is not None:
        points[0] = landmarks
    return Scene(image, rows[sure, :4], points, rows[~sure, :4])
