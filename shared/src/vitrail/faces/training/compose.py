"""Training images put together from photographs: faces of any size and angle pasted over
scenes."""

import cv2
import numpy as np

from vitrail.faces.training.canvas import Canvas, Window, covered, move_boxes, similarity
from vitrail.faces.training.data import Photographs, Scene

MIN_SIZE = 11.0  # pixels of the smallest face
MAX_ANGLE = 40.0  # degrees


class Composer:
    """Composes images from ``photographs``. Scenes without any face are pasted in the same way as
    faces, too: they teach that a pasted edge is no sign of a face, and hide parts of faces."""

    def __init__(self, photographs: Photographs):
        self.portraits, self.scenes = photographs.portraits, photographs.scenes
        self.empty = [scene for scene in self.scenes if not len(scene.boxes) + len(scene.unsure)]

    def __call__(self, size: int, rng: np.random.Generator) -> Scene:
        """One image of ``size`` x ``size`` pixels with its labels: one scene or four, and up to
        six portraits."""
        canvas = Canvas(size)
        for window in _windows(size, rng):
            self._fill(canvas, window, self.scenes, rng)
        for _ in range(rng.integers(0, 7)):
            self._fill_patch(canvas, _random_box(size, rng), rng)
        for face_size in _face_sizes(size, rng):
            self._add_portrait(canvas, face_size, rng)
        known = canvas.scene
        for box in known.boxes:
            if rng.random() < 0.15:
                self._hide_part(canvas, box, rng)
        return _without_tiny(canvas.scene.image, known)

    def _fill(
        self,
        canvas: Canvas,
        window: Window,
        scenes: list[Scene],
        rng: np.random.Generator,
        mask: np.ndarray | None = None,
    ) -> None:
        """Fills a window with a random cut-out of a random scene.

        One without faces may be small and mirrored around, which makes the finest patterns.
        """
        scene = scenes[rng.integers(len(scenes))]
        low, high = np.reshape(window, (2, 2))
        size, full = high - low, np.array(scene.image.shape[1::-1])
        smallest = -0.1 if len(scene.boxes) + len(scene.unsure) else -1.2
        scale = (size / full).max() * np.exp(rng.uniform(smallest, 0.9))
        room = np.maximum(full - size / scale, 0) / 2
        centre = full / 2 + rng.uniform(-1, 1, 2) * room
        matrix = similarity(centre, (low + high) / 2, scale, _angle(rng) / 2, rng.random() < 0.5)
        canvas.paste(
            scene, matrix, np.ones(size[::-1], np.float32) if mask is None else mask, window
        )

    def _fill_patch(self, canvas: Canvas, box: np.ndarray, rng: np.random.Generator) -> None:
        window = _window(box, canvas.size)
        self._fill(canvas, window, self.empty, rng, _patch_mask(box, window, rng))

    def _add_portrait(self, canvas: Canvas, face_size: float, rng: np.random.Generator) -> None:
        """Pastes a portrait whose face measures ``face_size`` where it hides no other face, if
        there is room."""
        portrait = self.portraits[rng.integers(len(self.portraits))]
        x0, y0, x1, y1 = portrait.boxes[0]
        scale = face_size / np.sqrt((x1 - x0) * (y1 - y0))
        edge = min(face_size * 0.3, canvas.size / 2)
        for _ in range(8):
            target = rng.uniform(edge, canvas.size - edge, 2)
            middle = np.array([x0 + x1, y0 + y1]) / 2
            matrix = similarity(middle, target, scale, _angle(rng), rng.random() < 0.5)
            box = _grown(move_boxes(portrait.boxes[:1], matrix)[0], rng)
            window = _window(box, canvas.size)
            mask = _patch_mask(box, window, rng)
            hidden = covered(
                np.concatenate((canvas.scene.boxes, canvas.scene.unsure)), mask, window
            )
            if not ((hidden > 0.05) & (hidden < 0.9)).any():
                canvas.paste(portrait, matrix, mask, window, bounded=True)
                return

    def _hide_part(self, canvas: Canvas, box: np.ndarray, rng: np.random.Generator) -> None:
        """Puts something over a part of a face, as a hand or a microphone does."""
        sides = (box[2:] - box[:2]) * rng.uniform(0.2, 0.6, 2)
        centre = rng.uniform(box[:2], box[2:]).clip(1, canvas.size - 1)
        self._fill_patch(canvas, np.concatenate((centre - sides / 2, centre + sides / 2)), rng)


