"""What a training run tells of itself: the metrics of each validation, a line now and then, a bar
on terminals."""

import math
import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vitrail.errors import UsageError, VitrailError
from vitrail.training.recipe import Recipe
from vitrail.training.schedule import PARTS, BudgetClock

# Step, share and seconds, which are numbers, and the ``val/`` metrics, None where not a number.
Point = dict[str, Any]


class History(Callback):
    """The validations of a run.

    It travels with the checkpoints, and prints about a line to stderr in each part of the run.
    """

    def __init__(self, recipe: Recipe, clock: BudgetClock):
        self.recipe, self.clock = recipe, clock
        self.points: list[Point] = []
        self._part_of_line = self._part_of_validation = 0

    def best(self) -> Point:
        """The first validation with the best monitored metric; VitrailError where none gave a
        number."""
        return self._best(self.points)

    def still_improving(self) -> bool:
        """Whether the last quarter of the run bettered the monitored metric by more than 2 %."""
        metric = self.recipe.monitor.metric
        early = [
            point for point in self.points if point["share"] <= 0.75 and point[metric] is not None
        ]
        if not early:
            return False
        before, after = self._best(early)[metric], self.best()[metric]
        return abs(after - before) > 0.02 * abs(before)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Validations print lines of their own, so this one speaks only where they are rare.
        if self._part_of_line + 1 < self.clock.part < PARTS:
            self._print(trainer, {"train/loss": outputs["loss"].item()})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {
            name: value.item()
            for name, value in trainer.callback_metrics.items()
            if name.startswith("val/")
        }
        wanted = self.recipe.monitor.metric
        if wanted not in metrics:
            raise UsageError(
                "monitor.metric",
                f"{wanted} is not measured",
                f"there is {', '.join(metrics) or 'none'}",
            )
        when = {
            "step": trainer.global_step,
            "share": self.clock.spent,
            "seconds": round(self.clock.seconds, 1),
        }
        self.points.append(
            when
            | {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        )
        if self.clock.part > self._part_of_validation:
            self._print(trainer, metrics)
            self._part_of_validation = self.clock.part

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.points = list(state_dict["points"])

    def _best(self, points: list[Point]) -> Point:
        monitor = self.recipe.monitor
        numbers = [point for point in points if point[monitor.metric] is not None]
        if not numbers:
            raise VitrailError(
                self.recipe.name,
                f"no validation gave a {monitor.metric}",
                "look at the data's split",
            )
        choose = max if monitor.mode == "max" else min
        return choose(numbers, key=lambda point: point[monitor.metric])

    def _print(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        self._part_of_line = self.clock.part
        if not trainer.is_global_zero:
            return
        figures = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        when = f"epoch {trainer.current_epoch + 1}  step {trainer.global_step}"
        spent = f"{self.clock.spent:4.0%}  {when}  {self.clock.seconds:.0f} s"
        print(f"{spent}  {figures}", file=sys.stderr, flush=True)


class Bar(Callback):
    """The share of the budget that is spent and the time that is left, live on stderr; lines pass
    above it."""

    def __init__(self, clock: BudgetClock):
        self.clock = clock
        columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        text = TextColumn("{task.description}")
        self._progress = Progress(*columns, text, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=1.0)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        text = f"step {trainer.global_step}  train/loss {outputs['loss'].item():.4g}"
        self._progress.update(self._task, completed=self.clock.spent, description=text)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._progress.stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._progress.stop()
