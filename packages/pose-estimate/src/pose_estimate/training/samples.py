"""Crops of people as batches: composed from a number, so that a run can be continued or
repeated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pose_estimate.data import Labelled
from pose_estimate.pose.crop import CropShape, Frame, crop_matrix, cut, frame_of, moved, targets
from pose_estimate.skeleton import Skeleton
from pose_estimate.training.recipe import Augment
from vitrail.faces.training.augment import degrade
from vitrail.preprocess.image import read_image

KEPT_IMAGES = 2500  # decoded ones in memory
MIN_HALF = 8  # labelled joints without which a body is not cut in half
UPPER = ("nose", "eye", "ear", "shoulder", "elbow", "wrist", "head", "neck", "thorax")


@dataclass(frozen=True, eq=False)
class Shot:
    """Somebody to learn from: an image uint8 RGB, a box (x, y, width, height), joints (K, 3)."""

    image: np.ndarray
    box: np.ndarray
    joints: np.ndarray


Draw = Callable[[np.random.Generator], Shot]


@dataclass(frozen=True, eq=False)
class FromPictures:
    """Draws people of pictures, each alike."""

    people: Sequence[Labelled]
    skeleton: Skeleton

    def __call__(self, rng: np.random.Generator) -> Shot:
        return self.shot(self.people[int(rng.integers(len(self.people)))])

    def shot(self, one: Labelled) -> Shot:
        return Shot(read_kept(one.image), one.box, one.in_order_of(self.skeleton))


@lru_cache(KEPT_IMAGES)
def read_kept(path: Path) -> np.ndarray:
    """An image file, kept in memory; it must not be changed."""
    return read_image(path)


class Batches(Dataset):
    """Batch ``number`` is a dict: ``images`` uint8 (B, 3, H, W), ``heatmaps`` float32 (B, K, H/4,
    W/4), ``places`` (B, K, 2) in 0..1 of the crop, ``weights`` (B, K).

    ``sources`` are drawn from in proportion to their shares.
    """

    def __init__(
        self,
        sources: Sequence[tuple[float, Draw]],
        shape: CropShape,
        skeleton: Skeleton,
        augment: Augment,
        batch_size: int,
        seed: int,
    ):
        self.draws = [draw for _, draw in sources]
        shares = np.array([share for share, _ in sources])
        self.shares = shares / shares.sum()
        self.shape, self.skeleton, self.augment = shape, skeleton, augment
        self.batch_size, self.seed = batch_size, seed

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, number))
        crops, joints = zip(*(self._one(rng) for _ in range(self.batch_size)), strict=True)
        return collated(crops, np.stack(joints), self.shape)

    def _one(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shot = self.draws[rng.choice(len(self.draws), p=self.shares)](rng)
        return varied(shot, self.shape, self.skeleton, self.augment, rng)


class Whole(Dataset):
    """Each person once and as they are, for validation: as in ``Batches``, and ``sizes`` (B,), the
    longer sides of the boxes in pixels of the crop."""

    def __init__(self, source: FromPictures, shape: CropShape, batch_size: int):
        self.source, self.shape, self.batch_size = source, shape, batch_size

    def __len__(self) -> int:
        return -(-len(self.source.people) // self.batch_size)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        start = number * self.batch_size
        crops, joints, sizes = [], [], []
        for one in self.source.people[start : start + self.batch_size]:
            shot = self.source.shot(one)
            frame = frame_of(shot.box, self.shape)
            matrix = crop_matrix(frame, self.shape)
            crops.append(cut(shot.image, matrix, self.shape))
            joints.append(_moved_joints(shot.joints, matrix))
            sizes.append(max(shot.box[2:]) * (self.shape.size[0] - 1) / frame.size[1])
        batch = collated(crops, np.stack(joints), self.shape)
        return batch | {"sizes": torch.tensor(sizes, dtype=torch.float32)}


def collated(
    crops: Sequence[np.ndarray], joints: np.ndarray, shape: CropShape
) -> dict[str, Tensor]:
    """Crops uint8 (H, W, 3) with joints (B, K, 3) in their pixels, as a batch."""
    labelled = joints[..., 2] > 0
    maps, weights = targets(joints[..., :2], labelled, shape)
    places = (joints[..., :2] + 0.5) / np.array(shape.size[::-1])
    inside = ((places >= 0) & (places <= 1)).all(axis=2)
    return {
        "images": torch.from_numpy(np.stack(crops)).movedim(-1, 1),
        "heatmaps": torch.from_numpy(maps),
        "places": torch.from_numpy(places.astype(np.float32)),
        "weights": torch.from_numpy(weights * inside),
    }


def varied(
    shot: Shot, shape: CropShape, bones: Skeleton, augment: Augment, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A crop uint8 (H, W, 3) and its joints (K, 3), varied at random."""
    box = shot.box
    if rng.random() < augment.half_body:
        box = half_body(shot, bones, rng)
    frame = frame_of(box, shape)
    spread = rng.uniform(-1, 1, 4)
    turn = augment.rotate * spread[0] if rng.random() < augment.rotated else 0.0
    size = frame.size * (1 + augment.scale * spread[1])
    centre = frame.centre + augment.shift * spread[2:] * box[2:]
    matrix = crop_matrix(Frame(centre, size, turn), shape)
    crop, joints = cut(shot.image, matrix, shape), _moved_joints(shot.joints, matrix)
    if rng.random() < augment.flip:
        crop, joints = mirrored(crop, joints, bones)
    if rng.random() < augment.hidden:
        crop = hidden(crop, rng)
    if rng.random() < augment.degraded:
        crop = degrade(crop, rng)
    return np.ascontiguousarray(crop), joints


def mirrored(
    crop: np.ndarray, joints: np.ndarray, bones: Skeleton
) -> tuple[np.ndarray, np.ndarray]:
    """The crop seen in a mirror, left and right joints exchanged."""
    order = np.arange(len(bones))
    for left, right in bones.pairs:
        order[[left, right]] = right, left
    other = joints[order].copy()
    other[:, 0] = crop.shape[1] - 1 - other[:, 0]
    return crop[:, ::-1], other


def half_body(shot: Shot, bones: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """A box around the upper or the lower half; the own box where too little is labelled."""
    labelled = shot.joints[:, 2] > 0
    if labelled.sum() <= MIN_HALF:
        return shot.box
    upper = np.array([any(part in label for part in UPPER) for label in bones.labels])
    half = labelled & (upper if rng.random() < 0.7 else ~upper)
    if half.sum() < 3:
        return shot.box
    points = shot.joints[half, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum((high - low) * 1.4, 16.0)
    return np.concatenate(((low + high - size) / 2, size))


def hidden(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something in front: a turned rectangle of one colour or of the crop's own texture."""
    height, width = crop.shape[:2]
    centre = rng.uniform((0, 0), (width, height))
    sides = rng.uniform(0.1, 0.35, 2) * (width, height)
    corners = cv2.boxPoints((tuple(centre), tuple(sides), float(rng.uniform(0, 180))))
    mask = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), corners.astype(np.int32), 1)
    other = np.roll(crop, rng.integers(height // 4, height // 2), axis=0)
    if rng.random() < 0.5:
        other = np.full_like(crop, rng.integers(0, 256, 3))
    return np.where(mask[..., None] > 0, other, crop)


def _moved_joints(joints: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.concatenate((moved(joints[:, :2], matrix), joints[:, 2:]), axis=1)
