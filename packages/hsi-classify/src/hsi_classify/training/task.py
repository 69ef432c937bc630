"""Training on a scene with many labels, for scenes of its sensor."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import vitrail.training.loop
from hsi_classify.checkpoint import describe, read_checkpoint
from hsi_classify.data import Labelled, LabelledScene, held_out
from hsi_classify.fit.network import changed, start_from
from hsi_classify.models import build_model
from hsi_classify.onbase import apart, base_of
from hsi_classify.training.adapting import adapt, swing
from hsi_classify.training.recipe import Recipe
from vitrail.errors import UsageError
from vitrail.training.loading import loader
from vitrail.training.lora import merged


class Task(vitrail.training.loop.Task):
    """A classifier of patches, validated on pixels of the same scene that it does not learn
    from."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        assert isinstance(recipe.data, Labelled)
        self.data = recipe.data
        self.scene = LabelledScene.of(recipe.data, recipe.preset)
        if recipe.per_patch is not None:
            preset = replace(self.scene.preset, per_patch=recipe.per_patch)
            self.scene = replace(self.scene, preset=preset)
        self.split = self.scene.split(recipe.data)
        self.labels = self.scene.kept(self.split)
        preset = self.scene.preset
        self.config = {
            **preset.config,
            "components": self.scene.look.components.axes.shape[1],
            "num_classes": len(self.labels.classes),
        }
        how = recipe.adapters
        if how and preset.architecture != "specvit":
            raise UsageError("adapters", f"{recipe.preset} has none", "leave them out")
        if how and how.kind == "gated":
            self.config |= {"rank": how.rank, "alpha": how.alpha}
        self.network = build_model(preset.architecture, self.config)
        if recipe.start:
            state = read_checkpoint(recipe.start).state
            unused = start_from(self.network, state)
            if any(not name.startswith("head.") for name in unused):
                problem = f"{len(unused)} of {len(state)} tensors do not fit: {unused[0]}"
                raise UsageError("start", problem, "take weights of the same preset")
        elif how and how.apart:
            raise UsageError("adapters.apart", "has nothing to go on", "name a base in 'start'")
        if how:
            adapt(self.network, how)

    @cached_property
    def samples(self) -> tuple[TensorDataset, TensorDataset]:
        """Patches and targets that are learned from, and those that validate."""
        parts = held_out(self.split, self.labels.ids, self.data.val_share)
        train, val = (
            TensorDataset(*map(torch.from_numpy, self.scene.samples(part, self.labels)))
            for part in parts
        )
        return train, val

    def train_dataloader(self) -> DataLoader:
        size = min(self.recipe.optim.batch_size, len(self.samples[0]))
        return loader(self.samples[0], size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return loader(self.samples[1], self.recipe.optim.batch_size)

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        patches, targets = batch
        preset, how = self.scene.preset, self.recipe.adapters
        if how:
            swing(self.network, how, how.scale(self.global_step))
        # By the step, so that a run that was stopped goes on as it would have.
        rng = np.random.default_rng([self.recipe.seed, self.global_step])
        logits = self.network(changed(patches, preset, rng))
        loss = cross_entropy(logits, targets, label_smoothing=preset.smoothing)
        self.log("train/loss", loss.detach())
        return loss

    def on_validation_start(self) -> None:
        if self.recipe.adapters:
            swing(self.network, self.recipe.adapters, 1.0)

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        logits = self.network(batch[0])
        right = (logits.argmax(1) == batch[1]).float().mean()
        loss = cross_entropy(logits, batch[1])
        self.log_dict({"val/accuracy": right, "val/loss": loss}, batch_size=len(batch[0]))

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        preset = self.scene.preset
        metadata = describe(
            self.scene.scene,
            self.labels,
            self.scene.look.components,
            architecture=preset.architecture,
            config=self.config,
            per_patch=preset.per_patch,
        )
        how, start = self.recipe.adapters, self.recipe.start
        if how and how.apart:
            assert start is not None
            on = {"on": base_of(start, how.alpha / how.rank)}
            return apart(self.network), {**metadata, **on}
        if how and how.kind == "lora":
            swing(self.network, how, 1.0)
            return merged(self.network).state_dict(), metadata
        return self.network.state_dict(), metadata
