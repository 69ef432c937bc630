"""Made clips: cut-outs that move over real photographs, seen by a shaken camera, with frames that
are spoilt as films' frames are."""

from dataclasses import dataclass

import cv2
import numpy as np

from video_detect.data.scenes import (
    VISIBLE,
    Scene,
    SceneMaker,
    bounds,
    clipped,
    compressed,
    hidden_share,
    put,
    resized,
    turned,
    window,
)

SPEEDS = (0.0, 0.02, 0.06, 0.14)  # of the frame's shorter side, a frame: still, slow, medium, fast
SPOILT_SHARE = 0.35  # of frames that are blurred, out of focus or dark
DARK_SHARE = 0.15  # of those
SHUTTER_STEPS = 5  # places between two frames that a moving object smears over
MAX_OBJECTS = 3


@dataclass(frozen=True, eq=False)
class Clip:
    """``scenes`` in time; ``ids`` (n,) of each scene's objects; ``spoilt`` frames."""

    scenes: list[Scene]
    ids: list[np.ndarray]
    spoilt: list[bool]


@dataclass
class _Actor:
    """A cut-out on its way: place, step and growth a frame."""

    sprite: np.ndarray
    label: int
    side: float
    place: np.ndarray
    step: np.ndarray
    growth: float


class ClipMaker:
    """Clips from the photographs and cut-outs of a ``SceneMaker``."""

    def __init__(self, maker: SceneMaker):
        self.maker = maker

    def make(self, size: tuple[int, int], frames: int, rng: np.random.Generator) -> Clip:
        """``frames`` scenes of ``size`` (height, width)."""
        height, width = size
        margin = int(0.12 * min(size))
        picture = self.maker.pictures[rng.integers(len(self.maker.pictures))]
        ground, boxes, labels = window(picture, (height + 2 * margin, width + 2 * margin), rng)
        actors = [self._actor(size, rng) for _ in range(int(rng.integers(1, MAX_OBJECTS + 1)))]
        shake = np.cumsum(rng.normal(0, rng.choice((0.2, 1.5, 4.0)), (frames, 2)), 0)
        shake += np.arange(frames)[:, None] * rng.normal(0, 1.5, 2)
        shake = np.clip(shake, -margin, margin)
        light = rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
        scenes, ids, spoilt = [], [], []
        for number in range(frames):
            x, y = np.round(margin + shake[number]).astype(int)
            image = ground[y : y + height, x : x + width].copy()
            still = boxes - np.array((x, y, x, y), np.float32)
            cut, keep = clipped(still, np.array((width, height), float))
            scene, own = self._stage(image, cut, keep, labels, actors)
            bad = rng.random() < SPOILT_SHARE
            shown = scene.image.astype(np.float32) * light[0] + light[1]
            shown = _degrade(shown.clip(0, 255).astype(np.uint8), bad, rng)
            scenes.append(Scene(shown, scene.boxes, scene.labels))
            ids.append(own)
            spoilt.append(bad)
            for actor in actors:
                self._move(actor, size)
        return Clip(scenes, ids, spoilt)

    def frames(self, size: tuple[int, int], count: int, rng: np.random.Generator) -> list[Scene]:
        return self.make(size, count, rng).scenes

    def _actor(self, size: tuple[int, int], rng: np.random.Generator) -> _Actor:
        cut = self.maker.draw(rng)
        shorter = min(size)
        side = np.exp(rng.uniform(np.log(0.2), np.log(0.8))) * shorter
        angle, speed = rng.uniform(0, 2 * np.pi), SPEEDS[rng.integers(len(SPEEDS))] * shorter
        step = speed * np.array((np.cos(angle), 0.4 * np.sin(angle)))
        place = rng.uniform(0.15, 0.85, 2) * (size[1], size[0])
        return _Actor(turned(cut.image, rng), cut.label, side, place, step,
                      np.exp(rng.normal(0, 0.02)))  # fmt: skip

    def _move(self, actor: _Actor, size: tuple[int, int]) -> None:
        """On to the next frame; at the frame's border it turns round."""
        actor.place = actor.place + actor.step
        actor.side *= actor.growth
        for axis, length in enumerate((size[1], size[0])):
            if not 0 < actor.place[axis] < length:
                actor.step[axis] *= -1
                actor.place[axis] = np.clip(actor.place[axis], 1, length - 1)

    def _stage(
        self,
        image: np.ndarray,
        boxes: np.ndarray,
        keep: np.ndarray,
        labels: np.ndarray,
        actors: list[_Actor],
    ) -> tuple[Scene, np.ndarray]:
        """One frame with its actors, later ones in front."""
        kept = [(boxes[n], labels[n], -1 - n) for n in np.flatnonzero(keep).tolist()]
        for number, actor in enumerate(actors):
            sprite = smeared(resized(actor.sprite, actor.side), actor.step)
            image, seen = put(image, sprite, actor.place)
            kept = [one for one in kept if hidden_share(seen, one[0]) < 1 - VISIBLE]
            own = bounds(seen)
            if own is not None and (seen > 0.5).sum() >= VISIBLE * (sprite[..., 3] > 127).sum():
                kept.append((own, actor.label, number))
        boxes = np.array([one[0] for one in kept], np.float32).reshape(-1, 4)
        scene = Scene(image, boxes, np.array([one[1] for one in kept], int))
        return scene, np.array([one[2] for one in kept], int)


def smeared(sprite: np.ndarray, step: np.ndarray) -> np.ndarray:
    """What a shutter that is open for half the time makes of a moving object."""
    length = float(np.linalg.norm(step)) / 2
    if length < 2:
        return sprite
    pad = int(np.ceil(length))
    wide = cv2.copyMakeBorder(sprite, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    wide = wide.astype(np.float32)
    wide[..., :3] *= wide[..., 3:] / 255  # colours count as far as they are seen
    total = np.zeros_like(wide)
    for share in np.linspace(-0.5, 0.5, SHUTTER_STEPS):
        x, y = share * step / 2
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
        total += cv2.warpAffine(wide, matrix, wide.shape[1::-1]) / SHUTTER_STEPS
    total[..., :3] /= np.maximum(total[..., 3:] / 255, 1e-3)
    return total.clip(0, 255).astype(np.uint8)


def blurred(image: np.ndarray, length: int, angle: float) -> np.ndarray:
    """Blurred by a camera that moved ``length`` pixels at ``angle`` radians."""
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    centre = ((length - 1) / 2, (length - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, float(np.degrees(angle)), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _degrade(image: np.ndarray, spoilt: bool, rng: np.random.Generator) -> np.ndarray:
    if spoilt:
        kind = rng.random()
        if kind < DARK_SHARE:
            image = (image * rng.uniform(0, 0.15)).astype(np.uint8)
        elif kind < 0.65:
            length = int(rng.integers(5, max(6, image.shape[1] // 18)))
            image = blurred(image, 2 * length + 1, rng.uniform(0, np.pi))
        else:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, 5))
    return compressed(image, int(rng.integers(40, 95)))
