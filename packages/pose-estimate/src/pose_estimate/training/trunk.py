"""A trunk that knows ImageNet, and the part of it that a run leaves as it is."""

from collections.abc import Sequence
from typing import Self

from torch import nn

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

    def train(self, mode: bool = True) -> Self:
        """What is frozen keeps the statistics of its batch norms too."""
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> list[nn.Module]:
        count = self.recipe.model.frozen
        return [self.trunk.stem, *self.trunk.stages[:count]] if self.trunk and count else []
