"""How the bundled face detector is trained: from composed pictures, taught by YuNet and a face mesh."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property

from torch import Tensor
from torch.utils.data import DataLoader

import vitrine.recipes
import vitrine.training
from vitrine.faces.data import Data, Photographs, load_photographs
from vitrine.faces.detector import read_faces
from vitrine.faces.loss import detection_losses
from vitrine.faces.matching import match, merge
from vitrine.faces.model import Config, FaceNet, grid
from vitrine.faces.samples import Batches
from vitrine.samplers import Numbers

EPOCH = 200  # batches
VALIDATION = 16  # batches, always the same ones
LOSS_WEIGHTS = {"score": 1.0, "box": 2.0, "landmarks": 10.0}


class Model(vitrine.recipes.Section):
    """The network's sizes, as in ``model.Config``."""

    stem: int = Config.stem
    dims: tuple[int, int, int, int] = Config.dims
    depths: tuple[int, int, int] = Config.depths
    neck: int = Config.neck


class Recipe(vitrine.recipes.Recipe):
    data: Data
    model: Model = Model()


class Task(vitrine.training.Task):
    """Trains ``FaceNet``; ``val/ap`` is the average precision at IoU 0.5 on composed pictures of other people."""

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.config = Config(**recipe.model.model_dump())
        self.model = FaceNet(self.config)
        self.matches = []

    @cached_property
    def photographs(self) -> tuple[Photographs, Photographs]:
        return load_photographs(self.recipe.data)

    def train_dataloader(self) -> DataLoader:
        batches = Batches(self.photographs[0], self.recipe.optim.batch_size, self.recipe.seed)
        return _loader(batches, Numbers(EPOCH))

    def val_dataloader(self) -> DataLoader:
        return _loader(Batches(self.photographs[1], 16, seed=1, sizes=(416,)), range(VALIDATION))

    def training_step(self, batch: dict, number: int) -> Tensor:
        images = batch["images"]
        points, strides = grid(images.shape[-2:], images.device)
        losses = detection_losses(self.model(images.float()), points, strides, batch["labels"])
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        loss = sum(LOSS_WEIGHTS[name] * part for name, part in losses.items())
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: dict, number: int) -> None:
        for rows, labels in zip(self.model(batch["images"].float()).cpu(), batch["labels"], strict=True):
            known = {name: tensor.cpu().numpy() for name, tensor in labels.items()}
            self.matches.append(match(read_faces(rows, min_score=0.05), **known))

    def on_validation_epoch_end(self) -> None:
        matches = merge(self.matches)
        self.matches.clear()
        self.log("val/ap", matches.average_precision(), prog_bar=True)
        self.log("val/recall", matches.recall(min_score=0.5))
        self.log("val/precision", matches.precision(min_score=0.5))
        self.log("val/landmark_error", matches.landmark_error())

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        return self.model.state_dict(), {"system": "faces", "architecture": "FaceNet", "config": asdict(self.config)}


def _loader(batches: Batches, numbers: Iterable[int]) -> DataLoader:
    return DataLoader(batches, batch_size=None, sampler=numbers, num_workers=1, persistent_workers=True)
