"""A trunk that knows ImageNet, the part of it that a run leaves as it is, and the running mean of
all weights."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import vitrail.training.loop
from pose_estimate import system
from pose_estimate.training.recipe import Recipe
from vitrail.backbones.lite import LiteTrunk
from vitrail.backbones.pretrained import fill_trunk
from vitrail.errors import UsageError
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into, read_state


class TrunkTask(vitrail.training.loop.Task):
    """Trains a network that may begin with EfficientNet-Lite0."""

    recipe: Recipe
    network: nn.Module
    trunk: LiteTrunk | None
    mean_network: AveragedModel | None

    def begin(self, trunk: LiteTrunk | None, mean: Sequence[float], std: Sequence[float]) -> None:
        """Fills the network as the recipe says; ``trunk`` is its part that takes RGB normalised by
        ``mean`` and ``std``. UsageError where the recipe needs a trunk and there is none."""
        self.trunk, model = trunk, self.recipe.model
        for option in ("imagenet", "frozen"):
            if getattr(model, option) and trunk is None:
                remedy = "make it lite in model.config"
                raise UsageError(f"model.{option}", "needs EfficientNet-Lite0 in front", remedy)
        if model.imagenet and trunk is not None:
            fill_trunk(trunk, mean, std)
        if model.init:
            start = resolve(system, model.init).path
            load_into(self.network, read_state(start)[0], subject=start)
        for part in self._frozen():
            part.requires_grad_(False)
        self.mean_network, share = None, self.recipe.average
        if share:
            keep = get_ema_multi_avg_fn(share)
            self.mean_network = AveragedModel(self.network, multi_avg_fn=keep, use_buffers=True)
            self.mean_network.requires_grad_(False)

    @property
    def kept_network(self) -> nn.Module:
        """What is validated and written: the running mean of the weights, where there is one."""
        return self.network if self.mean_network is None else self.mean_network.module

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The core's, with a learning rate of its own for the trunk."""
        optimizer = super().configure_optimizers()
        slow = {id(value) for value in self.trunk.parameters()} if self.trunk is not None else set()
        for group in list(optimizer.param_groups):
            parts = [[], []]
            for value in group["params"]:
                parts[id(value) in slow].append(value)
            group["params"] = parts[0]
            if parts[1]:
                rate = group["lr"] * self.recipe.model.trunk_rate
                optimizer.add_param_group(group | {"params": parts[1], "lr": rate})
        return optimizer

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.mean_network is not None:
            self.mean_network.update_parameters(self.network)

    def train(self, mode: bool = True) -> Self:
        """What is frozen keeps the statistics of its batch norms too."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        count = self.recipe.model.frozen
        return [self.trunk.stem, *self.trunk.stages[:count]] if self.trunk and count else []
