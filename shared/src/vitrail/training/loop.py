"""The one training loop that every recipe uses: Lightning, driven by the share of the budget that
is spent."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from vitrail.errors import UsageError, VitrailError
from vitrail.system import find
from vitrail.training.history import Bar, History
from vitrail.training.recipe import Budget, Recipe
from vitrail.training.run import Run
from vitrail.training.schedule import NEVER, BudgetClock
from vitrail.weights import files as weights


class Task(LightningModule):
    """What a system trains: its networks, losses, loaders and metrics.

    A subclass gives ``train_dataloader``, ``val_dataloader``, ``training_step`` (returns the loss),
    a validation that logs what ``measured`` names, and ``weights``. Building its loaders draws
    nothing from the global random state.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe

    @property
    def measured(self) -> Sequence[str]:
        """The metrics that a validation logs, so that a monitor of another is refused before any
        time is spent; empty where they are not known before."""
        return ()

    def weights(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state that the domain command loads, and its metadata: system, architecture and
        config."""
        raise NotImplementedError

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW without weight decay on biases and norms; the budget's clock sets the learning rate
        at each step."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trainable if parameter.ndim > 1]
        vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(
            groups, lr=self.recipe.optim.lr, weight_decay=self.recipe.optim.weight_decay
        )


def train(recipe: Recipe, run_folder: Path, resume: bool = True) -> Path:
    """Trains the recipe's system and returns the path of ``weights.safetensors``, the best state by
    the monitor.

    ``run_folder`` also receives the resolved recipe, the metrics, the checkpoints and ``run.json``.
    With ``resume`` an interrupted run of the same recipe goes on where it stopped (after the end of
    an epoch: exactly as if it had never stopped); without it the run is begun again. Raises
    VitrailError when the loss is no number or the run is stopped.
    """
    run = Run(run_folder, recipe)
    if rank_zero_only.rank == 0:
        run.open(resume)
    if resume and run.finished:
        return run.weights
    seed_everything(recipe.seed, workers=True, verbose=False)
    task = find(recipe.system).room("training").Task(recipe)
    _require_metric(task)
    _use_channels_last(task)
    clock = BudgetClock(recipe)
    history = History(recipe, clock)
    bars = [Bar(clock)] if sys.stderr.isatty() else []
    with _quiet(), _interruptible(run):
        trainer = _trainer(run, [clock, history, *bars])
        trainer.fit(task, ckpt_path=_checkpoint_to_continue(run), weights_only=True)
    if trainer.is_global_zero:
        _finish(run, task, clock, history)
    trainer.strategy.barrier()  # no process returns before the weights are there
    return run.weights


def _require_metric(task: Task) -> None:
    """UsageError before any time is spent where the monitor waits for what is never measured."""
    wanted = task.recipe.monitor.metric
    if task.measured and wanted not in task.measured:
        problem, remedy = f"{wanted} is not measured", f"there is {', '.join(task.measured)}"
        raise UsageError("monitor.metric", problem, remedy)


class _LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt`` of each epoch's end (other budgets: each validation), and when somebody
    stops the run."""

    def __init__(self, run: Run):
        self.run = run
        self.by_epoch = run.recipe.budget.epochs is not None
        super().__init__(
            run.folder,
            run.last.stem,
            save_on_train_epoch_end=self.by_epoch,
            enable_version_counter=False,
        )

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        # The end of an epoch is the one place from which a run goes on exactly, so a checkpoint of
        # it stays.
        exact = self.by_epoch and self.run.last.exists()
        if isinstance(exception, KeyboardInterrupt | SIGTERMException) and not exact:
            trainer.save_checkpoint(self.run.last)


def _trainer(run: Run, callbacks: list[Callback]) -> Trainer:
    recipe, monitor = run.recipe, run.recipe.monitor
    best = ModelCheckpoint(
        run.folder,
        run.best.stem,
        monitor=monitor.metric,
        mode=monitor.mode,
        enable_version_counter=False,
    )
    return Trainer(
        default_root_dir=run.folder,
        precision="bf16-mixed" if recipe.optim.precision == "bf16" else "32-true",
        gradient_clip_val=recipe.optim.clip,
        logger=[
            CSVLogger(run.folder, "csv"),
            TensorBoardLogger(run.folder, "tensorboard", version=""),
        ],
        log_every_n_steps=10,
        callbacks=[*callbacks, best, _LastCheckpoint(run)],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **_launched_processes(),
        **_limits(recipe.budget),
    )


def _limits(budget: Budget) -> dict[str, Any]:
    """The budget in Lightning's words; where it is not one of epochs, the clock stops the run and
    calls validations."""
    if budget.epochs:
        return {"max_epochs": budget.epochs}
    return {
        "max_epochs": -1,
        "max_steps": budget.steps or -1,
        "val_check_interval": NEVER,
        "check_val_every_n_epoch": None,
    }


def _launched_processes() -> dict[str, int]:
    """The two numbers of ``torchrun`` or SLURM that Lightning does not take from the environment
    but checks against."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        return {"devices": devices, "num_nodes": int(os.environ["WORLD_SIZE"]) // devices}
    return {"num_nodes": int(os.environ.get("SLURM_NNODES", 1))}


def _use_channels_last(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def _checkpoint_to_continue(run: Run) -> Path | None:
    if not run.last.exists():
        return None
    weights.read_state(
        run.last
    )  # says in one sentence what is wrong with a damaged file, where Lightning does not
    return run.last


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out Lightning's remarks on hardware, and its advice on settings that are this module's
    business."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible(run: Run) -> Iterator[None]:
    """Lets ctrl-C and SIGTERM end the run after the step in hand, with one sentence; ctrl-C again
    stops at once."""
    at_ctrl_c = signal.getsignal(signal.SIGINT)

    def finish_the_step(*_: object) -> None:
        signal.signal(signal.SIGINT, at_ctrl_c)
        signal.raise_signal(signal.SIGTERM)

    in_main_thread = threading.current_thread() is threading.main_thread()
    try:
        if in_main_thread:
            signal.signal(signal.SIGINT, finish_the_step)
        yield
    except SystemExit as stop:
        raise VitrailError(
            run.folder, "the run was interrupted", "the same command continues it"
        ) from stop
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, at_ctrl_c)


def _finish(run: Run, task: Task, clock: BudgetClock, history: History) -> None:
    """Writes the weights of the best validation and the run's record."""
    best = history.best()
    metric = {run.recipe.monitor.metric: best[run.recipe.monitor.metric]}
    weights.load_into(task, weights.read_state(run.best)[0])
    state, metadata = task.weights()
    facts = {"recipe": run.recipe.name, "recipe_sha256": run.recipe.sha256, "metric": metric}
    weights.save(run.weights, state, {**metadata, **facts})
    run.write_record(
        seconds=round(clock.seconds, 1),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        best=best,
        still_improving=history.still_improving(),
        history=history.points,
    )
    print(
        f"best {', '.join(f'{name} {value:.4g}' for name, value in metric.items())}: {run.weights}",
        file=sys.stderr,
    )
    if history.still_improving():
        print("still improving: lengthen the budget", file=sys.stderr)
