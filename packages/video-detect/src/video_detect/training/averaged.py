"""What both stages share: one network trained, the running mean of its weights judged and kept."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

import vitrail.training.loop
from video_detect.models import TGBFormer
from video_detect.training.backbone import MEAN, STD
from video_detect.training.recipe import Recipe

MOMENTUM = 0.998  # of the mean; in the first steps less, so that it leaves the start behind
SLOW = 0.1  # of the learning rate, for what knows ImageNet and for where attention looks


class AveragedTask(vitrail.training.loop.Task):
    """``network`` learns, ``averaged`` is what a validation sees and what is written."""

    recipe: Recipe

    def __init__(self, recipe: Recipe, network: TGBFormer):
        super().__init__(recipe)
        self.network = network
        self.averaged = deepcopy(network).requires_grad_(False)

    def train(self, mode: bool = True) -> "AveragedTask":
        """Without dropout or norms that learn statistics there is nothing to switch: those of the
        backbone keep ImageNet's, which few made scenes would spoil."""
        return super().train(False)

    @staticmethod
    def normalised(images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) as the network takes it."""
        return (images.float() - 255 * MEAN[0]) / (255 * STD[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optim = self.recipe.optim
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                slow = name.startswith("backbone.") or "sampling_offsets" in name
                groups.setdefault((slow, parameter.ndim > 1), []).append(parameter)
        return torch.optim.AdamW(
            [
                {
                    "params": parameters,
                    "lr": optim.lr * (SLOW if slow else 1),
                    "weight_decay": optim.weight_decay if is_matrix else 0.0,
                }
                for (slow, is_matrix), parameters in groups.items()
            ],
            lr=optim.lr,
        )

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        share = 1 - min(MOMENTUM, (1 + self.global_step) / (10 + self.global_step))
        pairs = zip(self.averaged.parameters(), self.network.parameters(), strict=True)
        changed = [(mean, own) for mean, own in pairs if own.requires_grad]
        means, owns = map(list, zip(*changed, strict=True))
        with torch.no_grad():
            torch._foreach_lerp_(means, owns, share)
