"""Stage one: the image detector in TGBFormer, on made scenes, on top of ImageNet's features."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from video_detect import system
from video_detect.classes import NAMES
from video_detect.data.batches import Fitted, MadeBatches
from video_detect.data.pictures import (
    Picture,
    cut_outs,
    read_film,
    read_more,
    read_pictures,
    split_pictures,
)
from video_detect.data.scenes import SceneMaker
from video_detect.measure.precision import Judged, average_precision
from video_detect.models import Config, TGBFormer
from video_detect.training.averaged import AveragedTask
from video_detect.training.backbone import MEAN, STD, fill_backbone, frozen_parts
from video_detect.training.losses import Targets, corners, total_loss
from video_detect.training.recipe import Data, Recipe
from vitrail.training.loading import Numbers, loader
from vitrail.weights.header import as_dataclass

SIDE = 384  # pixels of the longer side of what is searched


class ImageTask(AveragedTask):
    """``val/any`` is AP50 without classes, ``val/ap`` with them, on pictures kept out."""

    def __init__(self, recipe: Recipe):
        network = TGBFormer(as_dataclass(Config, recipe.model.config))
        fill_backbone(network)
        network.requires_grad_(False)
        for part in (network.backbone, network.project, network.encoder, network.decoder):
            part.requires_grad_(True)
        for part in frozen_parts(network):
            part.requires_grad_(False)
        super().__init__(recipe, network)
        self.judged: list[Judged] = []

    @property
    def measured(self) -> Sequence[str]:
        return "val/any", "val/ap"

    def train_dataloader(self) -> DataLoader:
        data = self.recipe.data
        size, seed = self.recipe.optim.batch_size, self.recipe.seed
        batches = MadeBatches(scene_maker(data), data.sizes, batch_size=size, seed=seed)
        return loader(batches, None, workers=data.workers, sampler=Numbers(data.batches))

    def val_dataloader(self) -> DataLoader:
        return loader(Fitted(parts_of(self.recipe.data)[1], SIDE), None)

    def training_step(self, batch: dict, number: int) -> Tensor:
        found = self.network.find(self.network.remember(self.normalised(batch["images"])))
        loss = total_loss(found, Targets.of(batch["boxes"], batch["labels"], batch["counts"]))
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, batch: dict, number: int) -> None:
        found = self.averaged.find(self.averaged.remember(self.normalised(batch["images"])))
        truth = (part.cpu().numpy() for part in batch["truth"])
        self.judged.append(judged(found.logits[-1, 0], found.boxes[-1, 0], *truth))

    def on_validation_epoch_end(self) -> None:
        self.log("val/any", average_precision(self.judged, by_class=False))
        self.log("val/ap", average_precision(self.judged))
        self.judged.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.averaged.state_dict(), metadata(self.network.config, "image")


def judged(logits: Tensor, boxes: Tensor, truth: np.ndarray, labels: np.ndarray) -> Judged:
    """One image's (Q, classes) and (Q, 4) as average precision takes it, everything in 0..1."""
    scores, best = logits.float().sigmoid().max(-1)
    found = corners(boxes.float()).cpu().numpy()
    return Judged(found, scores.cpu().numpy(), best.cpu().numpy(), truth, labels)


def parts_of(data: Data) -> tuple[list[Picture], list[Picture], list[Picture]]:
    """Training, validation and test pictures."""
    return split_pictures(read_pictures(data.coco), data.test, data.val)


def scene_maker(data: Data) -> SceneMaker:
    train = [*parts_of(data)[0], *(read_more(data.more) if data.more else ())]
    films = [frame for name, label in data.films.items() if data.film_folder
             for frame in read_film(data.film_folder / name, label)]  # fmt: skip
    return SceneMaker(train, films, cut_outs(train))


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
