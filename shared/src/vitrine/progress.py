"""What a training run shows and remembers of itself: a line or a bar while it runs, and the metrics of each validation."""

import sys
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from vitrine.errors import UsageError
from vitrine.recipes import Monitor
from vitrine.schedule import BudgetClock

SECONDS_BETWEEN_LINES = 60


class History(Callback):
    """The validations of a run, each a dict of step, share, seconds and the ``val/`` metrics; survives a resume.

    With ``lines`` it prints one line to stderr at each validation and at most one a minute between them.
    """

    def __init__(self, monitor: Monitor, clock: BudgetClock, lines: bool):
        self.monitor, self.clock, self.lines = monitor, clock, lines
        self.points: list[dict[str, float]] = []
        self._last_line = 0.0

    def best(self) -> dict[str, float]:
        """The validation with the best monitored metric."""
        choose = max if self.monitor.mode == "max" else min
        return choose(self.points, key=lambda point: point[self.monitor.metric])

    def still_improving(self) -> bool:
        """Whether the last quarter of the run bettered the metric by more than 2 %."""
        choose = max if self.monitor.mode == "max" else min
        early = [point[self.monitor.metric] for point in self.points if point["share"] <= 0.75]
        if not early:
            return False
        before, after = choose(early), self.best()[self.monitor.metric]
        return abs(after - before) > 0.02 * abs(before)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.clock.seconds - self._last_line > SECONDS_BETWEEN_LINES:
            self._print(trainer, {"train/loss": outputs["loss"].item()})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if self.monitor.metric not in metrics:
            raise UsageError(
                f"monitor.metric: {self.monitor.metric}",
                "is not measured",
                f"measured: {', '.join(metrics) or 'nothing'}",
            )
        step = trainer.global_step
        self.points.append(
            {"step": step, "share": self.clock.share(trainer, step), "seconds": round(self.clock.seconds, 1), **metrics}
        )
        self._print(trainer, metrics)

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.points = list(state_dict["points"])

    def _print(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        self._last_line = self.clock.seconds
        if not self.lines or not trainer.is_global_zero:
            return
        share = self.clock.share(trainer, trainer.global_step)
        figures = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        line = f"{share:4.0%}  {self.clock.seconds:.0f} s  epoch {trainer.current_epoch}  step {trainer.global_step}"
        print(f"{line}  {figures}", file=sys.stderr, flush=True)
