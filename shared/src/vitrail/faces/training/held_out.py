"""What the face detector is measured on: strangers pasted over scenes without people, and frames of
clips."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np

from vitrail.errors import InputError
from vitrail.faces.training.canvas import Canvas, move_boxes, similarity
from vitrail.faces.training.data import Data, Scene, load_strangers, scenes_without_people
from vitrail.preprocess.video import open_video, sample_indices
from vitrail.sources import VIDEO_SUFFIXES

SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 288, 448)  # pixels of the pasted faces, in turn
CANVAS = 640
MAX_ANGLE = 40.0
SURROUNDINGS = (
    0.6  # of the face's sides, at each end: what is pasted with it, hardly ever another person
)
FRAMES = 16  # of each clip


def held_out_scenes(data: Data) -> Iterator[Scene]:
    """Each portrait of ``val_faces`` once, pasted over another cut-out of a scene in which nobody
    is seen."""
    rng = np.random.default_rng(0)
    backdrops, sizes = cycle(scenes_without_people(data)), cycle(SIZES)
    for portrait, size, backdrop in zip(load_strangers(data).portraits, sizes, backdrops):  # noqa: B905 (two are endless)
        canvas = Canvas(CANVAS)
        canvas.paste(
            backdrop, _cut_out(backdrop.image.shape, rng), _everywhere(), (0, 0, CANVAS, CANVAS)
        )
        x0, y0, x1, y1 = portrait.boxes[0]
        reach = min(0.75 * size, CANVAS / 2)
        target = rng.uniform(reach, CANVAS - reach, 2)
        scale = size / np.sqrt((x1 - x0) * (y1 - y0))
        matrix = similarity(
            np.array([x0 + x1, y0 + y1]) / 2,
            target,
            scale,
            rng.uniform(-MAX_ANGLE, MAX_ANGLE),
            False,
        )
        window = _surroundings(move_boxes(portrait.boxes[:1], matrix)[0])
        mask = np.ones((window[3] - window[1], window[2] - window[0]), np.float32)
        canvas.paste(_unsure_but_first(portrait), matrix, mask, window, bounded=True)
        yield canvas.scene


def _unsure_but_first(portrait: Scene) -> Scene:
    """The portrait with only its own face taken for sure: the teacher's word is no measure of the
    teacher."""
    unsure = np.concatenate((portrait.unsure, portrait.boxes[1:]))
    return Scene(portrait.image, portrait.boxes[:1], portrait.landmarks[:1], unsure)


def _cut_out(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The matrix that fills the canvas with a part of an image, mirrored or not."""
    full = np.array(shape[1::-1])
    scale = CANVAS / full.min() * rng.uniform(1.0, 1.6)
    room = full / 2 - CANVAS / scale / 2
    centre = full / 2 + rng.uniform(-1, 1, 2) * room
    return similarity(centre, np.full(2, CANVAS / 2), scale, 0, rng.random() < 0.5)


def _everywhere() -> np.ndarray:
    return np.ones((CANVAS, CANVAS), np.float32)


def _surroundings(box: np.ndarray) -> tuple[int, int, int, int]:
    margin = SURROUNDINGS * (box[2:] - box[:2])
    corners = np.concatenate((box[:2] - margin, box[2:] + margin))
    return tuple(corners.round().clip(0, CANVAS).astype(int).tolist())


def clip_frames(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The name of the clip and the image, for evenly spaced frames of each clip below
    ``folder``."""
    clips = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not clips:
        raise InputError(
            folder, "no clips are here", "set VITRAIL_DATA to the folder of the data sets"
        )
    for clip in clips:
        with open_video(clip) as video:
            for frame in video.frames(sample_indices(video.frame_count, number=FRAMES)):
                yield clip.name, frame.image
