"""The film with boxes, names and numbers drawn in, as an MP4 in fragments."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from video_detect.result import FrameRow, Object, Result
from vitrail.preprocess.film import Film
from vitrail.preprocess.frames import open_frames
from vitrail.report import Overlay

MAX_SIDE = 1280  # pixels of the longer side
NOMINAL_FPS = 25.0  # of images without time


def write_film(result: Result, path: Path) -> None:
    """Reads the film again and writes it with its objects, times and length as they are."""
    rows = {row.index: row for row in result.frames}
    with Film(path) as film:
        for time, image in _drawn(result, rows):
            film.add(image, time)


def _drawn(result: Result, rows: dict[int, FrameRow]) -> Iterator[tuple[float, np.ndarray]]:
    """Time and picture of each frame, objects drawn in."""
    assert result.path is not None
    with open_frames(result.path) as film:
        for frame in film.frames(range(film.frame_count)):
            row = rows.get(frame.index)
            time = frame.time if film.fps is not None else frame.index / NOMINAL_FPS
            yield time, draw(frame.image, row.objects if row else ())


def draw(image: np.ndarray, objects: Iterable[Object]) -> np.ndarray:
    """The image (H, W, 3), brought to ``MAX_SIDE``, with boxes, labels, scores and tracks."""
    scale = min(1.0, MAX_SIDE / max(image.shape[:2]))
    if scale < 1:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    overlay = Overlay(image)
    for one in objects:
        x, y, width, height = (value * scale for value in one.box)
        number = "" if one.track is None else f" {one.track}"
        label = f"{one.label}{number}  {one.score:.2f}"
        overlay.box(x, y, x + width, y + height, label, (one.track or 1) - 1)
    return overlay.image()
