"""How the networks are trained: on windows of labelled cases, by Dice and cross-entropy on every
decoder stage."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.losses import DeepSupervisionLoss, DiceCELoss, DiceFocalLoss, DiceLoss
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import DataLoader

import vitrail.training.loop
import vitrail.training.recipe
from medical_segment.augment import Augment, Augmentation
from medical_segment.data import Cuttings, Samples, check_labels, prepared
from medical_segment.familiar import figures, ranges
from medical_segment.files.finding import Case
from medical_segment.files.layouts import Collection, LabelledCase, read_collection, split
from medical_segment.job import SegmentationJob
from medical_segment.models import build_model
from medical_segment.networks import CODE, SegmentationNetwork
from medical_segment.plan import CONVENTIONS, Plan
from medical_segment.planner import make_plan, shape_network
from vitrail.errors import InputError
from vitrail.training.loading import loader
from vitrail.training.recipe import Section
from vitrail.weights.files import load_into, read_state

SEEN_CASES = 16  # of the training cases, which tell what a case is like
FIT_CASES = 4  # of the training cases, on which val/fit is measured
OVERLAP = 0.25  # of the windows in validation; the job and the evaluation take more
MOMENTUM = 0.99


class Data(Section):
    """A folder in nnU-Net's or the Decathlon's layout, or images with instances.

    ``split`` is a JSON file with the names under ``train`` and ``test``; without it all cases are
    for training. Of the training cases ``val_share`` validates, every n-th by name. With 0 all are
    trained on, and what remains to monitor is ``val/fit``, the Dice on training cases as they are:
    in effect the last weights are kept. ``cache`` keeps prepared cases in the memory, or on the
    disk for the next run too. ``regions`` trains on the overlapping brain tumour regions of label
    maps whose numbers follow that convention.
    """

    path: Path
    split: Path | None = None
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    cache: Literal["memory", "disk"] = "memory"
    regions: Literal["decathlon", "brats", "brats2023"] | None = None


class Planned(Section):
    """What the planner is not to choose: ``patch`` in voxels, ``spacing`` in mm, normalisation and
    orientation."""

    patch: tuple[int, ...] | None = None
    spacing: tuple[float, ...] | None = None
    normalisation: str | None = None
    orientation: str | None = None
    intensity: tuple[float, float, float, float] | None = None


class Model(Section):
    """The architecture, and options over the planned ones; ``init`` is a weight file to start
    from."""

    architecture: Literal["segformer3d", "xlstm-unet", "unet"]
    config: dict[str, Any] = Field(default_factory=dict)
    init: str | None = None


class Recipe(vitrail.training.recipe.Recipe):
    """``optimizer``: AdamW, or nnU-Net's SGD with Nesterov momentum. ``windows_per_case``: how many
    windows of each case an epoch holds. For the evaluation: ``tolerance``, the mm within which NSD
    counts a surface as right; ``surface``, how surfaces are counted (``scores.overlap``);
    ``mirror``, whether views are mirrored too; ``beside``, the names of networks to measure on the
    same cases."""

    data: Data
    plan: Planned = Planned()
    model: Model
    augment: Augment = Augment()
    loss: Literal["dice_ce", "dice_focal", "dice"] = "dice_ce"
    optimizer: Literal["adamw", "sgd"] = "adamw"
    windows_per_case: Annotated[int, Field(ge=1)] = 1
    tolerance: Annotated[float, Field(gt=0)] = 1.0
    surface: Literal["elements", "voxels"] = "elements"
    mirror: bool = False
    beside: tuple[str, ...] = ()


class Task(vitrail.training.loop.Task):
    """A segmentation network on windows; validated on whole cases by the mean Dice of the
    foreground."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.collection = collection_of(recipe.data)
        self.train_cases, self.val_cases = training_cases(recipe, self.collection)
        self.plan = plan_for(recipe, self.collection, self.train_cases)
        self.config = shape_network(recipe.model.architecture, self.plan) | recipe.model.config
        self.network = build_model(recipe.model.architecture, self.config)
        if recipe.model.init:
            load_into(self.network, read_state(recipe.model.init)[0], subject=recipe.model.init)
        self.loss = segmentation_loss(recipe.loss, self.plan)

    @property
    def measured(self) -> Sequence[str]:
        return ("val/dice",) if self.val_cases else ("val/fit",)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        if self.recipe.optimizer == "adamw":
            return super().configure_optimizers()
        optim = self.recipe.optim
        return torch.optim.SGD(
            self.parameters(), optim.lr, MOMENTUM, weight_decay=optim.weight_decay, nesterov=True
        )

    @cached_property
    def samples(self) -> tuple[Samples, Samples]:
        """Prepared training and validation cases."""
        cases = [self.train_cases, self.val_cases]
        train, val = (
            prepared(part, self.collection, self.plan, self.recipe.data.cache) for part in cases
        )
        check_labels(train, self.train_cases, known_numbers(self.collection))
        # Where everything is trained on, the fit on a few of the cases is all there is to watch.
        if not self.val_cases:
            every = max(1, len(train) // FIT_CASES)
            return train, [train[n] for n in range(0, len(train), every)][:FIT_CASES]
        return train, val

    def train_dataloader(self) -> DataLoader:
        windows = Cuttings(
            self.samples[0],
            Augmentation(self.plan, self.recipe.augment),
            self.recipe.windows_per_case,
        )
        # drop_last keeps batch statistics alike, and must not drop a small set's only batch.
        size = min(self.recipe.optim.batch_size, len(windows))
        return loader(windows, size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return loader(self.samples[1], batch_size=None, collate_fn=lambda sample: sample)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        image, label = batch
        loss = self.loss(as_list(self.network(image)), targets(label, self.collection))
        self.log("train/loss", loss.detach())
        return loss

    def validation_step(self, sample: dict[str, Tensor], number: int) -> None:
        image = torch.as_tensor(sample["image"])[None]
        logits = sliding_window_inference(
            image, self.plan.patch, 4, self.network, overlap=OVERLAP, mode="gaussian"
        )
        assert isinstance(logits, Tensor)
        masks = [
            decided(logits, self.plan),
            targets(sample["label"][None].long(), self.collection).bool(),
        ]
        found = mean_dice(*(foreground(mask, self.plan) for mask in masks))
        self.log("val/dice" if self.val_cases else "val/fit", found, batch_size=1)

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        metadata = {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": self.config,
            "plan": self.plan.to_dict(),
            "seen": self._seen(),
        }
        return self.network.state_dict(), metadata

    def _seen(self) -> dict[str, list[list[float]]]:
        """What training cases are like, and what the network says of them."""
        every = max(1, len(self.train_cases) // SEEN_CASES)
        example = np.zeros((2, len(self.plan.channels), *self.plan.patch), np.float32)
        network = SegmentationNetwork(
            self.recipe.name, self.network.eval, example, None, CODE, plan=self.plan
        )
        job = SegmentationJob([network], engine="eager", device="cpu")
        cases = [Case.of_inputs(c.name, c.images) for c in self.train_cases[::every]]
        return ranges(figures(job.predict(case)) for case in cases[:SEEN_CASES])


def collection_of(data: Data) -> Collection:
    """The folder's cases, with the recipe's regions if it names any."""
    collection = read_collection(data.path)
    if data.regions is None:
        return collection
    convention = CONVENTIONS[data.regions]
    more = {"labels": tuple(convention.regions), "regions": convention.regions}
    return replace(collection, **more, values=convention.values, order=convention.order)


def training_cases(
    recipe: Recipe, collection: Collection
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """What is trained on and what validates; cases of the test are in neither. InputError where
    nothing is left."""
    cases = list(collection.cases)
    if recipe.data.split:
        cases, _ = split(cases, recipe.data.split)
    # Every n-th by name, which needs no seed and stays the same when cases are added.
    every = round(1 / recipe.data.val_share) if recipe.data.val_share else len(cases) + 1
    train = [case for number, case in enumerate(cases, start=1) if number % every]
    if not train:
        raise InputError(
            recipe.data.path, "leaves no case to train on", "lower data.val_share or add cases"
        )
    return train, [case for number, case in enumerate(cases, start=1) if not number % every]


def plan_for(recipe: Recipe, collection: Collection, cases: Sequence[LabelledCase]) -> Plan:
    """The plan from the training cases alone, with what the recipe settles."""
    return make_plan(
        replace(collection, cases=tuple(cases)), recipe.plan.model_dump(exclude_none=True)
    )


def known_numbers(collection: Collection) -> set[int]:
    """The numbers that label maps may hold."""
    if collection.regions:
        return {0, *(number for numbers in collection.regions.values() for number in numbers)}
    return set(range(len(collection.labels)))


def targets(label: Tensor, collection: Collection) -> Tensor:
    """Label maps (B, 1, spatial…) of numbers -> masks (B, K, spatial…), float: one hot, or the
    overlapping regions."""
    if collection.regions:
        masks = [
            torch.isin(label, torch.tensor(numbers, device=label.device))
            for numbers in collection.regions.values()
        ]
        return torch.cat(masks, dim=1).float()
    return nn.functional.one_hot(label[:, 0], len(collection.labels)).movedim(-1, 1).float()


def segmentation_loss(name: str, plan: Plan) -> nn.Module:
    """MONAI's loss over a list of logits, the finest first: weights 1, 1/2, 1/4, … and none for the
    coarsest."""
    exclusive = plan.activation == "softmax"
    options: dict[str, Any] = {
        "include_background": not exclusive,
        "softmax": exclusive,
        "sigmoid": not exclusive,
        # Over the whole batch, since many a window holds none of a small structure.
        "batch": True,
    }
    if name == "dice_ce":
        return OverStages(DiceCELoss(**options) if exclusive else DiceBCELoss(DiceLoss(**options)))
    return OverStages({"dice_focal": DiceFocalLoss, "dice": DiceLoss}[name](**options))


class DiceBCELoss(nn.Module):
    """Dice and binary cross-entropy, for regions that overlap (nnU-Net's; MONAI's DiceCE takes them
    for exclusive)."""

    def __init__(self, dice: DiceLoss):
        super().__init__()
        self.dice = dice

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Both (B, K, spatial…)."""
        return self.dice(logits, target) + nn.functional.binary_cross_entropy_with_logits(
            logits, target
        )


class OverStages(nn.Module):
    """A loss over the logits of several decoder stages: each half the weight of the finer one, the
    coarsest none."""

    def __init__(self, loss: nn.Module):
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Sequence[Tensor], target: Tensor) -> Tensor:
        """Lists of logits (B, K, …) and the masks at full size; the masks are shrunk by nearest
        neighbours."""
        # The coarsest stage sees too little to be told off for it (nnU-Net's rule).
        counted = outputs[:-1] if len(outputs) > 1 else outputs
        shares = [0.5**stage for stage in range(len(counted))]
        weights = [share / sum(shares) for share in shares]
        # MONAI asks for torch's own class of losses, and only calls it.
        weighted = DeepSupervisionLoss(self.loss, weights=weights)  # pyright: ignore[reportArgumentType]
        return weighted([output.float() for output in counted], target)


def as_list(outputs: Tensor | list[Tensor]) -> list[Tensor]:
    return outputs if isinstance(outputs, list) else [outputs]


def decided(logits: Tensor, plan: Plan) -> Tensor:
    """Logits (B, K, spatial…) -> masks of the same shape: the largest, or all above one half."""
    if plan.activation == "sigmoid":
        return logits > 0
    return nn.functional.one_hot(logits.argmax(1), logits.shape[1]).movedim(-1, 1).bool()


def foreground(masks: Tensor, plan: Plan) -> Tensor:
    """Of masks (B, K, spatial…) those that are scored: no background; of cells, interior and
    boundary as one."""
    if plan.activation == "sigmoid":
        return masks
    return masks[:, 1:].any(1, keepdim=True) if plan.instances else masks[:, 1:]


def mean_dice(masks: Tensor, truth: Tensor) -> Tensor:
    """Of masks (B, K, spatial…) the mean over B and K; 1 where both are empty."""
    masks, truth = masks.flatten(2).double(), truth.flatten(2).double()
    both = masks.sum(-1) + truth.sum(-1)
    return torch.where(both > 0, 2 * (masks * truth).sum(-1) / both.clamp(min=1), 1.0).mean()
