"""How the bundled face detector is trained: from composed images, taught by YuNet and a face
mesh."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property, reduce

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import vitrail.training.loop
import vitrail.training.recipe
from vitrail.detection.loss import detection_losses
from vitrail.detection.matching import Matches, match, merge
from vitrail.detection.model import Config, grid
from vitrail.faces import system
from vitrail.faces.detector import read_faces
from vitrail.faces.landmarker import FaceModel
from vitrail.faces.looks import EYE_DISTANCE
from vitrail.faces.training.data import Data, Photographs, load_photographs
from vitrail.faces.training.samples import Batches
from vitrail.training.loading import Numbers, loader
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state

EPOCH = 200  # batches
VALIDATION = 8  # batches, always the same ones
LOSS_WEIGHTS = {"score": 1.0, "box": 2.0, "landmarks": 10.0, "cut_outs": 5.0}


class Model(vitrail.training.recipe.Section):
    """The network's sizes, as in ``model.Config``; ``init`` is a catalogued name or a weights file
    to start from."""

    stem: int = Config.stem
    dims: tuple[int, int, int, int] = Config.dims
    depths: tuple[int, int, int] = Config.depths
    neck: int = Config.neck
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    data: Data
    model: Model = Model()


class Task(vitrail.training.loop.Task):
    """Trains ``FaceModel``; ``val/ap`` is the average precision at IoU 0.5 on composed images of
    other people."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.config = Config(**recipe.model.model_dump(exclude={"init"}))
        self.model = FaceModel(self.config)
        if recipe.model.init:
            start = resolve(system, recipe.model.init).path
            load_into(self.model, read_state(start)[0], subject=start)
        self.matches: list[Matches] = []
        self.errors: list[Tensor] = []

    @cached_property
    def photographs(self) -> tuple[Photographs, Photographs]:
        return load_photographs(self.recipe.data)

    def train_dataloader(self) -> DataLoader:
        batches = Batches(self.photographs[0], self.recipe.optim.batch_size, self.recipe.seed)
        return loader(batches, None, workers=1, sampler=Numbers(EPOCH))

    def val_dataloader(self) -> DataLoader:
        batches = Batches(self.photographs[1], 16, seed=1, sizes=(448,))
        return loader(batches, None, workers=1, sampler=range(VALIDATION))

    @property
    def measured(self) -> Sequence[str]:
        return (
            "val/ap",
            "val/recall",
            "val/precision",
            "val/rough_landmark_error",
            "val/landmark_error",
        )

    def training_step(self, batch: dict, number: int) -> Tensor:
        images = batch["images"]
        points, strides = grid(images.shape[-2:], images.device)
        losses = detection_losses(
            self.model.finder(images.float()), points, strides, batch["labels"]
        )
        losses["cut_outs"] = F.smooth_l1_loss(*self._pointed(batch), beta=0.02)
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        loss = reduce(torch.add, (LOSS_WEIGHTS[name] * part for name, part in losses.items()))
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _pointed(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Found and true landmarks of the batch's cut-outs in eye distances."""
        return self.model.landmarker(batch["cut_outs"].float()) / EYE_DISTANCE, batch[
            "landmarks"
        ] / EYE_DISTANCE

    def validation_step(self, batch: dict, number: int) -> None:
        found, true = self._pointed(batch)
        self.errors.append((found - true).norm(dim=2).mean().cpu())
        found = self.model.finder(batch["images"].float()).float().cpu().numpy()
        for rows, labels in zip(found, batch["labels"], strict=True):
            known = {name: tensor.cpu().numpy() for name, tensor in labels.items()}
            self.matches.append(match(read_faces(rows, min_score=0.05), **known))

    def on_validation_epoch_end(self) -> None:
        matches = merge(self.matches)
        self.matches.clear()
        self.log("val/ap", matches.average_precision(), prog_bar=True)
        self.log("val/recall", matches.recall(min_score=0.5))
        self.log("val/precision", matches.precision(min_score=0.5))
        self.log("val/rough_landmark_error", matches.landmark_error())
        self.log("val/landmark_error", torch.stack(self.errors).mean())
        self.errors.clear()

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        return self.model.state_dict(), {
            "system": "faces",
            "architecture": "FaceModel",
            "config": asdict(self.config),
        }
