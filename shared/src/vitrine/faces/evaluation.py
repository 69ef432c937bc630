"""The face detector measured beside YuNet, its teacher: on people and scenes that training never saw, and on clips."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from vitrine.errors import InputError
from vitrine.faces import yunet
from vitrine.faces.base import Detector
from vitrine.faces.canvas import Canvas, similarity
from vitrine.faces.data import Photographs, Scene, load_photographs
from vitrine.faces.detector import MIN_SCORE, load_detector
from vitrine.faces.face import Face
from vitrine.faces.matching import MIN_IOU, Matches, iou, match, merge
from vitrine.faces.training import Recipe
from vitrine.preprocess.sources import VIDEO_SUFFIXES
from vitrine.preprocess.video import open_video, sample_indices
from vitrine.report import Table

SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 288, 448)  # pixels of the pasted faces, in turn
CANVAS = 640
MAX_ANGLE = 40.0
FRAMES = 16  # of each clip
LOWEST_SCORE = 0.05  # down to which the curve of precision over recall is followed
OURS, PEER = "bundled", "YuNet"
MIN_SCORES = {OURS: MIN_SCORE, PEER: yunet.MIN_SCORE}


def evaluate(recipe: Recipe, weights: str | None) -> list[Table]:
    """Tables of both detectors: on composed pictures, by size of the face, on the clips, and their time."""
    teacher = Path(recipe.data.teacher)
    detectors = {OURS: load_detector(weights or "bundled"), PEER: yunet.YuNet(teacher)}
    curious = load_detector(weights or "bundled")
    curious.min_score = LOWEST_SCORE
    scenes = list(held_out_scenes(load_photographs(recipe.data)[1]))
    searches = {OURS: curious.many, PEER: yunet.YuNet(teacher, LOWEST_SCORE).many}
    found = {name: match_strangers(search, scenes) for name, search in searches.items()}
    frames = list(clip_frames(Path(recipe.data.clips)))
    return [
        people_table(found),
        size_table(found),
        clip_table(detectors, frames),
        time_table(detectors, [image for _, image in frames]),
    ]


def match_strangers(search: Callable, scenes: list[Scene]) -> list[Matches]:
    """What ``search`` finds in each scene, held against what is there."""
    return [match(search([scene.image])[0], scene.boxes, scene.landmarks, scene.unsure) for scene in scenes]


def people_table(found: Mapping[str, list[Matches]]) -> Table:
    """How well strangers' faces are found that were pasted at fixed sizes and angles over held-out scenes."""
    merged = {name: merge(parts) for name, parts in found.items()}
    precision = merged[PEER].precision(MIN_SCORES[PEER])
    rows = [
        (
            name,
            MIN_SCORES[name],
            matches.recall(MIN_SCORES[name]),
            matches.precision(MIN_SCORES[name]),
            matches.recall_at(precision),
            matches.average_precision(),
            matches.landmark_error(MIN_SCORES[name]),
        )
        for name, matches in merged.items()
    ]
    at_equal = f"recall at precision {precision:.3f}"
    columns = ("detector", "min score", "recall", "precision", at_equal, "average precision", "landmark error / eyes")
    return Table(f"{merged[PEER].known} faces of strangers, IoU {MIN_IOU}", columns, rows)


def size_table(found: Mapping[str, list[Matches]]) -> Table:
    """The same by size of the face."""
    rows = []
    for first, size in enumerate(SIZES):
        parts = {name: merge(matches[first :: len(SIZES)]) for name, matches in found.items()}
        recalls = [part.recall(MIN_SCORES[name]) for name, part in parts.items()]
        errors = [part.landmark_error(MIN_SCORES[name]) for name, part in parts.items()]
        rows.append((size, *recalls, *errors))
    columns = [f"{figure}: {name}" for figure in ("recall", "landmark error") for name in found]
    return Table("By size of the face", ("pixels", *columns), rows)


