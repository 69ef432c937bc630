"""What training writes is what the command loads; people are never on two sides; and the network
learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from made_people import units

from ppg_auth import load
from ppg_auth.data import Take, load_takes
from ppg_auth.evaluation import cross_validate, deal, evaluate, trial_of
from ppg_auth.measure.figures import (
    Attempts,
    Placement,
    compare,
    errors_at,
    false_non_matches,
    plain,
    protected,
    verification,
)
from ppg_auth.measure.protocols import Captures, cut, protocols, usable
from ppg_auth.networks import load_networks
from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.windows import SignalConfig
from ppg_auth.training import Task, angular_margin
from ppg_auth.training.augment import TrainingWindows, disturb, mask_scalogram, warp
from ppg_auth.training.paper import ClosedSetTask
from vitrail.errors import InputError, UsageError
from vitrail.report import Chart, Table
from vitrail.testing.beside import DATA, needs
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe

PIPELINES = Path(__file__).parents[3] / "pipelines" / "ppg-auth"
RATE = 50
MODEL = (
    "{beats: true, frequencies: 8, columns: 16, "
    "cvt: {dims: [8, 8, 8], num_heads: [1, 1, 1], depths: [1, 1, 1]}, "
    "convmixer: {dim: 8, depth: 1, kernel_size: 3, patch_size: 4}, hidden: 8}"
)


def beat(person: int, rng: np.random.Generator, seconds: float = 30.0) -> np.ndarray:
    """A person's pulse: the place and height of the notch are the person's own."""
    own = np.random.default_rng(person)
    delay, height, width = own.uniform(0.18, 0.3), own.uniform(0.05, 0.35), own.uniform(0.07, 0.13)
    onsets = np.cumsum(rng.normal(0.85, 0.03, int(seconds / 0.6)))[:, None]
    time = np.arange(int(seconds * RATE)) / RATE
    wave = np.exp(-(((time - onsets) / 0.09) ** 2)) + height * np.exp(
        -(((time - onsets - delay) / width) ** 2)
    )
    return 500 + 100 * wave.sum(axis=0) + rng.normal(0, 1, len(time))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twelve people of whom there are two recordings each."""
    root = tmp_path_factory.mktemp("people")
    for person in range(12):
        (root / f"p{person:02}").mkdir()
        for take in range(2):
            values = beat(person, np.random.default_rng([person, take]))
            rows = "".join(
                f"{number / RATE:.3f},{value:.2f}\n" for number, value in enumerate(values)
            )
            (root / f"p{person:02}" / f"{take}.csv").write_text("t_s,ppg\n" + rows)
    return root


def small_recipe(folder: Path, *overrides: str):
    return load_recipe(
        PIPELINES / "verify.yaml",
        [
            f"data={{format: folders, path: {folder}, val_share: 0.25, test_share: 0.25}}",
            f"model={MODEL}",
            "budget={steps: 2}",
            "optim.batch_size=8",
            "epoch=2",
            *overrides,
        ],
    )


@pytest.fixture(scope="module")
def weights(folder, tmp_path_factory) -> Path:
    return train(small_recipe(folder), tmp_path_factory.mktemp("run"))


def test_the_command_loads_what_training_writes(weights, folder):
    (network,) = load_networks([str(weights)])
    assert network.checkpoint.people == {
        "train": [f"p{n:02}" for n in range(6)],
        "val": ["p09", "p10", "p11"],
    }
    assert network.checkpoint.impostors.deviation > 0
    assert network.module(torch.from_numpy(network.example)).shape == (2, 128)
    capture = load(str(weights), engine="eager").predict(folder / "p07" / "0.csv")
    assert capture.usable and capture.embeddings.shape == (
        len(capture.windows.good.nonzero()[0]),
        128,
    )
    assert np.allclose(np.linalg.norm(capture.embeddings, axis=1), 1, atol=1e-4)


