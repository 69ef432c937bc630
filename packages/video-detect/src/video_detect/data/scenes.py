"""Made pictures: parts of real photographs with further objects pasted in."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from video_detect.classes import NAMES
from video_detect.data.pictures import CutOut, Picture, load

VISIBLE = 0.4  # of an object's box or outline, below which it is not asked for
MIN_SIDE = 7.0  # pixels
GREY = 124
FILM_SHARE = 0.15  # of scenes that are a film's frame
MOSAIC_SHARE = 0.3  # of scenes that are made of several photographs
MAX_PASTED = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """``image`` uint8 RGB (H, W, 3), ``boxes`` (n, 4) as corners in pixels, ``labels`` (n,)."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


class SceneMaker:
    """Scenes of any size from photographs, films and cut-outs."""

    def __init__(
        self, pictures: Sequence[Picture], films: Sequence[Picture], cuts: Sequence[CutOut]
    ):
        self.pictures, self.films = list(pictures), list(films)
        self.by_class = [[cut for cut in cuts if cut.label == n] for n in range(len(NAMES))]
        self.classes = [n for n, own in enumerate(self.by_class) if own]

    def make(self, size: tuple[int, int], rng: np.random.Generator) -> Scene:
        """A scene of ``size`` (height, width)."""
        film = self.films and rng.random() < FILM_SHARE
        image, boxes, labels = self._ground(size, rng, film=bool(film))
        count = 0 if film else int(rng.integers(0, MAX_PASTED + 1))
        for _ in range(count if self.classes else 0):
            image, boxes, labels = self._paste(image, boxes, labels, rng)
        return Scene(spoil(image, rng), boxes, labels)

    def frames(self, size: tuple[int, int], count: int, rng: np.random.Generator) -> list[Scene]:
        """``count`` scenes that have nothing to do with one another."""
        return [self.make(size, rng) for _ in range(count)]

    def draw(self, rng: np.random.Generator) -> CutOut:
        """Each class as often as any other."""
        own = self.by_class[self.classes[rng.integers(len(self.classes))]]
        return own[rng.integers(len(own))]

    def _ground(
        self, size: tuple[int, int], rng: np.random.Generator, *, film: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        height, width = size
        whole = film or rng.random() >= MOSAIC_SHARE
        xs = [0, width] if whole else [0, int(rng.uniform(0.35, 0.65) * width), width]
        ys = [0, height] if whole or rng.random() < 0.4 else [0, height // 2, height]
        image = np.full((height, width, 3), GREY, np.uint8)
        boxes, labels = [np.zeros((0, 4), np.float32)], [np.zeros(0, int)]
        pool = self.films if film else self.pictures
        for x0, x1 in pairwise(xs):
            for y0, y1 in pairwise(ys):
                picture = pool[rng.integers(len(pool))]
                part, own, names = window(picture, (y1 - y0, x1 - x0), rng)
                image[y0:y1, x0:x1] = part
                boxes.append(own + np.array((x0, y0, x0, y0), np.float32))
                labels.append(names)
        return image, np.concatenate(boxes), np.concatenate(labels)

    def _paste(
        self, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One more object somewhere; what it hides is asked for no longer."""
        height, width = image.shape[:2]
        cut = self.draw(rng)
        side = np.exp(rng.uniform(np.log(0.12), np.log(0.9))) * min(height, width)
        sprite = turned(resized(cut.image, side), rng)
        centre = rng.random(2) * (width, height)
        image, seen = put(image, sprite, centre)
        own = bounds(seen)
        if own is None or (seen > 0.5).sum() < VISIBLE * (sprite[..., 3] > 127).sum():
            return image, boxes, labels
        keep = [hidden_share(seen, box) < 1 - VISIBLE for box in boxes]
        boxes, labels = boxes[keep], labels[keep]
        return image, np.vstack((boxes, own)).astype(np.float32), np.append(labels, cut.label)


def window(
    picture: Picture, size: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part of a picture that fills ``size``, stretched a little, mirrored or not."""
    image = load(picture.path)
    target = np.array(size[::-1], float)
    full = np.array(image.shape[1::-1], float)
    scale = (target / full).max() * np.exp(rng.uniform(0, 0.6))
    scales = scale * np.exp(rng.uniform(-0.1, 0.1, 2))
    scales = np.maximum(scales, target / full)
    offset = -rng.random(2) * (full * scales - target)
    matrix = np.array([[scales[0], 0, offset[0]], [0, scales[1], offset[1]]])
    if scale < 0.6:  # a warp takes single pixels, which flicker
        image = cv2.resize(image, None, fx=scales[0], fy=scales[1], interpolation=cv2.INTER_AREA)
        matrix = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
    part = cv2.warpAffine(image, matrix, size[::-1], borderMode=cv2.BORDER_REFLECT_101)
    boxes = picture.boxes * np.tile(scales, 2) + np.tile(offset, 2)
    boxes, keep = clipped(boxes, target)
    boxes, labels = boxes[keep], picture.labels[keep]
    if rng.random() < 0.5:
        part = np.ascontiguousarray(part[:, ::-1])
        boxes = np.stack(
            (size[1] - boxes[:, 2], boxes[:, 1], size[1] - boxes[:, 0], boxes[:, 3]), 1
        )
    return part, boxes.astype(np.float32), labels


def clipped(boxes: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to (width, height), and which of them still show enough."""
    cut = np.concatenate((boxes[:, :2].clip(0, size), boxes[:, 2:].clip(0, size)), axis=1)
    area = (cut[:, 2:] - cut[:, :2]).prod(1)
    whole = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    sides = (cut[:, 2:] - cut[:, :2]).min(1, initial=np.inf)
    return cut, (area >= VISIBLE * whole) & (sides >= MIN_SIDE)


def resized(sprite: np.ndarray, side: float) -> np.ndarray:
    """RGBA with its longer side at ``side`` pixels."""
    factor = side / max(sprite.shape[:2])
    size = [max(2, round(length * factor)) for length in sprite.shape[1::-1]]
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(sprite, size, interpolation=kind)


def turned(sprite: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored or not, in another light."""
    if rng.random() < 0.5:
        sprite = sprite[:, ::-1]
    colour = sprite[..., :3].astype(np.float32) * rng.uniform(0.75, 1.25) + rng.uniform(-15, 15)
    return np.dstack((colour.clip(0, 255).astype(np.uint8), sprite[..., 3]))


def put(image: np.ndarray, sprite: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image with a sprite around ``centre`` (x, y), and where it is seen, 0..1 (H, W)."""
    height, width = image.shape[:2]
    corner = centre - np.array(sprite.shape[1::-1]) / 2
    matrix = np.array([[1, 0, corner[0]], [0, 1, corner[1]]], float)
    moved = cv2.warpAffine(sprite, matrix, (width, height), flags=cv2.INTER_LINEAR)
    seen = cv2.GaussianBlur(moved[..., 3], (3, 3), 0).astype(np.float32) / 255
    mixed = image + (moved[..., :3].astype(np.float32) - image) * seen[..., None]
    return mixed.astype(np.uint8), seen


def bounds(seen: np.ndarray) -> np.ndarray | None:
    """The box around what is seen, None where it is nothing or tiny."""
    rows, columns = (np.flatnonzero((seen > 0.5).any(axis)) for axis in (1, 0))
    if len(rows) < MIN_SIDE or len(columns) < MIN_SIDE:
        return None
    return np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), np.float32)


def hidden_share(seen: np.ndarray, box: np.ndarray) -> float:
    x0, y0, x1, y1 = np.round(box).astype(int)
    inside = seen[y0:y1, x0:x1]
    return float((inside > 0.5).mean()) if inside.size else 1.0


def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, sharpness, noise and compression as cameras and codecs change them."""
    changed = image.astype(np.float32)
    changed = (changed - 127) * rng.uniform(0.75, 1.25) + 127 + rng.uniform(-25, 25)
    changed *= rng.uniform(0.92, 1.08, 3)
    if rng.random() < 0.25:
        changed = cv2.GaussianBlur(changed, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.25:
        changed += rng.normal(0, rng.uniform(2, 8), changed.shape)
    changed = changed.clip(0, 255).astype(np.uint8)
    return compressed(changed, int(rng.integers(35, 90))) if rng.random() < 0.3 else changed


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """As JPEG of ``quality`` shows it."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
