"""How LeTFuser is trained: imitation of the expert, all tasks at once."""

from dataclasses import asdict
from functools import cached_property
from typing import Any, Self

from torch import Tensor, nn
from torch.utils.data import DataLoader

import vitrail.training.loop
from carla_drive import system
from carla_drive.checkpoint import read_checkpoint
from carla_drive.data import Frames, read_recording, split
from carla_drive.models import build_model
from carla_drive.models.letfuser import KEPT, LeTFuser
from carla_drive.training.kept import Kept, seen_of
from carla_drive.training.losses import (
    DRIVING,
    SEEING,
    TASKS,
    Balance,
    driving_losses,
    light_losses,
    losses,
    seeing_losses,
)
from carla_drive.training.recipe import Recipe
from vitrail.backbones.lite import LiteTrunk
from vitrail.backbones.pretrained import fill_trunk
from vitrail.errors import UsageError
from vitrail.training.loading import loader
from vitrail.weights.catalogue import resolve
from vitrail.weights.files import load_into

GRADNORM_EVERY = 10  # steps
VAL_BATCH = 16


class Task(vitrail.training.loop.Task):
    """``val/total`` is the sum of the unweighted losses on drives kept out."""

    recipe: Recipe

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.network: LeTFuser = build_model(
            recipe.model.architecture, _tuples(recipe.model.config)
        )
        if recipe.model.pretrained:
            start_from_imagenet(self.network)
        if recipe.model.init:
            state = read_checkpoint(resolve(system, recipe.model.init).path).state
            load_into(self.network, state, subject=recipe.model.init)
        self._still = still_parts(self.network, recipe)
        for part in self._still:
            part.requires_grad_(False)
        config = self.network.config
        lights = SEEING[1:] if config.detail else ()
        learned = {"all": TASKS, "seeing": SEEING, "driving": (*DRIVING, *lights)}
        tasks = [
            task
            for task in learned[recipe.model.learn]
            if (task != "path" or config.path_points)
            and (task != "target_speed" or config.speed_bins)
            and (task != "stop_sign" or config.stop_head)
            and recipe.losses.weights.get(task, 1.0) > 0
        ]
        weighing = recipe.losses
        weights = {str(task): weight for task, weight in weighing.weights.items()}
        self.balance = Balance(weighing.balance, tasks, weights, weighing.alpha, recipe.optim.lr)
        self._last: dict[str, Tensor] = {}

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    @cached_property
    def datasets(self) -> tuple[Frames | Kept, Frames | Kept]:
        data = self.recipe.data
        parts: tuple[list, list] = ([], [])
        orders, towns = set(), set[str]()
        for path in data.paths:
            recording = read_recording(path)
            orders.add(recording.depth_order)
            towns.update(frame.town for frame in recording.frames)
            for part, frames in zip(
                parts, split(recording.frames, data.val_share, data.left_out), strict=True
            ):
                part.extend(frames)
        if len(orders) > 1:
            raise UsageError("data.paths", "store depth in both byte orders", "train on one kind")
        (order,) = orders
        if unknown := set(data.left_out) - towns:
            problem = f"{', '.join(sorted(unknown))} is in no recording"
            raise UsageError("data.left_out", problem, f"there are {', '.join(sorted(towns))}")
        chosen = parts[0][:: max(1, round(1 / data.share))]
        frames = (
            Frames(chosen, order, augment=data.augment, hide_target=data.hide_target),
            Frames(parts[1][:: max(1, len(parts[1]) // (data.val_frames or len(parts[1])))], order),
        )
        if self.recipe.model.learn != "driving":
            return frames
        train, val = (Kept(part, self.network, workers=data.workers) for part in frames)
        return train, val

    def train_dataloader(self) -> DataLoader:
        size, workers = self.recipe.optim.batch_size, self.recipe.data.workers
        train = self.datasets[0]
        return loader(train, min(size, len(train)), workers=workers, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return loader(self.datasets[1], VAL_BATCH, workers=self.recipe.data.workers)

    def _losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        network, kind = self.network, self.recipe.losses.segmentation
        bins = network.config.speed_bins
        if self.recipe.model.learn == "seeing":
            seen = network.see((batch["rgb"].float() - network.mean) / network.std)
            return seeing_losses(seen.segmentation, seen.red_light, seen.stop_sign, batch, kind)
        told = batch["target"], batch["velocity"], batch["command"]
        if self.recipe.model.learn == "driving":
            seen = seen_of(network, batch, shaken=self.training)
            out = network.drive(seen, batch["cloud"].float(), *told)
            lights = light_losses(out.red_light, out.stop_sign, batch)
            return driving_losses(out, batch, bins) | (lights if network.config.detail else {})
        return losses(network(batch["rgb"].float(), batch["depth"], *told), batch, kind, bins)

    def training_step(self, batch: dict[str, Tensor], number: int) -> Tensor:
        found = self._losses(batch)
        if self.balance.kind == "gradnorm" and number % GRADNORM_EVERY == 0:
            self.balance.adapt(found, last_shared(self.network))
        self._last = {task: value.detach() for task, value in found.items()}
        total = self.balance.total(found)
        self.log("train/loss", total.detach())
        return total

    def on_train_epoch_end(self) -> None:
        if self.balance.kind == "drift" and self._last:
            self.balance.drift(self._last)

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        found = self._losses(batch)
        size = len(batch["velocity"])
        self.log("val/total", sum(found[task] for task in self.balance.tasks), batch_size=size)
        self.log_dict({f"val/{task}": value for task, value in found.items()}, batch_size=size)

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return self.network.state_dict(), {
            "system": self.recipe.system,
            "architecture": self.recipe.model.architecture,
            "config": asdict(self.network.config),
        }


def still_parts(network: LeTFuser, recipe: Recipe) -> list[nn.Module]:
    """The parts that a recipe leaves as they are."""
    names = KEPT if recipe.model.learn == "driving" else ("cvt",)
    if recipe.model.learn != "driving" and not recipe.model.frozen_encoder:
        return []
    return [part for name, part in network.named_children() if name in names]


def last_shared(network: LeTFuser) -> Tensor:
    """The last weight matrix of the image encoder, which every task's gradient passes."""
    return [parameter for parameter in network.cvt.parameters() if parameter.ndim > 1][-1]


def start_from_imagenet(network: LeTFuser) -> None:
    """Fills the encoder with EfficientNet-Lite0's tensors."""
    if not isinstance(network.cvt, LiteTrunk):
        raise UsageError("model.pretrained", "goes with encoder lite0", "take it, or leave it out")
    half = (127.5,) * 3  # the network normalises as the release does
    fill_trunk(network.cvt, half, half)


def _tuples(config: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
