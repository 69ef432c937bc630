"""What is learned by a recipe: chroma at every pixel from lightness and hints."""

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.utils.data import DataLoader

import vitrail.training.loop
import vitrail.training.recipe
from image_colorize import system
from image_colorize.checkpoint import read
from image_colorize.color import CHROMA_SCALE, lab_to_rgb
from image_colorize.data import Crops, Sampling, fixed_mask, read_photographs, squashed
from image_colorize.model import build_model, huber, planes
from vitrail.training.loading import loader
from vitrail.training.recipe import Section
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into

HINTS = (0, 1, 10, 50)  # with which each validation photograph is coloured
EPOCH = 1000  # steps, where the budget does not count them
VAL_BATCH = 8


class Folder(Section):
    """Photographs directly in ``path``, of which every n-th is taken."""

    path: Path
    every: Annotated[int, Field(ge=1)] = 1


class Data(Section):
    """Folders of colour photographs; ``test`` has ``imgs`` and the hint files' ``hints``, in the
    release's layout, and is for the evaluation alone."""

    train: tuple[Folder, ...]
    val: tuple[Folder, ...]
    test: Path | None = None


class Model(Section):
    """Options of the network; ``init`` is a weights file to start from, by its name or its path."""

    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Samples(Section):
    """As ``data.Sampling`` has them. The first ``crops_until`` of the run is trained on parts of
    ``crop`` pixels, ``more`` times as many at once, the rest on the network's whole size."""

    area: Annotated[float, Field(gt=0, le=1)] = 0.08
    turned: Annotated[float, Field(ge=0, le=1)] = 0.5
    hints: Annotated[int, Field(ge=0)] = 200
    log_uniform: bool = True
    crop: Annotated[int, Field(ge=16)] = 112
    crops_until: Annotated[float, Field(ge=0, le=1)] = 0.0
    more: Annotated[int, Field(ge=1)] = 1


class Recipe(vitrail.training.recipe.Recipe):
    """``delta`` is where Huber's loss becomes linear; the paper's is 0.01."""

    data: Data
    model: Model = Model()
    samples: Samples = Samples()
    delta: Annotated[float, Field(gt=0)] = 0.01
    beside: tuple[str, ...] = ()


class Task(vitrail.training.loop.Task):
    """iColoriT on crops; validated by the mean PSNR of whole photographs at several numbers of
    hints."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.network = build_model(recipe.model.config)
        self.config = self.network.config
        if recipe.model.init:
            begun = resolve(system, recipe.model.init).path
            load_into(self.network, read(begun)[1], subject=begun)
        samples = recipe.samples
        drawn = Sampling(samples.area, samples.turned, samples.hints, samples.log_uniform)
        images = read_photographs([(one.path, one.every) for one in recipe.data.train])
        self.crops = Crops(images, self.config, drawn, recipe.seed)
        held_out = read_photographs([(one.path, one.every) for one in recipe.data.val])
        self.held_out = squashed(held_out, self.config.image_size)

    def train_dataloader(self) -> DataLoader:
        """Numbers alone: a step makes its own batch, so that a run goes on where it stopped."""
        return loader(range(self.recipe.budget.steps or EPOCH), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return loader(range(0, len(self.held_out), VAL_BATCH), batch_size=None)

    def training_step(self, batch: Any, number: int) -> Tensor:
        samples, step = self.recipe.samples, self.global_step
        size, count = self.config.image_size, self.recipe.optim.batch_size
        if step < samples.crops_until * (self.recipe.budget.steps or 0):
            size, count = samples.crop, count * samples.more
        seen, chroma, origin = self.crops.batch(step, count, size)
        loss = huber(self.network(seen, origin), chroma, self.recipe.delta)
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, start: int, number: int) -> None:
        lab = self.held_out[start : start + VAL_BATCH]
        truth = rgb_of(lab)
        found = []
        for count in HINTS:
            masks = [fixed_mask(self.config, count, start + n) for n in range(len(lab))]
            mask = torch.stack([torch.from_numpy(one) for one in masks])
            config = self.config
            seen = planes(lab, mask, average=config.average_hints, centre=config.centre_mask)
            made = torch.cat([lab[:, :1], self.network(seen)], dim=1)
            score = psnr(rgb_of(made), truth).mean()
            self.log(f"val/psnr@{count}", score, batch_size=len(lab))
            found.append(score)
        self.log("val/psnr", torch.stack(found).mean(), batch_size=len(lab))

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        metadata = {
            "system": self.recipe.system,
            "architecture": "icolorit",
            "config": vars(self.config),
        }
        return self.network.state_dict(), metadata


def rgb_of(lab: Tensor) -> Tensor:
    """Normalised Lab (B, 3, H, W) as displayed RGB (B, H, W, 3) in 0..1."""
    values = lab.movedim(1, -1).numpy().copy()
    values[..., 0] = values[..., 0] * 100 + 50
    values[..., 1:] *= CHROMA_SCALE
    return torch.from_numpy(lab_to_rgb(values).clip(0, 1))


def psnr(predicted: Tensor, truth: Tensor) -> Tensor:
    """dB of each image (B, ...) in 0..1; at most 50, as the release counts."""
    error = (predicted - truth).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-5).log10()
