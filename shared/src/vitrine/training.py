"""The one training loop that every recipe uses: Lightning, driven by the share of the budget that is spent."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from vitrine import weights
from vitrine.errors import VitrineError
from vitrine.progress import History
from vitrine.recipes import Budget, Recipe
from vitrine.runs import Run
from vitrine.schedule import BudgetClock
from vitrine.system import find

VALIDATIONS = 20


class Task(LightningModule):
    """What a system trains: its networks, losses, loaders and metrics.

    A subclass gives ``train_dataloader``, ``val_dataloader``, ``training_step`` (returns the loss), a validation that
    logs ``recipe.monitor.metric``, and ``weights() -> (state, metadata)``: the state that the domain command loads, with
    system, architecture and config. Its loaders draw nothing from the global random state while they are built.
    """

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW without weight decay on biases and norms; the budget's clock sets the learning rate at each step."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        matrices = [parameter for parameter in trainable if parameter.ndim > 1]
        vectors = [parameter for parameter in trainable if parameter.ndim <= 1]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.recipe.optim.lr, weight_decay=self.recipe.optim.weight_decay)


def train(recipe: Recipe, run_folder: Path, resume: bool = True) -> Path:
    """Trains the recipe's system and returns the path of ``weights.safetensors``, the best state by the monitor.

    ``run_folder`` also receives the resolved recipe, the metrics, the checkpoints and ``run.json``. With ``resume`` an
    interrupted run of the same recipe goes on where it stopped; without it the run is begun again. A run that stopped at
    the end of an epoch ends with the weights that an uninterrupted one gives.
    """
    run = Run(run_folder, recipe)
    if not resume:
        run.clear()
    run.open()
    if run.finished:
        return run.weights
    seed_everything(recipe.seed, workers=True, verbose=False)
    task = find(recipe.system).room("training").Task(recipe)
    _use_channels_last(task)
    clock = BudgetClock(recipe)
    terminal = sys.stderr.isatty()
    history = History(recipe.monitor, clock, lines=not terminal)
    bars = [RichProgressBar(console_kwargs={"stderr": True})] if terminal else []
    with _quiet(), _interruptible(run):
        trainer = _trainer(run, [clock, history, *bars])
        trainer.fit(task, ckpt_path=run.last if run.last.exists() else None, weights_only=True)
    if trainer.is_global_zero:
        _finish(run, task, clock, history)
    return run.weights


class _LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt`` after each validation, and when somebody stops the run; a failed run leaves the earlier one."""

    def __init__(self, run: Run):
        super().__init__(
            run.folder,
            run.last.stem,
            save_on_train_epoch_end=run.recipe.budget.epochs is not None,
            enable_version_counter=False,
        )
        self.path = run.last

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            trainer.save_checkpoint(self.path)


def _trainer(run: Run, callbacks: list[Callback]) -> Trainer:
    recipe = run.recipe
    monitor = recipe.monitor
    best = ModelCheckpoint(
        run.folder, run.best.stem, monitor=monitor.metric, mode=monitor.mode, enable_version_counter=False
    )
    return Trainer(
        default_root_dir=run.folder,
        precision={"32": "32-true", "bf16": "bf16-mixed"}[recipe.optim.precision],
        gradient_clip_val=recipe.optim.clip,
        logger=[CSVLogger(run.folder, "csv"), TensorBoardLogger(run.folder, "tensorboard", version="")],
        log_every_n_steps=10,
        callbacks=[*callbacks, best, _LastCheckpoint(run)],
        enable_progress_bar=any(isinstance(callback, RichProgressBar) for callback in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **_launched_processes(),
        **_limits(recipe.budget),
    )


def _limits(budget: Budget) -> dict[str, Any]:
    """The budget and the rhythm of validation in Lightning's words: each epoch, or a twentieth of steps or minutes."""
    if budget.epochs:
        return {"max_epochs": budget.epochs}
    if budget.steps:
        interval = max(1, budget.steps // VALIDATIONS)
        return {
            "max_epochs": -1,
            "max_steps": budget.steps,
            "val_check_interval": interval,
            "check_val_every_n_epoch": None,
        }
    interval = timedelta(minutes=budget.minutes / VALIDATIONS)
    return {"max_epochs": -1, "val_check_interval": interval, "check_val_every_n_epoch": None}


def _launched_processes() -> dict[str, int]:
    """What ``torchrun`` decided; Lightning finds the rest in the environment, but checks these two numbers against it."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return {"devices": local, "num_nodes": int(os.environ["WORLD_SIZE"]) // local}
    return {"num_nodes": int(os.environ.get("SLURM_NNODES", 1))}


def _use_channels_last(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out Lightning's remarks on hardware and advice on settings that are this module's business."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        yield
    logger.setLevel(level)


@contextmanager
def _interruptible(run: Run) -> Iterator[None]:
    """Turns the ways in which Lightning leaves a stopped run into one sentence."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        raise VitrineError(run.folder, "the run was interrupted", "the same command continues it") from stop
    finally:
        signal.signal(signal.SIGINT, handler)


def _finish(run: Run, task: Task, clock: BudgetClock, history: History) -> None:
    """Writes the weights of the best validation and the run's record."""
    weights.load_into(task, weights.read_state(run.best)[0])
    state, metadata = task.weights()
    best = history.best()
    monitored = run.recipe.monitor.metric
    facts = {"recipe": run.recipe.name, "recipe_sha256": run.recipe.sha256, "metric": {monitored: best[monitored]}}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    weights.save(run.weights, state, {**metadata, **facts})
    improving = history.still_improving()
    device = torch.cuda.get_device_name() if task.device.type == "cuda" else task.device.type
    run.write_record(
        seconds=round(clock.seconds, 1), device=device, best=best, still_improving=improving, history=history.points
    )
    print(f"best {monitored} {best[monitored]:.4g} at step {best['step']:.0f}", file=sys.stderr)
    if improving:
        print("still improving: lengthen the budget", file=sys.stderr)