def test_evaluation_tells_people_apart_and_refuses_those_it_knows(weights, folder):
    from ppg_auth.measure.tables import SHIPPED
    from ppg_auth.measure.trials import TEMPLATE

    tables = evaluate(small_recipe(folder), str(weights))
    rows = {row[1]: row for row in tables[0].rows}
    assert rows[SHIPPED][2] < 0.35 and rows[TEMPLATE][2] < 0.35
    assert all(len(part.rows) for part in tables if isinstance(part, Table))
    assert any(isinstance(part, Chart) for part in tables)
    with pytest.raises(UsageError, match=r"p0\d was in this network's train data"):
        evaluate(small_recipe(folder, "data.val_share=0.2", "data.test_share=0.7"), str(weights))


def test_a_run_begun_again_is_the_same(folder, tmp_path):
    recipe = small_recipe(folder, f"model={MODEL.replace('{beats', '{branches: [lstm], beats')}")
    networks = [load_networks([str(train(recipe, tmp_path / name))])[0] for name in "ab"]
    example = torch.from_numpy(networks[0].example)
    first, second = (network.module(example) for network in networks)
    assert torch.equal(first, second)


def test_windows_follow_from_their_number(folder):
    recipe = small_recipe(folder)
    takes = load_takes(recipe.data, recipe.data.people("train"), recipe.signal.config())
    windows = [TrainingWindows(takes, recipe.signal.config(), seed) for seed in (0, 0, 1)]
    (one, person), (same, _), (other, _) = (dataset[13] for dataset in windows)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert [windows[0][number][1] for number in (12, 14, 15)] == [person] * 3
    assert {windows[0][4 * turn][1] for turn in range(6)} == set(range(6))


def test_the_margin_is_an_angle():
    embeddings = torch.nn.functional.normalize(torch.randn(4, 8), dim=1)
    directions, people = torch.randn(3, 8), torch.tensor([0, 1, 2, 1])
    plain_cosines = angular_margin(embeddings, directions, people, 0.0)
    with_margin = angular_margin(embeddings, directions, people, 0.2)
    own = torch.nn.functional.one_hot(people, 3).bool()
    assert torch.allclose(with_margin[~own], plain_cosines[~own], atol=1e-6)
    assert torch.allclose(with_margin[own].acos(), plain_cosines[own].acos() + 0.2, atol=1e-4)


def test_changes_keep_length_and_person():
    rng, wave = np.random.default_rng(0), beat(3, np.random.default_rng(0)) - 500
    for _ in range(20):
        part = disturb(warp(wave, 400, rng), RATE, rng)
        assert len(part) == 400 and np.isfinite(part).all()
    assert len(warp(wave[:400], 400, rng)) == 400


def test_masks_cover_a_part_of_each_image():
    images = torch.rand(6, 1, 32, 64)
    masked = mask_scalogram(images.clone(), np.random.default_rng(1))
    changed = (masked != images).flatten(1).float().mean(dim=1)
    assert changed.max() > 0.05 and changed.max() < 0.3


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["data={format: folders, path: nowhere}"], "cannot be read"),
        (["data.val_share=0.9"], "at least five"),
        (["model={branches: [swin]}"], "must be some of"),
    ],
)
def test_recipes_that_cannot_be_trained(folder, overrides, said):
    with pytest.raises(UsageError, match=said):
        Task(small_recipe(folder, *overrides))


def test_nobody_is_on_two_sides():
    recipe = load_recipe(PIPELINES / "verify.yaml", ["data.val=[s15, s01]"])
    with pytest.raises(UsageError, match=r"data\.val: s01 is in train too"):
        Task(recipe)


def test_a_bad_recording_is_named(tmp_path):
    for person in "abcdefgh":
        (tmp_path / person).mkdir()
        (tmp_path / person / "1.csv").write_text("t_s,ppg\n0,1\n0.02,x\n")
    with pytest.raises(InputError, match=r"1\.csv: line 3"):
        Task(small_recipe(tmp_path))


