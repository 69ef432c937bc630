"""The film with boxes, names and numbers drawn in, as an MP4 in fragments."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np

from video_detect.result import FrameRow, Object, Result
from vitrail.preprocess.frames import open_frames
from vitrail.preprocess.remake import TICKS, add_pictures, coded_picture
from vitrail.report import Overlay

MAX_SIDE = 1280  # pixels of the longer side
NOMINAL_FPS = 25.0  # of images without time
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"
KEYS = "25"  # frames between two key frames, at most: a fragment


def write_film(result: Result, path: Path) -> None:
    """Reads the film again and writes it with its objects, times and length as they are."""
    rows = {row.index: row for row in result.frames}
    pictures = _drawn(result, rows)
    first = next(pictures, None)
    if first is None:
        return
    height, width = _even(first[1])
    with av.open(str(path), "w", format="mp4", options={"movflags": FRAGMENTS}) as container:
        stream = add_pictures(container, height, width, {"crf": "23", "g": KEYS})
        last = -1
        for time, image in chain([first], pictures):
            last = max(round(time * TICKS), last + 1)  # stamps must rise
            container.mux(stream.encode(coded_picture(_fitted(image, height, width), last)))
        container.mux(stream.encode(None))


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


def _even(image: np.ndarray) -> tuple[int, int]:
    """Height and width as the codec takes them: even, at least 16."""
    height, width = image.shape[:2]
    return max(height - height % 2, 16), max(width - width % 2, 16)


def _fitted(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames of another size than the first are scaled into its place, the rest is black."""
    if image.shape[:2] == (height, width):
        return image
    if 0 <= image.shape[0] - height <= 1 and 0 <= image.shape[1] - width <= 1:
        return image[:height, :width]
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (max(int(image.shape[1] * scale), 1), max(int(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    whole = np.zeros((height, width, 3), np.uint8)
    whole[: small.shape[0], : small.shape[1]] = small
    return whole