def held_out_scenes(photographs: Photographs) -> Iterator[Scene]:
    """Each portrait once, pasted whole over a scene; only its own face is known for sure."""
    rng = np.random.default_rng(0)
    sizes, backdrops = cycle(SIZES), cycle(photographs.scenes)
    for portrait, size, backdrop in zip(photographs.portraits, sizes, backdrops):  # noqa: B905 (two are endless)
        canvas = Canvas(CANVAS)
        canvas.paste(_unsure(backdrop, 0), _fitting(backdrop.image.shape), *_everywhere())
        x0, y0, x1, y1 = portrait.boxes[0]
        reach = min(0.75 * size, CANVAS / 2)
        target = rng.uniform(reach, CANVAS - reach, 2)
        scale = size / np.sqrt((x1 - x0) * (y1 - y0))
        matrix = similarity(np.array([x0 + x1, y0 + y1]) / 2, target, scale, rng.uniform(-MAX_ANGLE, MAX_ANGLE), False)
        canvas.paste(_unsure(portrait, 1), matrix, *_everywhere(), bounded=True)
        yield canvas.scene


def _unsure(scene: Scene, known: int) -> Scene:
    """The scene with only its first ``known`` faces taken for sure: the teacher's word is no measure of the teacher."""
    unsure = np.concatenate((scene.unsure, scene.boxes[known:]))
    return Scene(scene.image, scene.boxes[:known], scene.landmarks[:known], unsure)


def _fitting(shape: tuple[int, ...]) -> np.ndarray:
    """The matrix that lets a picture's middle fill the canvas."""
    height, width = shape[:2]
    return similarity(np.array([width, height]) / 2, np.full(2, CANVAS / 2), CANVAS / min(height, width), 0, False)


def _everywhere() -> tuple[np.ndarray, tuple[int, int, int, int]]:
    return np.ones((CANVAS, CANVAS), np.float32), (0, 0, CANVAS, CANVAS)


def clip_frames(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The name of the clip and the picture, for evenly spaced frames of each clip below ``folder``."""
    clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not clips:
        raise InputError(folder, "no clips are here", "set VITRINE_DATA to the folder of the data sets")
    for clip in clips:
        with open_video(clip) as video:
            for frame in video.frames(sample_indices(video.frame_count, number=FRAMES)):
                yield clip.name, frame.image


def clip_table(detectors: Mapping[str, Detector], frames: list[tuple[str, np.ndarray]]) -> Table:
    """In how many frames of each clip a face is found, and how many boxes have no counterpart at the other detector."""
    found = {name: [detector(image) for _, image in frames] for name, detector in detectors.items()}
    rows = []
    for clip in dict.fromkeys(name for name, _ in frames):
        at = [number for number, (name, _) in enumerate(frames) if name == clip]
        ours, peer = ([found[name][number] for number in at] for name in (OURS, PEER))
        seen = [bool(faces) for faces in peer]
        both = sum(any(_agree(face, others) for face in faces) for faces, others in zip(ours, peer, strict=True))
        extra = sum(not _agree(face, others) for faces, others in zip(ours, peer, strict=True) for face in faces)
        missed = sum(not _agree(face, others) for faces, others in zip(peer, ours, strict=True) for face in faces)
        rows.append((clip, len(at), sum(seen), both, extra, missed))
    rows.append(("all", *(sum(column) for column in list(zip(*rows, strict=True))[1:])))
    columns = ("clip", "frames", f"{PEER} finds one", f"{OURS} agrees", f"boxes only {OURS}", f"boxes only {PEER}")
    return Table(f"Frames of the clips, IoU {MIN_IOU}", columns, rows)


def _agree(face: Face, others: list[Face]) -> bool:
    return bool(others) and bool((iou(face.box, np.array([other.box for other in others])) >= MIN_IOU).any())


def time_table(detectors: Mapping[str, Detector], images: list[np.ndarray]) -> Table:
    """Median milliseconds for a frame of 1280 x 720, the detectors taking turns."""
    frames = [cv2.resize(image, (1280, 720)) for image in images[:: max(len(images) // 24, 1)]]
    seconds = {name: [] for name in detectors}
    for image in [frames[0], *frames]:
        for name, detector in detectors.items():
            start = time.perf_counter()
            detector(image)
            seconds[name].append(time.perf_counter() - start)
    median = {name: float(np.median(taken[1:])) * 1000 for name, taken in seconds.items()}
    rows = [(name, taken, taken / median[PEER]) for name, taken in median.items()]
    return Table("Time for a 720p frame", ("detector", "ms", f"ratio to {PEER}"), rows)
