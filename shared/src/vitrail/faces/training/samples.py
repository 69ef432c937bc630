"""Endless composed images as batches for training, and a fixed set for validation."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vitrail.faces.align import alignment, move_landmarks, warp_image
from vitrail.faces.looks import SIDE
from vitrail.faces.training.augment import degrade, low_resolution
from vitrail.faces.training.canvas import similarity
from vitrail.faces.training.compose import Composer
from vitrail.faces.training.data import Photographs, Scene

SIZES = (256, 320, 448, 640)  # pixels; larger faces need larger images
USUAL_SIZE = 320
CUT_OUTS = 96  # in a batch


class Batches(Dataset):
    """Batch ``number`` is composed from the seed and that number alone, so a run can be continued
    or repeated.

    It is a dict: ``images`` uint8 (B, 3, S, S), and ``labels``, for each image its ``boxes`` (n,
    4), ``landmarks`` (n, 5, 2) and ``unsure`` (m, 4). The side S is drawn from ``sizes``; a batch
    has as many pixels as ``batch_size`` images of the usual side. ``cut_outs`` uint8 (96, 3, 80,
    80) with ``landmarks`` (96, 5, 2) are single faces.
    """

    def __init__(
        self, photographs: Photographs, batch_size: int, seed: int, sizes: tuple[int, ...] = SIZES
    ):
        self.compose = Composer(photographs)
        self.portraits = photographs.portraits
        self.batch_size, self.seed, self.sizes = batch_size, seed, sizes

    def __getitem__(self, number: int) -> dict[str, Tensor | list[dict[str, Tensor]]]:
        rng = np.random.default_rng((self.seed, number))
        size = int(rng.choice(self.sizes))
        scenes = [
            self.compose(size, rng)
            for _ in range(max(self.batch_size * USUAL_SIZE**2 // size**2, 2))
        ]
        images = np.stack([degrade(scene.image, rng) for scene in scenes])
        cut_outs, landmarks = zip(*(self._cut_out(rng) for _ in range(CUT_OUTS)), strict=True)
        return {
            "images": torch.from_numpy(images).movedim(-1, 1),
            "labels": [_labels(scene) for scene in scenes],
            "cut_outs": torch.from_numpy(np.stack(cut_outs)).movedim(-1, 1),
            "landmarks": torch.from_numpy(np.stack(landmarks)),
        }

    def _cut_out(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A face as it is cut out by landmarks that are off, uint8 RGB (80, 80, 3), and its true
        landmarks (5, 2)."""
        portrait = self.portraits[rng.integers(len(self.portraits))]
        middle = np.full(2, SIDE / 2)
        shift = rng.normal(0, 0.04 * SIDE, 2)
        off = similarity(
            middle,
            middle + shift,
            np.exp(rng.normal(0, 0.12)),
            rng.normal(0, 12),
            rng.random() < 0.5,
        )
        matrix = off @ np.concatenate((alignment(portrait.landmarks[0], SIDE), [[0, 0, 1]]))
        image = warp_image(portrait.image, matrix, (SIDE, SIDE))
        return degrade(low_resolution(image, rng), rng), move_landmarks(
            portrait.landmarks[:1], matrix
        )[0]


def _labels(scene: Scene) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(getattr(scene, name)).float()
        for name in ("boxes", "landmarks", "unsure")
    }
