import json
import signal
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from vitrail.errors import InputError, UsageError, VitrailError
from vitrail.training import loop as training
from vitrail.training import recipe as recipes
from vitrail.training import run as runs
from vitrail.training import schedule
from vitrail.training.history import History
from vitrail.training.loading import loader
from vitrail.training.recipe import read_yaml
from vitrail.training.schedule import BudgetClock, rate
from vitrail.weights import files as weights

STEPS_IN_AN_EPOCH = 8


class Recipe(recipes.Recipe):
    workers: int = 0


class Task(training.Task):
    """Learns a line from 64 points; ``at_step`` holds what befalls the run after so many steps."""

    at_step: dict = {}  # noqa: RUF012 - replaced as a whole by each test
    scores: list = []  # noqa: RUF012

    def __init__(self, recipe):
        super().__init__(recipe)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.rates, self.states = [], []

    def train_dataloader(self):
        size = self.recipe.optim.batch_size
        return loader(line(seed=0), size, workers=self.recipe.workers, shuffle=True)

    def val_dataloader(self):
        return DataLoader(line(seed=1), 64)

    def training_step(self, batch, index):
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        loss = functional.mse_loss(self.net(batch[0]), batch[1])
        event = self.at_step.get(self.global_step)
        return loss if event is None else event(loss)

    def validation_step(self, batch, index):
        self.log("val/loss", functional.mse_loss(self.net(batch[0]), batch[1]))
        self.states.append({name: value.clone() for name, value in self.net.state_dict().items()})
        if self.scores:
            self.log("val/score", self.scores[len(self.states) - 1])

    def weights(self):
        return self.net.state_dict(), {
            "system": "toy",
            "architecture": "line",
            "config": {"width": 8},
        }


