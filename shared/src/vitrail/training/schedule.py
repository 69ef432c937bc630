"""The budget's clock: how much of a run is spent, the learning rate that follows from it, and when
to stop."""

import math
import random
import time
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from vitrail.errors import UsageError, VitrailError
from vitrail.training.recipe import Recipe

PARTS = 20
POWER = 0.9  # of the polynomial
NEVER = 10**9


def rate(share: float, *, warmup: float, schedule: str) -> float:
    """The factor of the learning rate in 0..1 when ``share`` (0..1) of the run is spent: linear
    warm-up, then cosine or a polynomial to zero, or constant."""
    if share < warmup:
        return share / warmup
    if schedule == "constant":
        return 1.0
    after = min(1.0, (share - warmup) / (1 - warmup))
    if schedule == "poly":
        return (1 - after) ** POWER
    return 0.5 * (1 + math.cos(math.pi * after))


class BudgetClock(Callback):
    """Sets the learning rate before each step, calls for validations, and ends the run when the
    budget is spent.

    ``spent`` is the share of the budget in 0..1 after the latest step, the same in all processes;
    it and ``seconds`` count over any number of resumes. A budget of epochs is validated after each,
    others after each ``part``.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.spent = 0.0
        self._steps = math.inf
        self._earlier_seconds = 0.0
        self._started: float | None = None
        self._first_step = 0
        self._first_epoch = True

    @property
    def seconds(self) -> float:
        """Time spent in training and validation, the sessions before a resume included."""
        return self._earlier_seconds + (
            0.0 if self._started is None else time.monotonic() - self._started
        )

    @property
    def part(self) -> int:
        """How many of the run's ``PARTS`` equal parts are over."""
        return int(self.spent * PARTS + 1e-6)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer, self._first_step)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        budget = self.recipe.budget
        if budget.steps:
            self._steps = budget.steps
        elif budget.epochs:
            self._steps = budget.epochs * trainer.num_training_batches
            if math.isinf(self._steps):
                raise UsageError(
                    "budget.epochs", "the length of this data is not known", "give steps or minutes"
                )
        self._started = time.monotonic()
        self._look(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The session's first loader draws before this hook, so that epoch is seeded in
        # on_fit_start.
        if not self._first_epoch:
            self._seed(trainer, trainer.global_step)
        self._first_epoch = False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        optim = self.recipe.optim
        # The middle of the step: neither the first nor the last one is lost to a rate of zero.
        factor = rate(self.spent + 0.5 / self._steps, warmup=optim.warmup, schedule=optim.schedule)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        pl_module.log("lr", optim.lr * factor)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: dict[str, Tensor],
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not outputs["loss"].isfinite():
            raise VitrailError(
                self.recipe.name,
                f"the loss is no longer a number at step {trainer.global_step}",
                "lower optim.lr",
            )
        part = self.part
        self._look(trainer)
        trainer.should_stop = trainer.should_stop or self.spent >= 1
        if not self.recipe.budget.epochs:
            # Lightning's own interval in seconds is measured by each process for itself, so that
            # they wait forever for one another when they disagree.
            trainer.val_check_batch = 1 if self.part > part else NEVER

    def state_dict(self) -> dict[str, float]:
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self._earlier_seconds = state_dict["seconds"]

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._first_step = checkpoint["global_step"]

    def _look(self, trainer: Trainer) -> None:
        if self.recipe.budget.minutes:
            # Replicas with different learning rates would drift apart, hence one clock for all.
            self.spent = trainer.strategy.broadcast(self.seconds) / (
                60 * self.recipe.budget.minutes
            )
        else:
            self.spent = trainer.global_step / self._steps
        self.spent = min(1.0, self.spent)

    def _seed(self, trainer: Trainer, step: int) -> None:
        """Makes an epoch's randomness depend on nothing before it, so that a resumed run repeats
        it."""
        seed = self.recipe.seed + step + 1_000_003 * trainer.global_rank
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - libraries that augment draw from the global state
        torch.manual_seed(seed)
