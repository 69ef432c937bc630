"""A base that learned without labels, from scenes of any number of bands, and what it is for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hsi_classify.evaluation import evaluate
from hsi_classify.fit.network import start_from
from hsi_classify.models import build_model
from hsi_classify.training import Recipe, Task
from hsi_classify.training.masked import MaskedTask, Patches, hidden
from hsi_classify.training.recipe import Scenes
from vitrail.errors import UsageError
from vitrail.testing.commands import call
from vitrail.training.loop import train
from vitrail.weights.files import read_state

from .fakes import QUICK, made_scene


@pytest.fixture
def content(tmp_path) -> dict:
    """Two scenes, of 12 and of 7 bands."""
    for name, bands in (("one", 12), ("two", 7)):
        np.save(tmp_path / f"{name}.npy", made_scene()[0][:, :, :bands].repeat(2, axis=0))
    return {
        "system": "hsi-classify",
        "name": "hsi-base",
        "data": {"scenes": [{"cube": tmp_path / "one.npy"}, {"cube": tmp_path / "two.npy"}]},
        "optim": {"lr": 1e-2, "batch_size": 8},
        "budget": {"steps": 30},
        "monitor": {"metric": "val/error", "mode": "min"},
    }


@pytest.fixture
def base(content, tmp_path) -> Path:
    recipe = Recipe.model_validate(content | {"budget": {"steps": 2}})
    return train(recipe, tmp_path / "base")


def test_what_is_hidden_is_painted_better_and_better(content, tmp_path):
    recipe = Recipe.model_validate(content | {"budget": {"steps": 60}})
    torch.manual_seed(recipe.seed)
    task = Task(recipe)
    assert isinstance(task, MaskedTask)
    patches, seen = next(iter(task.val_dataloader()))
    before = float(task.eval().error(patches, seen).detach())
    assert 0.3 < before < 3  # of values whose variance is about 1
    state, metadata = read_state(train(recipe, tmp_path / "run"))
    assert metadata["metric"]["val/error"] < 0.9 * before
    assert metadata["base"] and not any(key.startswith("head.") for key in state)


def test_the_error_counts_only_what_is_hidden(content):
    task = Task(Recipe.model_validate(content)).eval()
    patches = torch.randn(2, 4, 5, 5)
    seen = torch.ones_like(patches)
    seen[:, 0, 0, 0] = 0
    assert isinstance(task, MaskedTask)
    error = task.error(patches, seen)
    other = patches.clone()
    other[:, 0, 0, 0] += 7  # hidden, so that nothing that is painted changes
    assert float((task.error(other, seen) - error).detach().abs()) > 1
    painted = task.painter(task.network.forward_features(patches * seen)).view_as(patches)
    expected = ((painted - patches)[:, 0, 0, 0] ** 2).mean()
    torch.testing.assert_close(error, expected)


def test_patches_follow_their_number_and_lose_their_shares():
    data = Scenes.model_construct(hidden_pixels=0.4, hidden_components=0.3)
    scene = np.random.default_rng(0).normal(size=(9, 4, 5, 5)).astype(np.float32)
    patches = Patches([scene], 8, data, seed=3)
    for part, again in zip(patches[5], patches[5], strict=True):
        torch.testing.assert_close(part, again)
    assert not torch.equal(patches[5][0], patches[6][0])
    rng = np.random.default_rng(0)
    shares = [float(hidden(scene[0], data, rng)[1].mean()) for _ in range(300)]
    assert np.mean(shares) == pytest.approx(0.6 * 0.7, abs=0.03)


def test_no_patch_that_validates_holds_a_pixel_that_was_learned_from(content):
    task = Task(Recipe.model_validate(content))
    assert isinstance(task, MaskedTask)
    learned, val = task.patches[0]
    rows = 48 - round(48 * 0.85)
    assert len(learned) == (48 - rows - (QUICK.patch - 1)) * 30 and len(val) == min(256, rows * 30)


def test_a_network_starts_from_the_base_all_but_its_head(base):
    state, metadata = read_state(base)
    network = build_model("specvit", {**metadata["config"], "num_classes": 3})
    start_from(network, state)
    own = network.state_dict()
    for key, tensor in state.items():
        torch.testing.assert_close(own[key], tensor.to(own[key].dtype))
    assert {key for key in own if key not in state} == {"head.linear.weight", "head.linear.bias"}


def test_ways_of_making_and_starting_a_network(content, base, tmp_path):
    ways = ("network", "per-patch", "gated", "base", "adapters")
    np.save(tmp_path / "labels.npy", made_scene()[1].repeat(2, axis=0))
    recipe = Recipe.model_validate(
        content
        | {
            "data": {"cube": tmp_path / "one.npy", "labels": tmp_path / "labels.npy"},
            "measured": {
                "per_class": 4,
                "seeds": [0, 1],
                "splits": ["random"],
                "base": base,
                "ways": ways,
            },
        }
    )
    (table,) = evaluate(recipe)
    found = {row[0]: row[1:] for row in table.rows}
    assert tuple(found) == ways
    assert len(set(found.values())) > 2
    assert all(0.3 < figures[0] <= 1 for figures in found.values())
    assert "random: 4 labels a class" in table.title


def test_calls_that_make_no_sense(content, base, tmp_path):
    with pytest.raises(UsageError, match="hsi-base: has no labels to measure by"):
        evaluate(Recipe.model_validate(content))
    with pytest.raises(ValidationError, match="needs a base for these ways"):
        Recipe.model_validate(content | {"measured": {"ways": ("base",)}})
    np.save(tmp_path / "two.npy", made_scene()[0][:, :, :3])
    with pytest.raises(UsageError, match=r"data\.scenes: have fewer bands than 4"):
        Task(Recipe.model_validate(content))
    with pytest.raises(UsageError, match="preset: conv sees bands"):
        Task(Recipe.model_validate(content | {"preset": "conv"}))
    outcome = call("hsi_classify", tmp_path / "one.npy", "--weights", base)
    assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1
    assert "is a base without classes" in outcome.stderr