def line(seed: int) -> TensorDataset:
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, inputs[:, :1] - 0.5 * inputs[:, 1:2])


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The last task that was made, under ``.task``."""
    made = SimpleNamespace(task=None)

    def make(recipe):
        made.task = Task(recipe)
        return made.task

    system = SimpleNamespace(room=lambda name: SimpleNamespace(Task=make), distribution="vitrail")
    monkeypatch.setattr(training, "find", lambda name: system)
    monkeypatch.setattr(runs, "find", lambda name: system)
    monkeypatch.setattr(Task, "at_step", {})
    monkeypatch.setattr(Task, "scores", [])
    return made


def recipe(monitor=("val/loss", "min"), optim=None, **changes) -> Recipe:
    content = {
        "system": "toy",
        "name": "line",
        "optim": {"lr": 0.03, "batch_size": 64 // STEPS_IN_AN_EPOCH} | (optim or {}),
        "budget": {"epochs": 3},
        "monitor": dict(zip(("metric", "mode"), monitor, strict=True)),
    }
    return Recipe(**content | changes)


def learned(path) -> dict:
    return weights.read_state(path)[0]


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def fail(loss):
    raise RuntimeError("the machine went down")


def press_ctrl_c(loss):
    signal.raise_signal(signal.SIGINT)
    return loss


def press_ctrl_c_twice(loss):
    return press_ctrl_c(press_ctrl_c(loss))


def terminate(loss):
    signal.raise_signal(signal.SIGTERM)
    return loss


def record(folder) -> dict:
    return json.loads((folder / "run.json").read_text())


def test_a_run_learns_and_leaves_all_that_is_needed_to_trust_it(tmp_path, toy):
    wanted = recipe(expect={"val/loss": 0.5})
    path = training.train(wanted, tmp_path)
    state, metadata = weights.read_state(path)
    assert state["0.weight"].shape == (8, 4)
    assert (metadata["system"], metadata["config"], metadata["recipe"]) == (
        "toy",
        {"width": 8},
        "line",
    )
    assert metadata["recipe_sha256"] == wanted.sha256
    run = record(tmp_path)
    history = [point["val/loss"] for point in run["history"]]
    assert [point["step"] for point in run["history"]] == [8, 16, 24]
    assert history[-1] < 0.9 * history[0]
    assert run["best"]["val/loss"] == min(history) == metadata["metric"]["val/loss"]
    assert run["expected"] == {"val/loss": 0.5}
    assert {"vitrail", "torch", "python"} <= run["versions"].keys()
    resolved = read_yaml((tmp_path / "recipe.yaml").read_bytes(), "recipe.yaml")
    assert recipes.parse(Recipe, resolved, "recipe.yaml") == wanted
    assert list(tmp_path.glob("csv/*/metrics.csv")) and list(tmp_path.glob("tensorboard/events*"))


def test_a_seed_decides_the_outcome(tmp_path):
    first, second = (learned(training.train(recipe(), tmp_path / name)) for name in "ab")
    assert equal(first, second)
    assert not equal(first, learned(training.train(recipe(seed=1), tmp_path / "c")))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("step", "event", "error"),
    [
        (19, fail, RuntimeError),
        (19, press_ctrl_c, VitrailError),
        (12, terminate, VitrailError),
        (16, fail, RuntimeError),
    ],
)
def test_a_stopped_run_ends_with_the_weights_of_an_unbroken_one(
    tmp_path, monkeypatch, workers, step, event, error
):
    whole = learned(training.train(recipe(workers=workers), tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(Task, "at_step", {step: event})
        training.train(recipe(workers=workers), tmp_path / "broken")
    assert not (tmp_path / "broken/weights.safetensors").exists()
    assert equal(learned(training.train(recipe(workers=workers), tmp_path / "broken")), whole)
    assert [point["step"] for point in record(tmp_path / "broken")["history"]] == [8, 16, 24]


@pytest.mark.parametrize("event", [press_ctrl_c, press_ctrl_c_twice, terminate])
@pytest.mark.parametrize("budget", [{"epochs": 2}, {"steps": 16}])
def test_a_run_stopped_within_its_first_epoch_goes_on(tmp_path, toy, monkeypatch, event, budget):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with (
        monkeypatch.context() as patch,
        pytest.raises(VitrailError, match="interrupted; the same command continues"),
    ):
        patch.setattr(Task, "at_step", {5: event})
        training.train(recipe(budget=budget), tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    training.train(recipe(budget=budget), tmp_path)
    assert len(toy.task.rates) in (10, 11)
    assert record(tmp_path)["history"][-1]["step"] == 16


@pytest.mark.parametrize(("mode", "best"), [("max", 1), ("min", 2)])
def test_the_best_weights_by_the_monitor_are_kept(tmp_path, toy, monkeypatch, mode, best):
    monkeypatch.setattr(Task, "scores", [0.3, 0.9, 0.1])
    path = training.train(recipe(monitor=("val/score", mode)), tmp_path)
    kept = learned(path)
    errors = [
        max((kept[name] - state[name]).abs().max().item() for name in kept)
        for state in toy.task.states
    ]
    assert errors.index(min(errors)) == best
    assert record(tmp_path)["best"]["step"] == 8 * (best + 1)


def test_a_score_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(Task, "scores", [0.3, float("nan"), 0.1])
    training.train(recipe(monitor=("val/score", "max")), tmp_path)
    assert record(tmp_path)["best"]["step"] == 8
    assert record(tmp_path)["history"][1]["val/score"] is None
    monkeypatch.setattr(Task, "scores", [float("nan")] * 3)
    with pytest.raises(VitrailError, match="no validation gave a val/score"):
        training.train(recipe(monitor=("val/score", "min")), tmp_path / "b")


def test_a_monitor_that_nobody_measures_is_named(tmp_path):
    with pytest.raises(
        UsageError, match=r"^monitor.metric: val/auk is not measured; there is val/loss$"
    ):
        training.train(recipe(monitor=("val/auk", "max")), tmp_path)


def test_a_loss_that_is_no_number_stops_the_run_and_spares_its_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(Task, "at_step", {12: lambda loss: loss * float("nan")})
    with pytest.raises(VitrailError) as caught:
        training.train(recipe(), tmp_path)
    assert str(caught.value) == "line: the loss is no longer a number at step 13; lower optim.lr"
    assert all(value.isfinite().all() for value in learned(tmp_path / "last.ckpt").values())


@pytest.mark.parametrize(("steps", "validations"), [(3, 3), (50, 20)])
def test_a_budget_of_steps_is_kept_and_ends_with_a_validation(tmp_path, toy, steps, validations):
    training.train(recipe(budget={"steps": steps}), tmp_path)
    assert len(toy.task.rates) == steps
    history = record(tmp_path)["history"]
    assert len(history) == validations
    assert (history[-1]["step"], history[-1]["share"]) == (steps, 1)


@pytest.fixture
def six_seconds_a_step(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)

    def training_step(self, batch, index, step=Task.training_step):
        now.seconds += 6
        return step(self, batch, index)

    monkeypatch.setattr(schedule, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(Task, "training_step", training_step)


def test_a_budget_of_minutes_drives_the_schedule_and_survives_a_stop(
    tmp_path, toy, monkeypatch, six_seconds_a_step
):
    timed = recipe(budget={"minutes": 1}, optim={"warmup": 0.2})
    training.train(timed, tmp_path / "whole")
    expected = [0.03 * rate(step / 10, warmup=0.2, schedule="cosine") for step in range(10)]
    assert toy.task.rates == pytest.approx(expected)
    assert record(tmp_path / "whole")["seconds"] == 60
    with monkeypatch.context() as patch, pytest.raises(VitrailError, match="interrupted"):
        patch.setattr(Task, "at_step", {3: terminate})
        training.train(timed, tmp_path / "broken")
    assert toy.task.rates == pytest.approx(expected[:4])
    training.train(timed, tmp_path / "broken")
    assert toy.task.rates == pytest.approx(expected[4:])


def test_the_rate_rises_over_the_warm_up_and_falls_to_zero():
    cosine = [rate(share, warmup=0.2, schedule="cosine") for share in (0, 0.1, 0.2, 0.6, 1)]
    assert cosine == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert [
        rate(share, warmup=0.2, schedule="constant") for share in (0.1, 0.2, 1)
    ] == pytest.approx([0.5, 1, 1])
    assert rate(0, warmup=0, schedule="cosine") == 1
    poly = [rate(share, warmup=0.2, schedule="poly") for share in (0.1, 0.2, 0.6, 1)]
    assert poly == pytest.approx([0.5, 1, 0.5**0.9, 0])


def test_no_step_is_lost_to_a_rate_of_zero(tmp_path, toy):
    training.train(recipe(), tmp_path)
    assert len(toy.task.rates) == 24
    assert min(toy.task.rates) > 0
    assert max(toy.task.rates) > 0.0295


def test_vectors_are_not_decayed_and_frozen_parameters_are_left_out():
    task = Task(recipe(optim={"weight_decay": 0.3}))
    task.net[0].weight.requires_grad = False
    decayed, plain = task.configure_optimizers().param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0)
    assert [tuple(p.shape) for p in decayed["params"]] == [(1, 8)]
    assert [tuple(p.shape) for p in plain["params"]] == [(8,), (1,)]


def test_bfloat16_and_channels_last_train(tmp_path, toy, monkeypatch):
    def init(self, recipe, init=Task.__init__):
        init(self, recipe)
        self.net.insert(
            0,
            nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten()),
        )

    monkeypatch.setattr(Task, "__init__", init)
    path = training.train(recipe(optim={"precision": "bf16"}), tmp_path)
    kernel = toy.task.net[0][1].weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(
        learned(path)["0.1.weight"].float(), kernel.detach(), atol=1e-3, rtol=1e-3
    )


def test_a_folder_belongs_to_one_recipe_until_it_is_begun_again(tmp_path):
    training.train(recipe(), tmp_path)
    with pytest.raises(UsageError, match="holds the run of another recipe"):
        training.train(recipe(seed=1), tmp_path)
    (tmp_path / "mine.txt").write_text("kept")
    again = learned(training.train(recipe(seed=1), tmp_path, resume=False))
    assert equal(again, learned(training.train(recipe(seed=1), tmp_path / "b")))
    assert (tmp_path / "mine.txt").exists()


def test_a_finished_run_is_not_repeated(tmp_path, toy):
    path = training.train(recipe(), tmp_path)
    toy.task = None
    assert training.train(recipe(), tmp_path) == path
    assert toy.task is None


def test_a_run_stopped_before_its_weights_were_written_still_gives_them(tmp_path, toy):
    path = training.train(recipe(), tmp_path)
    before = learned(path)
    path.unlink()
    assert equal(learned(training.train(recipe(), tmp_path)), before)
    assert toy.task.rates == []


def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path):
    training.train(recipe(), tmp_path)
    (tmp_path / "run.json").unlink()
    last = tmp_path / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"last\.ckpt"):
        training.train(recipe(), tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/run"):
        training.train(recipe(), tmp_path / "file" / "run")


def test_epochs_of_data_without_a_length_are_refused(tmp_path, monkeypatch):
    class Endless(IterableDataset):
        def __iter__(self):
            yield from iter(line(seed=0))

    monkeypatch.setattr(Task, "train_dataloader", lambda self: DataLoader(Endless(), 8))
    with pytest.raises(UsageError, match=r"^budget.epochs: .*; give steps or minutes$"):
        training.train(recipe(), tmp_path)


@pytest.mark.parametrize(
    ("values", "mode", "improving"),
    [
        ([0.5, 0.7, 0.8, 0.83], "max", True),
        ([0.5, 0.7, 0.8, 0.81], "max", False),
        ([0.5, 0.7, 0.8, 0.6], "max", False),
        ([1.0, 0.5, 0.4, 0.3], "min", True),
        ([1.0, 0.5, 0.4, 0.395], "min", False),
        ([None, None, None, 0.5], "max", False),
    ],
)
def test_a_run_whose_last_quarter_gained_is_still_improving(values, mode, improving):
    wanted = recipe(monitor=("val/auc", mode))
    history = History(wanted, BudgetClock(wanted))
    history.points = [{"share": (n + 1) / 4, "val/auc": value} for n, value in enumerate(values)]
    assert history.still_improving() is improving


def test_a_run_in_the_background_says_little(tmp_path, capfd):
    training.train(recipe(budget={"epochs": 60}, optim={"lr": 1e-9}), tmp_path)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 21
    assert lines[19].startswith("100%  epoch 60  step 480") and "val/loss" in lines[19]
    assert lines[20].startswith("best val/loss")


@pytest.mark.parametrize("event", [lambda loss: loss, terminate])
def test_a_terminal_gets_a_bar_and_its_cursor_back(tmp_path, capfd, monkeypatch, event):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Task, "at_step", {23: event})
    with nullcontext() if event is not terminate else pytest.raises(VitrailError):
        training.train(recipe(), tmp_path)
    err = capfd.readouterr().err
    assert "step 23  train/loss" in err or "step 24  train/loss" in err
    assert err.count("\x1b[?25l") == err.count("\x1b[?25h") == 1


def test_an_unfinished_schedule_says_so(tmp_path, capfd):
    training.train(recipe(budget={"epochs": 4}), tmp_path)
    assert capfd.readouterr().err.splitlines()[-1] == "still improving: lengthen the budget"


def test_rare_validations_leave_no_silence(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(Task, "train_dataloader", lambda self: DataLoader(line(seed=0), 1))
    training.train(recipe(budget={"epochs": 1}), tmp_path)
    assert sum("train/loss" in text for text in capfd.readouterr().err.splitlines()) == 9


def test_the_numbers_that_torchrun_decided_are_passed_on(monkeypatch):
    for name, value in {"LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "12"}.items():
        monkeypatch.setenv(name, value)
    assert training._launched_processes() == {"devices": 4, "num_nodes": 3}
