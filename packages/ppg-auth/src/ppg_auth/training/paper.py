"""The paper's experiment: name the person of a window, among people whose recordings are all known.

Windows overlap by half. Split at random, most test windows share half of their signal with a
training window; split in time, none does. What lies between both figures is leaked, not recognised.
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import vitrail.training.loop
from ppg_auth.checkpoint import ARCHITECTURE
from ppg_auth.data import load_takes
from ppg_auth.model import EMBED_DIM, build_model
from vitrail.errors import UsageError
from vitrail.training.loading import loader

TRAIN_SHARE = 0.7
GUARD = (
    5.0  # seconds between the training part and the test part of a recording that is split in time
)


class ClosedSetTask(vitrail.training.loop.Task):
    """Learns with a softmax over all people; ``val/accuracy`` is the share of test windows that get
    the right name."""

    recipe: Any  # a Recipe of ``ppg_auth.training``, which imports this module

    def __init__(self, recipe: Any):
        super().__init__(recipe)
        self.signal = recipe.signal.config()
        self.model = build_model(
            recipe.model | {"samples": self.signal.samples, "rate": self.signal.rate}
        )
        if self.model.fusion is None or self.model.expert is not None:
            raise UsageError(
                "model", "the paper's experiment is one of the branches alone", "set beats: false"
            )
        self.head = nn.Linear(EMBED_DIM, len(recipe.data.named))

    @cached_property
    def parts(self) -> tuple[TensorDataset, TensorDataset]:
        """Training and test windows (items, people's numbers)."""
        data, guard = self.recipe.data, int(np.ceil(GUARD / self.signal.hop))
        rng = np.random.default_rng(self.recipe.seed)
        items: tuple[list, list] = ([], [])
        people: tuple[list, list] = ([], [])
        for number, (take, windows) in enumerate(load_takes(data, data.named, self.signal).items()):
            good = torch.from_numpy(windows.items[windows.good])
            cut = int(TRAIN_SHARE * len(good))
            if data.split == "random":
                good, first = good[torch.from_numpy(rng.permutation(len(good)))], cut
            else:
                first = cut + guard
            if cut < 1 or first >= len(good):
                raise UsageError(
                    take.path, "is too short or too poor to be split", "leave its person out"
                )
            for part, rows in enumerate((good[:cut], good[first:])):
                items[part].append(rows)
                people[part].append(torch.full((len(rows),), number))
        train, test = (
            TensorDataset(torch.cat(items[part]), torch.cat(people[part])) for part in (0, 1)
        )
        return train, test

    @property
    def measured(self) -> Sequence[str]:
        return "val/accuracy", "val/steps"

    def train_dataloader(self) -> DataLoader:
        size = self.recipe.optim.batch_size
        chosen = torch.Generator().manual_seed(self.recipe.seed)
        sampler = RandomSampler(
            self.parts[0], replacement=True, num_samples=self.recipe.epoch * size, generator=chosen
        )
        return loader(self.parts[0], size, sampler=sampler)

    def val_dataloader(self) -> DataLoader:
        return loader(self.parts[1], self.recipe.optim.batch_size)

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        items, people = batch
        loss = F.cross_entropy(self.recipe.scale * self._logits(items), people)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def validation_step(self, batch: list[Tensor], number: int) -> None:
        items, people = batch
        right = (self._logits(items).argmax(dim=1) == people).float().mean()
        self.log("val/accuracy", right, prog_bar=True, batch_size=len(items))
        self.log("val/steps", float(self.global_step), batch_size=len(items))

    def weights(self) -> tuple[dict[str, Tensor], dict]:
        """The network and its head; no command takes it, since it knows its own people only."""
        metadata = {
            "system": self.recipe.system,
            "architecture": f"{ARCHITECTURE}-closed-set",
            "config": asdict(self.model.config),
            "people": list(self.recipe.data.named),
        }
        return self.state_dict(), metadata

    def _logits(self, items: Tensor) -> Tensor:
        return self.head(self.model(items))
