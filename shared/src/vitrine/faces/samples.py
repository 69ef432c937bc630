"""Endless composed pictures as batches for training, and a fixed set for validation."""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vitrine.faces.augment import degrade
from vitrine.faces.compose import Composer
from vitrine.faces.data import Photographs, Scene

SIZES = (256, 320, 416, 640)  # pixels; larger faces need larger pictures
USUAL_SIZE = 320


class Batches(Dataset):
    """Batch ``number`` is composed from the seed and that number alone, so a run can be continued or repeated.

    It is a dict: ``images`` uint8 (B, 3, S, S), and ``labels``, for each picture its ``boxes`` (n, 4), ``landmarks``
    (n, 5, 2) and ``unsure`` (m, 4). The side S is drawn from ``sizes``; a batch has as many pixels as ``batch_size``
    pictures of the usual side.
    """

    def __init__(self, photographs: Photographs, batch_size: int, seed: int, sizes: tuple[int, ...] = SIZES):
        cv2.setNumThreads(1)  # its threads would not survive the fork into the loader's process
        self.compose = Composer(photographs)
        self.batch_size, self.seed, self.sizes = batch_size, seed, sizes

    def __getitem__(self, number: int) -> dict[str, Tensor | list[dict[str, Tensor]]]:
        rng = np.random.default_rng((self.seed, number))
        size = int(rng.choice(self.sizes))
        scenes = [self.compose(size, rng) for _ in range(max(self.batch_size * USUAL_SIZE**2 // size**2, 2))]
        images = np.stack([degrade(scene.image, rng) for scene in scenes])
        return {"images": torch.from_numpy(images).movedim(-1, 1), "labels": [_labels(scene) for scene in scenes]}


def _labels(scene: Scene) -> dict[str, Tensor]:
    return {name: torch.from_numpy(getattr(scene, name)).float() for name in ("boxes", "landmarks", "unsure")}