def placements(people: int, rng: np.random.Generator, scatter: float) -> list[list[Placement]]:
    """Of each of two recordings of everybody, the placements that it is cut into."""
    centres = units(rng, people, 128)
    found: list[list[Placement]] = [[], []]
    for person in range(people):
        for take in range(2):
            rows = centres[person] + scatter * units(rng, 9, 128)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            found[take] += [
                Placement(f"p{person}", "", part)
                for part in (np.split(rows, 3) if take else [rows])
            ]
    return found


@pytest.mark.parametrize("scorer", [plain, protected])
def test_scores_are_the_products(scorer):
    attempts = compare(*placements(8, np.random.default_rng(0), 1.0), scorer)
    values = verification(attempts)
    assert len(attempts.scores) == 8 * 8 * 3 and values[0] < 0.05 and values[5] == 1.0
    assert false_non_matches(attempts, 0.05) < 0.1
    assert verification(compare(*placements(8, np.random.default_rng(0), 25.0), scorer))[0] > 0.1


def test_unlike_sensors_are_not_compared_and_failed_captures_left_out():
    enrolled, tried = placements(3, np.random.default_rng(0), 1.0)
    other = [
        Placement("p0", "camera", tried[0].rows),
        Placement("p1", "", np.empty((0, 128), np.float32)),
    ]
    assert not len(compare(enrolled, other, plain).scores)


def test_joined_groups_keep_their_attempts_apart():
    part = compare(*placements(2, np.random.default_rng(0), 1.0), plain)
    joined = Attempts.joined([part, part])
    assert len(np.unique(joined.number)) == 2 * len(np.unique(part.number)) == 12
    assert errors_at([part, part], [-2.0, 2.0]) == (0.5, 0.5)


def test_recordings_are_cut_as_people_would_record_them(folder):
    recording = read_recording(folder / "p00" / "0.csv")
    parts = cut(recording, 10.0)
    assert len(parts) == 2 and all(9.9 < np.ptp(part.seconds) <= 10 for part in parts)
    assert parts[0].seconds[0] == pytest.approx(1.0) and parts[1].seconds[0] > parts[0].seconds[-1]
    take = Take("p00", "", folder / "p00" / "0.csv")
    captures, signal = Captures(), SignalConfig()
    assert [usable(capture) for capture in captures.of(take, signal, 10.0)] == [
        True,
        False,
    ]  # the second beats unevenly
    assert captures.of(take, signal, 10.0)[0] is captures.of(take, signal, 10.0)[0]
    assert len(captures.beginning(take, signal, None).waves) > 8
    assert captures.of(take, signal, 4.0)[0] is None and not usable(None)


def test_postures_make_protocols():
    takes = [
        Take(person, posture, Path(f"{person}{posture}{part}"))
        for person in ("ann", "bob", "eve")
        for posture in ("sitting", "standing")
        for part in "ab"
        if (person, posture) != ("eve", "standing")
    ]
    sizes = {p.name: (len(p.enrol), len(p.probe)) for p in protocols(takes)}
    assert sizes == {
        "sitting → sitting, minutes later": (3, 3),
        "standing → standing, minutes later": (2, 2),
        "sitting → standing": (4, 4),
        "both postures → both, minutes later": (4, 4),
    }
    with pytest.raises(UsageError, match="fewer than two people have two recordings"):
        protocols(takes[:1])


def index(folder: Path, recordings: dict[str, int]) -> None:
    """The lists of a collection: so many recordings of each person."""
    rows = [
        f"{person},sitting,{person}/{take}.csv"
        for person, count in recordings.items()
        for take in range(count)
    ]
    (folder / "nr2_ufpr.csv").write_text("\n".join(["subject,posture,path", *rows]) + "\n")
    (folder / "usc_bp.csv").write_text("record,path\n")


def assert_each_is_tested_once(folds: list, tested: int, everyone: int) -> None:
    people = [person for fold in folds for person in fold.data.test]
    assert len(people) == len(set(people)) == tested
    for fold in folds:
        parts = [set(fold.data.people(part)) for part in ("train", "val", "test")]
        assert len(set.union(*parts)) == sum(map(len, parts)) == everyone


