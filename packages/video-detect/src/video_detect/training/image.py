"""Stage one: the image detector in TGBFormer, on made scenes; the backbone keeps ImageNet's
features."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

import vitrail.training.loop
from video_detect import system
from video_detect.classes import NAMES
from video_detect.data.batches import SceneBatches, stacked
from video_detect.data.pictures import (
    Picture,
    cut_outs,
    load,
    read_film,
    read_pictures,
    split_pictures,
)
from video_detect.data.scenes import SceneMaker
from video_detect.measure.precision import Judged, average_precision
from video_detect.models import Config, TGBFormer
from video_detect.models.detector import Found
from video_detect.training.backbone import MEAN, STD, fill_backbone, frozen_engine
from video_detect.training.losses import Target, corners, total_loss
from video_detect.training.recipe import Data, Recipe
from vitrail.cache import cache_folder
from vitrail.training.loading import Numbers, loader
from vitrail.weights.header import as_dataclass

SIDE = 320  # pixels of the longer side of what is searched
STEP = 32  # sides are multiples of it
MADE = 3  # raised when made pictures change: what is kept of them is then made anew


class ImageTask(vitrail.training.loop.Task):
    """``val/any`` is AP50 without classes, ``val/ap`` with them, on pictures kept out."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.network = TGBFormer(config_of(recipe.model.config))
        fill_backbone(self.network)
        self.network.requires_grad_(False)
        for part in (self.network.project, self.network.encoder, self.network.decoder):
            part.requires_grad_(True)
        self.judged: list[Judged] = []

    @property
    def measured(self) -> Sequence[str]:
        return "val/any", "val/ap"

    @cached_property
    def engine(self) -> Any:
        return frozen_engine(self.network, self.recipe.data.sizes[0])

    def train_dataloader(self) -> DataLoader:
        recipe = self.recipe
        batches = SceneBatches(
            scene_maker(recipe.data),
            self.engine,
            kept_folder(recipe, "scenes"),
            count=recipe.data.batches,
            batch_size=recipe.optim.batch_size,
            sizes=recipe.data.sizes,
            seed=recipe.seed,
        )
        return loader(batches, None, sampler=Numbers(recipe.data.batches))

    def val_dataloader(self) -> DataLoader:
        pictures = parts_of(self.recipe.data)[1]
        return loader(ValPictures(pictures, self.engine), None)

    def training_step(self, batch: dict, number: int) -> Tensor:
        found = self._find(batch["maps"])
        targets = [Target(*one) for one in zip(batch["boxes"], batch["labels"], strict=True)]
        loss = total_loss(found, targets)
        self.log("train/loss", loss.detach())
        return loss

    def _find(self, maps: list[Tensor]) -> Found:
        return self.network.decoder(self.network.encode(maps))

    def validation_step(self, batch: dict, number: int) -> None:
        found = self._find(batch["maps"])
        truth = (part.cpu().numpy() for part in batch["truth"])
        self.judged.append(judged(found.logits[-1, 0], found.boxes[-1, 0], *truth))

    def on_validation_epoch_end(self) -> None:
        self.log("val/any", average_precision(self.judged, by_class=False))
        self.log("val/ap", average_precision(self.judged))
        self.judged.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.network.state_dict(), metadata(self.network.config, "image")


class ValPictures(torch.utils.data.Dataset):
    """Each picture as the job searches it: the backbone's maps, kept; the true boxes and labels."""

    def __init__(self, pictures: Sequence[Picture], engine: Any):
        self.pictures, self.engine = pictures, engine
        self.kept: dict[int, dict] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number not in self.kept:
            picture = self.pictures[number]
            image = fitted(load(picture.path))
            maps = [torch.from_numpy(part) for part in self.engine(stacked([image]))]
            size = np.tile(load(picture.path).shape[1::-1], 2)
            truth = (torch.from_numpy(picture.boxes / size), torch.from_numpy(picture.labels))
            self.kept[number] = {"maps": maps, "truth": truth}
        return self.kept[number]


def judged(logits: Tensor, boxes: Tensor, truth: np.ndarray, labels: np.ndarray) -> Judged:
    """One image's (Q, classes) and (Q, 4) as average precision takes it, everything in 0..1."""
    scores, best = logits.float().sigmoid().max(-1)
    found = corners(boxes.float()).cpu().numpy()
    return Judged(found, scores.cpu().numpy(), best.cpu().numpy(), truth, labels)


def fitted(image: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The image with its longer side at ``side``, both multiples of ``STEP``: stretched a little,
    since boxes are relative."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = [max(STEP, round(length * scale / STEP) * STEP) for length in (width, height)]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=kind)


def config_of(options: dict[str, Any]) -> Config:
    return as_dataclass(Config, options)


def parts_of(data: Data) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """Training, validation and test pictures."""
    return split_pictures(read_pictures(data.coco), data.test, data.val)


def scene_maker(data: Data) -> SceneMaker:
    train = parts_of(data)[0]
    films = [frame for name, label in data.films.items() if data.film_folder
             for frame in read_film(data.film_folder / name, label)]  # fmt: skip
    return SceneMaker(train, films, cut_outs(train))


def kept_folder(recipe: Recipe, kind: str, start: str = "") -> Path:
    """Where the made data of this recipe are kept: by all that shapes them, the checksum of the
    weights that saw them too."""
    data = recipe.data.model_dump_json(exclude={"coco", "film_folder", "test_films"})
    facts = (MADE, kind, data, recipe.seed, recipe.optim.batch_size, start)
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return cache_folder("video-detect") / key


def metadata(config: Config, stage: str) -> dict[str, Any]:
    return {
        "system": system.name,
        "architecture": "tgbformer",
        "config": asdict(config),
        "stage": stage,
        "labels": list(NAMES),
        "side": SIDE,
        "mean": list(MEAN),
        "std": list(STD),
    }
