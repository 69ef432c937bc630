"""The face detector measured beside YuNet, its teacher: on people and scenes that training never
saw, and on clips."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
import torch

from vitrail.detection.matching import MIN_IOU, Matches, iou, match, merge
from vitrail.faces import others
from vitrail.faces.detector import MIN_SCORE, load_finder
from vitrail.faces.face import Face
from vitrail.faces.find import Finder
from vitrail.faces.training import Recipe
from vitrail.faces.training.data import Scene
from vitrail.faces.training.held_out import SIZES, clip_frames, held_out_scenes
from vitrail.report import Table

MIN_FOLLOWED = 0.05  # down to which the curve of precision over recall is followed
OURS, PEER = "bundled", "YuNet"
MIN_SCORES = {OURS: MIN_SCORE, PEER: others.MIN_SCORE}

Found = Mapping[str, list[Matches]]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Tables on composed images, by size of the face, on the clips, and of time, each with a row
    or column of YuNet.

    Where YuNet's file is missing, its figures are left out, and the first table's title says so.
    """
    teacher = Path(recipe.data.teacher)
    finders = {name: _at(MIN_FOLLOWED, name, teacher, weights) for name in _names(teacher)}
    scenes = list(held_out_scenes(recipe.data))
    found = {name: match_strangers(finder, scenes) for name, finder in finders.items()}
    finders = {name: _at(MIN_SCORES[name], name, teacher, weights) for name in finders}
    frames = list(clip_frames(Path(recipe.data.clips)))
    return [
        people_table(found),
        size_table(found),
        clip_table(finders, frames),
        time_table(finders, [image for _, image in frames]),
    ]


def _names(teacher: Path) -> tuple[str, ...]:
    return (OURS, PEER) if teacher.exists() else (OURS,)


def _at(min_score: float, name: str, teacher: Path, weights: str | None) -> Finder:
    """The finder of that name, which tells of faces of at least ``min_score``."""
    spec = str(teacher) if name == PEER else weights or "bundled"
    return load_finder(spec, min_score=min_score, engine="eager")


def match_strangers(finder: Finder, scenes: Iterable[Scene]) -> list[Matches]:
    """What is found in each scene, held against what is there."""
    return [
        match(_found(finder, scene.image), scene.boxes, scene.landmarks, scene.unsure)
        for scene in scenes
    ]


def _found(finder: Finder, image: np.ndarray) -> list[Face]:
    return finder.predict([image])[0]


def people_table(found: Found) -> Table:
    """How well strangers' faces are found that were pasted at fixed sizes and angles over scenes
    without people."""
    merged = {name: merge(parts) for name, parts in found.items()}
    title = f"{merged[OURS].known} faces of strangers, IoU {MIN_IOU}"
    columns = [
        "detector",
        "min score",
        "recall",
        "precision",
        "average precision",
        "landmark error / eye distance",
    ]
    rows = [
        [name, MIN_SCORES[name], *_figures(matches, MIN_SCORES[name])]
        for name, matches in merged.items()
    ]
    if PEER not in merged:
        return Table(f"{title}; {PEER}'s file is not here, so it is not measured", columns, rows)
    precision = merged[PEER].precision(MIN_SCORES[PEER])
    for row, matches in zip(rows, merged.values(), strict=True):
        row.append(matches.recall_at(precision))
    return Table(title, [*columns, f"recall at precision {precision:.3f}"], rows)


def _figures(matches: Matches, min_score: float) -> tuple[float, ...]:
    return (
        matches.recall(min_score),
        matches.precision(min_score),
        matches.average_precision(),
        matches.landmark_error(min_score),
    )


def size_table(found: Found) -> Table:
    """The same by size of the face."""
    rows = []
    for first, size in enumerate(SIZES):
        parts = {name: merge(matches[first :: len(SIZES)]) for name, matches in found.items()}
        recalls = [part.recall(MIN_SCORES[name]) for name, part in parts.items()]
        errors = [part.landmark_error(MIN_SCORES[name]) for name, part in parts.items()]
        rows.append((size, *recalls, *errors))
    columns = [f"{figure}: {name}" for figure in ("recall", "landmark error") for name in found]
    return Table("By size of the face", ("pixels", *columns), rows)


def clip_table(finders: Mapping[str, Finder], frames: list[tuple[str, np.ndarray]]) -> Table:
    """In how many frames of each clip a face is found; beside a peer also the boxes that only one
    of the two gives."""
    found = {
        name: [_found(finder, image) for _, image in frames] for name, finder in finders.items()
    }
    rows = []
    for clip in dict.fromkeys(name for name, _ in frames):
        at = [number for number, (name, _) in enumerate(frames) if name == clip]
        in_clip = {name: [faces[number] for number in at] for name, faces in found.items()}
        rows.append((clip, len(at), *_clip_counts(in_clip)))
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    columns = ["clip", "frames", *(f"{name} finds one" for name in found)]
    if PEER in found:
        columns += ["the same", f"boxes only {OURS}", f"boxes only {PEER}"]
    return Table(f"Frames of the clips, IoU {MIN_IOU}", columns, rows)


def _clip_counts(found: Mapping[str, list[list[Face]]]) -> tuple[int, ...]:
    """Frames with a face for each detector; of two also the frames in which they agree on one, and
    the lone boxes."""
    seen = [sum(bool(faces) for faces in frames) for frames in found.values()]
    if PEER not in found:
        return tuple(seen)
    pairs = list(zip(found[OURS], found[PEER], strict=True))
    both = sum(any(_agree(face, others) for face in faces) for faces, others in pairs)
    extra = sum(not _agree(face, others) for faces, others in pairs for face in faces)
    missed = sum(not _agree(face, others) for others, faces in pairs for face in faces)
    return (*seen, both, extra, missed)


def _agree(face: Face, others: list[Face]) -> bool:
    return bool(others) and bool(
        (iou(face.box, np.array([other.box for other in others])) >= MIN_IOU).any()
    )


def time_table(finders: Mapping[str, Finder], images: list[np.ndarray]) -> Table:
    """Median milliseconds for a frame of 1280 x 720 on one thread, the detectors taking turns."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    frames = [cv2.resize(image, (1280, 720)) for image in images[:: max(len(images) // 24, 1)]]
    seconds = {name: [] for name in finders}
    for image in [frames[0], *frames]:
        for name, finder in finders.items():
            start = time.perf_counter()
            _found(finder, image)
            seconds[name].append(time.perf_counter() - start)
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
    median = {name: float(np.median(taken[1:])) * 1000 for name, taken in seconds.items()}
    rows = [
        (name, taken, taken / median[PEER] if PEER in median else None)
        for name, taken in median.items()
    ]
    return Table("Time for a 720p frame, one thread", ("detector", "ms", f"ratio to {PEER}"), rows)