@needs(DATA / "ppg")
def test_each_person_is_tested_once_and_never_by_a_network_that_knows_them():
    recipe = load_recipe(PIPELINES / "verify.yaml", [f"data.path={DATA / 'ppg'}"])
    assert_each_is_tested_once(deal(recipe, 5), tested=22, everyone=52)
    with pytest.raises(UsageError, match="cannot be dealt"):
        deal(recipe, 12)


def test_folds_of_made_people_test_each_once_too(tmp_path):
    people = {f"p{number:02}": 2 if number < 9 else 1 for number in range(14)}
    index(tmp_path, people)
    names = ", ".join(list(people)[:-1])
    data = f"data={{format: collection, path: {tmp_path}, train: [{names}], val: [p13]}}"
    recipe = load_recipe(PIPELINES / "verify.yaml", [data])
    folds = deal(recipe, 4)
    assert_each_is_tested_once(folds, tested=9, everyone=14)
    assert all("p13" in fold.data.val and "p12" in fold.data.train for fold in folds)
    with pytest.raises(UsageError, match="cannot be dealt"):
        deal(recipe, 5)


def test_folds_need_a_recipe_that_names_people(folder, tmp_path):
    with pytest.raises(UsageError, match="names its people"):
        cross_validate(small_recipe(folder), 3, tmp_path)


def test_folds_are_trained_once(folder, tmp_path, monkeypatch):
    """Nine people of a collection, in three folds, are all tested; a second call trains nothing.

    Three train each network: of two, the beat expert has one direction, and everyone on one side
    of it is the same.
    """
    people = [f"p{number:02}" for number in range(9)]
    rows = [
        f"{person},sitting,{folder}/{person}/{take}.csv" for person in people for take in range(2)
    ]
    (tmp_path / "nr2_ufpr.csv").write_text("\n".join(["subject,posture,path", *rows]) + "\n")
    (tmp_path / "usc_bp.csv").write_text("record,path\n")
    data = f"data={{format: collection, path: {tmp_path}, train: [{', '.join(people)}], val: []}}"
    recipe = small_recipe(
        folder, data, f"model={MODEL.replace('{beats', '{branches: [lstm], beats')}"
    )
    runs = tmp_path / "runs"
    monkeypatch.setattr("ppg_auth.evaluation.report", lambda trials: trials)
    trials = cross_validate(recipe, 3, runs)
    assert sorted({take.person for trial in trials for take in trial.takes}) == people
    written = {path: path.stat().st_mtime_ns for path in runs.glob("fold-*/weights.safetensors")}
    cross_validate(recipe, 3, runs)
    assert len(written) == 3 and {path: path.stat().st_mtime_ns for path in written} == written


def test_the_papers_experiment_splits_windows(folder, tmp_path):
    people = [f"p{number:02}" for number in range(6)]
    rows = [f"{person},sitting,{folder}/{person}/0.csv" for person in people]
    (tmp_path / "nr2_ufpr.csv").write_text("\n".join(["subject,posture,path", *rows]) + "\n")
    (tmp_path / "usc_bp.csv").write_text("record,path\n")
    model = MODEL.replace("{beats: true", "{branches: [lstm]")
    options = [f"model={model}", "budget={steps: 2}", "optim.batch_size=8", "epoch=1"]
    for split in ("random", "contiguous"):
        named = f"named: [{', '.join(people)}], split: {split}"
        data = f"data={{format: closed-set, path: {tmp_path}, {named}}}"
        recipe = load_recipe(PIPELINES / "paper.yaml", [data, *options])
        task = Task(recipe)
        assert isinstance(task, ClosedSetTask)
        learnt, tested = ({tuple(row.tolist()) for row in part.tensors[0]} for part in task.parts)
        assert learnt and tested and not learnt & tested
        assert train(recipe, tmp_path / split).is_file()
    with pytest.raises(UsageError, match="names 0 people"):
        trial_of(recipe, None)


def test_the_bundled_recipe_keeps_its_people_apart():
    data = load_recipe(PIPELINES / "verify.yaml").data
    everyone = [person for part in ("train", "val", "test") for person in data.people(part)]
    assert len(everyone) == len(set(everyone)) == 52