def _face_sizes(size: int, rng: np.random.Generator) -> list[float]:
    """Pixels of none to six faces, the largest first: most are small, one image in four has one
    that fills it."""
    number = rng.choice(7, p=(0.1, 0.4, 0.2, 0.12, 0.08, 0.05, 0.05))
    largest = size * rng.choice((0.3, 0.6, 0.95))
    sizes = np.exp(rng.uniform(np.log(MIN_SIZE), np.log(largest), number))
    if number and rng.random() < 0.25:
        sizes[0] = size * rng.uniform(0.4, 0.95)
    return sorted(sizes, reverse=True)


def _without_tiny(image: np.ndarray, scene: Scene) -> Scene:
    """A scene of ``image`` in which faces too small to learn from are unsure."""
    large = np.sqrt((scene.boxes[:, 2:] - scene.boxes[:, :2]).prod(axis=1)) >= MIN_SIZE
    unsure = np.concatenate((scene.unsure, scene.boxes[~large]))
    return Scene(image, scene.boxes[large], scene.landmarks[large], unsure)


def _windows(size: int, rng: np.random.Generator) -> list[Window]:
    """The whole canvas, or four parts of it around a random point."""
    if rng.random() < 0.7:
        return [(0, 0, size, size)]
    x, y = np.round(rng.uniform(0.25, 0.75, 2) * size).astype(int)
    return [(0, 0, x, y), (x, 0, size, y), (0, y, x, size), (x, y, size, size)]


def _window(box: np.ndarray, size: int) -> Window:
    """The pixels of the canvas that a patch with a soft edge around ``box`` may touch."""
    margin = 0.1 * (box[2:] - box[:2]) + 2
    low = np.clip(np.floor(box[:2] - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(box[2:] + margin), low + 1, size).astype(int)
    return (*low.tolist(), *high.tolist())


def _patch_mask(box: np.ndarray, window: Window, rng: np.random.Generator) -> np.ndarray:
    """Ones in a rectangle or an ellipse of the size of ``box``, with a sharp or a soft edge:
    float32, window-shaped."""
    x0, y0, x1, y1 = window
    mask = np.zeros((y1 - y0, x1 - x0), np.float32)
    left, top, right, bottom = np.maximum(np.round(box - (x0, y0, x0, y0)), 0).astype(int)
    if rng.random() < 0.5:
        mask[top:bottom, left:right] = 1
    else:
        centre, sides = (box[:2] + box[2:]) / 2 - (x0, y0), np.maximum(box[2:] - box[:2], 1)
        cv2.ellipse(mask, (tuple(centre), tuple(sides * 1.15), 0), 1.0, -1)
    if rng.random() < 0.6:
        side = float(np.sqrt((box[2:] - box[:2]).prod()))
        mask = cv2.blur(mask, (2 * int(side * rng.uniform(0.02, 0.08)) + 1,) * 2)
    return mask


def _grown(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of a portrait that is pasted: its face with a little or a lot of what is around
    it."""
    low, high = (0.15, 0.5) if rng.random() < 0.5 else (0.4, 2.0)
    margin = (box[2:] - box[:2]) * rng.uniform(low, high, 2)
    return np.concatenate((box[:2] - margin, box[2:] + margin))


def _random_box(size: int, rng: np.random.Generator) -> np.ndarray:
    half = size * np.exp(rng.uniform(np.log(0.03), np.log(0.4))) * rng.uniform(0.7, 1.3, 2) / 2
    centre = rng.uniform(0, size, 2)
    return np.concatenate((centre - half, centre + half))


def _angle(rng: np.random.Generator) -> float:
    """Degrees: mostly upright, three in ten turned by anything up to the largest."""
    angle = rng.uniform(-MAX_ANGLE, MAX_ANGLE) if rng.random() < 0.3 else rng.normal(0, 12)
    return float(np.clip(angle, -MAX_ANGLE, MAX_ANGLE))
