"""How the network learns from labelled pairs."""

import sys
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import vitrail.training.loop
from change_detect.data import Pair, find_pairs, tiles
from change_detect.measure.scores import Curve
from change_detect.training.crops import Crops, as_tensors
from change_detect.training.loss import bce_dice
from change_detect.training.recipe import Data, Recipe
from change_detect.training.starts import freeze, network_of, trunk_of
from vitrail.errors import InputError
from vitrail.training.loading import Numbers, loader

VAL_SIDE = 128
VAL_BATCH = 8
VAL_SHARE = 0.2
PAPER_BETAS = (0.9, 0.99)


class NetworkTask(vitrail.training.loop.Task):
    """A recipe's network, the pairs that it names, and the optimiser."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.network: nn.Module = network_of(recipe)
        self.trunk = [trunk_of(self.network)] if recipe.frozen else []  # in a list: no submodule
        for trunk in filter(None, self.trunk):
            freeze(trunk, recipe.frozen)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for trunk in filter(None, self.trunk):
            for module in trunk.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    @cached_property
    def pairs(self) -> tuple[list[Pair], list[Pair]]:
        return divide(self.recipe.data)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optim = self.recipe.optim
        if self.recipe.optimizer == "adam":
            return torch.optim.Adam(
                [one for one in self.parameters() if one.requires_grad],
                lr=optim.lr,
                betas=PAPER_BETAS,
                weight_decay=optim.weight_decay,
            )
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, one in self.named_parameters():
            if one.requires_grad:
                started = ".encoder.detail." in name or ".encoder.stages." in name
                groups.setdefault((started, one.ndim > 1), []).append(one)
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": optim.lr * (self.recipe.detail_lr if started else 1.0),
                    "weight_decay": optim.weight_decay if is_matrix else 0.0,
                }
                for (started, is_matrix), parameters in groups.items()
            ]
        )

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """For ``model.init`` of another recipe; without a threshold the job does not take it."""
        model = self.recipe.model
        metadata = {
            "system": self.recipe.system,
            "architecture": model.architecture,
            "config": model.config,
        }
        return self.network.state_dict(), metadata


class Task(NetworkTask):
    """Cross-entropy and overlap on crops; ``val/f1`` is that of the best threshold on whole
    validation tiles, which is kept with the weights."""

    threshold: Tensor

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.register_buffer("threshold", torch.tensor(0.5))
        self.curve = Curve()

    def train_dataloader(self) -> DataLoader:
        optim, data = self.recipe.optim, self.recipe.data
        count = self.recipe.epoch * optim.batch_size
        crops = Crops(self.pairs[0], data.side, count, self.recipe.augment, self.recipe.seed)
        return loader(crops, optim.batch_size, sampler=Numbers(count), drop_last=True)

    def val_dataloader(self) -> DataLoader:
        parts = [as_tensors(*tile) for pair in self.pairs[1] for tile in tiles(pair, VAL_SIDE)]
        return loader(parts, VAL_BATCH)  # pyright: ignore[reportArgumentType] - a list is a dataset

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> Tensor:
        before, after, target = batch
        layout = torch.channels_last
        logits = self.network(before.to(memory_format=layout), after.to(memory_format=layout))
        loss = bce_dice(logits.float(), target)
        self.log("train/loss", loss.detach())
        return loss

    def on_validation_epoch_start(self) -> None:
        self.curve = Curve()

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], number: int) -> None:
        before, after, target = batch
        probability = self.network(before, after).float().sigmoid()
        self.curve.add(probability.cpu().numpy(), target.cpu().numpy() > 0.5)

    def on_validation_epoch_end(self) -> None:
        threshold, f1 = self.curve.best()
        self.threshold.fill_(threshold)
        half = self.curve.at(len(self.curve.changed) // 2)
        self.log_dict({"val/f1": f1, "val/threshold": threshold, "val/f1_at_half": half.f1})

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        state, metadata = super().weights()
        own = {"threshold": round(self.threshold.item(), 4), "gsd": self.recipe.data.gsd}
        return state, metadata | own


def divide(data: Data) -> tuple[list[Pair], list[Pair]]:
    """Pairs to learn from and those that choose epoch and threshold, never of one scene.

    InputError where one of the two parts is empty or changes nowhere.
    """
    pairs = [pair for folder in data.train for pair in find_pairs(folder)]
    pairs = [pair for pair in pairs if pair.scene not in data.left_out]
    val = [pair for folder in data.val for pair in find_pairs(folder)]
    scenes = list(dict.fromkeys(pair.scene for pair in pairs))
    chosen = set(data.val_scenes)
    if unknown := chosen - set(scenes):
        raise InputError("data.val_scenes", f"{min(unknown)} is no scene of data.train")
    if not val and not chosen:
        chosen = set(scenes[:: round(1 / VAL_SHARE)])
        named = ", ".join(sorted(chosen)[:3])
        print(f"no validation split: {len(chosen)} scenes choose ({named} …)", file=sys.stderr)
    val += [pair for pair in pairs if pair.scene in chosen]
    train = [pair for pair in pairs if pair.scene not in chosen]
    for part, what in ((train, "to learn from"), (val, "to choose by")):
        if not any(pair.changed.any() for pair in part):
            problem = f"leaves no pair with a change {what}"
            raise InputError(data.train[0], problem, "give more pairs, or another validation")
    return train, val
