"""Batches of made scenes and clips, and pictures as the job searches them."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from video_detect.data.pictures import Picture, load
from video_detect.data.scenes import Scene

STEP = 32  # sides of what is searched are multiples of it


class Maker(Protocol):
    """Makes the frames of one item of a batch."""

    def frames(
        self, size: tuple[int, int], count: int, rng: np.random.Generator
    ) -> list[Scene]: ...


class MadeBatches(Dataset):
    """Batch ``number``: ``images`` uint8 (B * frames, 3, H, W), item after item, ``boxes`` (n, 4)
    of all of them as centre and size in 0..1 with ``labels`` (n,), and ``counts``, how many each
    image has. The same number makes the same batch."""

    def __init__(
        self,
        maker: Maker,
        sizes: Sequence[tuple[int, int]],
        *,
        batch_size: int,
        frames: int = 1,
        seed: int = 0,
    ):
        self.maker, self.sizes = maker, sizes
        self.batch_size, self.frames, self.seed = batch_size, frames, seed

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, number))
        size = self.sizes[int(rng.integers(len(self.sizes)))]
        items = [self.maker.frames(size, self.frames, rng) for _ in range(self.batch_size)]
        scenes = [scene for item in items for scene in item]
        return {
            "images": stacked([scene.image for scene in scenes]),
            "boxes": torch.from_numpy(np.concatenate([relative(scene) for scene in scenes])),
            "labels": torch.from_numpy(np.concatenate([scene.labels for scene in scenes])),
            "counts": [len(scene.boxes) for scene in scenes],
        }


class Fitted(Dataset):
    """Each picture as the job searches it, with its true boxes as corners in 0..1, kept."""

    def __init__(self, pictures: Sequence[Picture], side: int):
        self.pictures, self.side = pictures, side
        self.kept: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number not in self.kept:
            picture = self.pictures[number]
            image = load(picture.path)
            size = np.tile(image.shape[1::-1], 2)
            truth = (picture.boxes / size, picture.labels)
            self.kept[number] = {"images": stacked([fitted(image, self.side)]), "truth": truth}
        return self.kept[number]


def stacked(images: list[np.ndarray]) -> Tensor:
    """(H, W, 3) each to (B, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2)))


def relative(scene: Scene) -> np.ndarray:
    """Boxes as centre and size in 0..1, float32."""
    height, width = scene.image.shape[:2]
    boxes = scene.boxes / np.array((width, height, width, height), np.float32)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return np.concatenate((centres, sides), 1).astype(np.float32)


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """The image with its longer side at ``side``, both multiples of ``STEP``: stretched a little,
    since boxes are relative."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = [max(STEP, round(length * scale / STEP) * STEP) for length in (width, height)]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=kind)
