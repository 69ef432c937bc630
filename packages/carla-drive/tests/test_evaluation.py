"""The closed loop of the model card: which policies there are, what is kept."""

import json

import pytest

from carla_drive import evaluation
from carla_drive.evaluation import Job, closed_loop
from carla_drive.scoring.score import Score
from carla_drive.training.recipe import Evaluation
from vitrail.errors import UsageError
from vitrail.training.recipe import load_recipe

TWO = Evaluation(towns=(900,), routes=2, seeds=(1, 2), policies=("lane", "blind"))


def scored(job: Job) -> tuple[Job, float, Score]:
    reached = 10.0 * job.route + job.seed + len(job.policy)
    return job, 160.0, Score(reached, 1.0, reached, 0.0, 0.1, 20.0, "time-out", ())


@pytest.fixture
def driven(monkeypatch):
    """Drives that cost nothing; the jobs that were asked for."""
    asked: list[Job] = []

    def drive(settings: Evaluation, weights: str | None, job: Job) -> tuple[Job, float, Score]:
        asked.append(job)
        return scored(job)

    monkeypatch.setattr(evaluation, "_drive", drive)
    return asked


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("evaluation: {policies: [exprt]}", "policies"),
        ("losses: {weights: {red_ligth: 1.0}}", "red_ligth"),
    ],
)
def test_unknown_names_in_a_recipe_are_refused(tmp_path, key, named):
    text = f"""
system: carla-drive
name: typo
data: {{paths: [recording]}}
{key}
optim: {{lr: 1.0e-3, batch_size: 2}}
budget: {{steps: 1}}
monitor: {{metric: val/total, mode: min}}
"""
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(UsageError, match=named):
        load_recipe(tmp_path / "recipe.yaml")


def test_what_the_folder_keeps_is_not_driven_again(driven, tmp_path):
    kept = TWO.model_copy(update={"folder": tmp_path / "loop"})
    first = closed_loop(kept, None)
    assert len(driven) == 8 and [row[-1] for row in first.rows] == [4, 4]
    assert closed_loop(kept, None).rows == first.rows and len(driven) == 8
    more = closed_loop(kept.model_copy(update={"seeds": (1, 2, 3)}), None)
    assert len(driven) == 12 and [row[-1] for row in more.rows] == [6, 6]
    with pytest.raises(UsageError, match="traffic"):
        closed_loop(kept.model_copy(update={"traffic": 3}), None)


def test_more_routes_are_driven_beside_those_that_are_kept(driven, tmp_path):
    """Every policy drives a route before any drives the next."""
    kept = TWO.model_copy(update={"folder": tmp_path, "routes": 1, "seeds": (1,)})
    closed_loop(kept, None)
    closed_loop(kept.model_copy(update={"routes": 2}), None)
    drives = [(job.policy, job.route) for job in driven]
    assert drives == [("lane", 0), ("blind", 0), ("lane", 1), ("blind", 1)]


def test_two_processes_drive_what_one_does(tmp_path):
    """Real drives, without anybody in the way."""
    settings = Evaluation(
        towns=(905,), routes=1, seeds=(1, 2), policies=("lane",), traffic=0, walkers=0
    )
    tables, kept = [], []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        one = settings.model_copy(update={"workers": workers, "folder": folder})
        tables.append(closed_loop(one, None).rows)
        rows = json.loads((folder / "lane.json").read_text())["drives"]
        kept.append(sorted(rows, key=lambda row: row["seed"]))
    assert tables[0] == tables[1] and kept[0] == kept[1] and len(kept[0]) == 2
