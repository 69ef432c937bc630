"""Clips that others filmed or made, named in a list, and their faces, cut out once."""

import csv
import json
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from deepfake_detect.data import REGION, SURROUNDINGS, FaceRegion
from deepfake_detect.data.labelled import LABELS, Labelled
from deepfake_detect.data.points import points_from_landmarks
from deepfake_detect.decide.crops import CropRule, cut_square
from vitrail.errors import InputError, VitrailError
from vitrail.faces.find import Finder
from vitrail.output import atomic_folder
from vitrail.preprocess.frames import chunks, open_frames
from vitrail.preprocess.image import read_image
from vitrail.preprocess.video import sample_indices

MAX_REGION = 448  # pixels of a cut face with its surroundings
FACES = "faces.json"  # beside the cut faces: the detector's five landmarks of each
SPAN = 150  # frames from a clip's start: to read on would cost minutes and show little else
SURE = 0.6  # the detector's lowest score of a face that is cut
MIN_FACE = 56  # pixels


def read_clips(listed: Path, folder: Path, parts: Collection[str]) -> list[Labelled]:
    """The clips of some ``parts`` of a list whose columns are ``repository, path,
    label, generator, person, part``; they lie in ``folder/repository/path``.

    Clips that are not there are left out, with one line on standard error. InputError where a label
    has no clip left, or the list cannot be read.
    """
    try:
        with listed.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if row["part"] in parts]
        clips = [
            Labelled(
                folder / row["repository"] / row["path"],
                LABELS[row["label"]],
                row["person"],
                row["generator"],
            )
            for row in rows
        ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        problem = f"is no list of clips ({error})"
        raise InputError(listed, problem, "see the recipe's notes") from error
    there = [clip for clip in clips if clip.path.is_file()]
    if len(there) < len(clips):
        print(f"left out: {len(clips) - len(there)} of {len(clips)} clips of {listed.name}, "
              f"which are not in {folder}", file=sys.stderr)  # fmt: skip
    for name, label in LABELS.items():
        if all(clip.label != label for clip in there):
            raise InputError(
                folder, f"holds no {name} clip of {listed.name}", "fetch the clips that it names"
            )
    return there


@dataclass(frozen=True)
class CutFace:
    """A face with its surroundings, cut out of a frame into a file; its five ``landmarks`` in the
    file's pixels."""

    path: Path
    landmarks: np.ndarray

    def region(self) -> FaceRegion:
        """The face at the size at which pseudo-fakes are made."""
        image = read_image(self.path)
        scale = REGION / image.shape[0]
        points = points_from_landmarks(self.landmarks * scale)
        return FaceRegion(cut_square(image, (0, 0, *image.shape[:2]), REGION), points)


def cut_clips(
    clips: Iterable[Labelled], folder: Path, cache: Path, finder: Finder, frames: int
) -> list[tuple[Labelled, list[CutFace]]]:
    """The largest face of ``frames`` of each clip, evenly spaced over its start, cut once into
    ``cache``; what is there already is left as it is.

    Clips without a face or with a fault are left out, with a line on standard error."""
    cut = []
    for clip in clips:
        place = cache / clip.path.relative_to(folder)
        try:
            if not place.is_dir():
                _cut(clip.path, place, finder, frames)
            marks = json.loads((place / FACES).read_text())
        except VitrailError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        faces = [
            CutFace(place / name, np.array(points, np.float32)) for name, points in marks.items()
        ]
        if faces:
            cut.append((clip, faces))
        else:
            print(f"left out: {clip.path}: no face is large and sure enough", file=sys.stderr)
    return cut


def _cut(source: Path, place: Path, finder: Finder, frames: int) -> None:
    rule, marks = CropRule(box="detector", margin=SURROUNDINGS), {}
    with open_frames(source) as reader, atomic_folder(place) as temporary:
        # Neither end: titles and fades stand there.
        indices = sample_indices(min(reader.frame_count, SPAN), number=frames + 2)[1:-1]
        for chunk in chunks(reader.frames(sorted(set(indices)))):
            found = finder.predict([frame.image for frame in chunk])
            for frame, faces in zip(chunk, found, strict=True):
                sure = [face for face in faces if face.score >= SURE and face.size >= MIN_FACE]
                if sure:
                    face = max(sure, key=lambda face: face.size)
                    square = rule.square(face)
                    side = min(square[2] - square[0], MAX_REGION)
                    scale = side / (square[2] - square[0])
                    name = f"{frame.index:06d}.png"
                    crop = cut_square(frame.image, square, side)
                    Image.fromarray(crop).save(temporary / name)
                    marks[name] = ((face.landmarks - square[:2]) * scale).tolist()
        (temporary / FACES).write_text(json.dumps(marks))
