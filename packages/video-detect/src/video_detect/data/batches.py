"""Batches of made scenes, as the frozen part of the network sees them: computed once, then read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from video_detect.data.scenes import Scene, SceneMaker
from vitrail.output import atomic_file

Maps = list[np.ndarray]
Compute = Callable[[np.ndarray], Any]


class SceneBatches(Dataset):
    """Batch ``number`` (counted round after ``count``): ``maps`` float32 (B, C, h, w) of the
    backbone, ``boxes`` (n, 4) as centre and size in 0..1 and ``labels`` of each image."""

    def __init__(
        self,
        maker: SceneMaker,
        compute: Compute,
        folder: Path,
        *,
        count: int,
        batch_size: int,
        sizes: tuple[tuple[int, int], ...],
        seed: int,
    ):
        self.maker, self.compute, self.folder = maker, compute, folder
        self.count, self.batch_size, self.sizes, self.seed = count, batch_size, sizes, seed

    def __getitem__(self, number: int) -> dict[str, Any]:
        path = self.folder / f"{number % self.count:05d}.npz"
        if not path.exists():
            save(path, *self._make(number % self.count))
        return read(path)

    def _make(self, number: int) -> tuple[Maps, list[np.ndarray], list[np.ndarray]]:
        rng = np.random.default_rng((self.seed, number))
        size = self.sizes[rng.integers(len(self.sizes))]
        scenes = [self.maker.make(size, rng) for _ in range(self.batch_size)]
        maps = self.compute(stacked([scene.image for scene in scenes]))
        return list(maps), [relative(scene) for scene in scenes], [s.labels for s in scenes]


def stacked(images: list[np.ndarray]) -> np.ndarray:
    """uint8 (H, W, 3) each to float32 (B, 3, H, W)."""
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32)


def relative(scene: Scene) -> np.ndarray:
    """Boxes as centre and size in 0..1."""
    height, width = scene.image.shape[:2]
    boxes = scene.boxes / np.array((width, height, width, height), np.float32)
    return np.concatenate(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]), 1)


def save(path: Path, maps: Maps, boxes: list[np.ndarray], labels: list[np.ndarray]) -> None:
    counts = np.array([len(own) for own in boxes])
    arrays: dict[str, Any] = {f"map{n}": part.astype(np.float16) for n, part in enumerate(maps)}
    arrays |= {"boxes": np.concatenate(boxes), "labels": np.concatenate(labels), "counts": counts}
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read(path: Path) -> dict[str, Any]:
    with np.load(path) as stored:
        maps = [torch.from_numpy(stored[name]).float() for name in stored if name[:3] == "map"]
        cuts = stored["counts"].cumsum()[:-1]
        boxes = [torch.from_numpy(part).float() for part in np.split(stored["boxes"], cuts)]
        labels = [torch.from_numpy(part).long() for part in np.split(stored["labels"], cuts)]
    return {"maps": maps, "boxes": boxes, "labels": labels}
