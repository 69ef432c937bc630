"""Adapters in training: the paper's swinging scale, what learns, and files without a trace of
peft."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hsi_classify.checkpoint import read_checkpoint
from hsi_classify.fit import presets
from hsi_classify.models import build_model
from hsi_classify.training import Recipe
from hsi_classify.training.adapting import Adapters, adapt, swing
from hsi_classify.training.task import Task
from vitrail.errors import InputError, UsageError, VitrailError
from vitrail.testing.commands import call
from vitrail.training.loop import train
from vitrail.training.lora import merged
from vitrail.training.recipe import load_recipe
from vitrail.weights.files import load_into, read_state

from .fakes import QUICK, made_scene

PIPELINES = Path(__file__).parents[3] / "pipelines" / "hsi-classify"
SIZES = {**QUICK.config, "components": 4, "num_classes": 3}


@pytest.fixture
def content(tmp_path) -> dict:
    cube, labels = made_scene()
    np.save(tmp_path / "cube.npy", cube)
    np.save(tmp_path / "labels.npy", labels)
    return {
        "system": "hsi-classify",
        "name": "hsi-made",
        "data": {"cube": tmp_path / "cube.npy", "labels": tmp_path / "labels.npy", "per_class": 20},
        "optim": {"lr": 1e-2, "batch_size": 12},
        "budget": {"steps": 4},
        "monitor": {"metric": "val/loss", "mode": "min"},
    }


def task(content: dict, **more) -> Task:
    return Task(Recipe.model_validate(content | more))


def test_the_scale_swings_as_a_cosine():
    how = Adapters(cycle=100, lowest=0.2)
    assert how.scale(0) == how.scale(100) == 1
    assert how.scale(50) == pytest.approx(0.2) and how.scale(25) == pytest.approx(0.6)
    assert Adapters().scale(7) == 1


@pytest.mark.parametrize("kind", ["gated", "lora"])
def test_the_scale_reaches_adapters_of_either_kind(kind):
    torch.manual_seed(0)
    how = Adapters(kind=kind, rank=2, alpha=4)
    network = build_model("specvit", SIZES | ({"rank": 2} if kind == "gated" else {})).eval()
    x = torch.randn(2, 4, 5, 5)
    bare = network(x)
    adapt(network, how)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    whole = network(x)
    swing(network, how, 0.5)
    half = network(x)
    assert not torch.allclose(whole, half)
    swing(network, how, 0.0)
    if kind == "lora":
        torch.testing.assert_close(network(x), bare)
        swing(network, how, 1.0)
        plain = merged(network)
        torch.testing.assert_close(plain(x), whole, rtol=1e-4, atol=1e-5)
        assert plain.state_dict().keys() == build_model("specvit", SIZES).state_dict().keys()


@pytest.mark.parametrize("kind", ["gated", "lora"])
def test_a_frozen_base_stays_and_the_adapters_learn(content, kind):
    how = {"kind": kind, "rank": 2, "alpha": 4, "frozen": "base"}
    one = task(content, adapters=how)
    learning = {name for name, p in one.network.named_parameters() if p.requires_grad}
    assert learning and all("lora_" in name or name.startswith("head.") for name in learning)
    assert len(learning) < len(list(one.network.parameters()))


def test_a_run_with_low_rank_adapters_leaves_a_plain_weights_file(content, tmp_path):
    recipe = Recipe.model_validate(
        content | {"adapters": {"kind": "lora", "rank": 2, "alpha": 4, "cycle": 3}}
    )
    path = train(recipe, tmp_path / "run")
    found = read_checkpoint(path)
    assert not any("lora" in key for key in found.state)
    found.build()
    again = task(content, start=path, adapters={"kind": "lora", "frozen": "base", "rank": 2})
    own = again.network.state_dict()
    key = "levels.0.0.attn.proj.linear"
    torch.testing.assert_close(
        own[f"{key}.base_layer.weight"], found.state[f"{key}.weight"].float(), rtol=1e-3, atol=1e-3
    )


def test_patches_are_normalised_where_a_recipe_says_so(content):
    assert not task(content).scene.preset.per_patch
    one = task(content, per_patch=True)
    patches = one.samples[0][0][0]
    torch.testing.assert_close(patches.mean((1, 2)), torch.zeros(4), atol=1e-4, rtol=0)
    assert one.weights()[1]["per_patch"]


def test_the_yardstick_has_no_adapters(content):
    with pytest.raises(UsageError, match="adapters: conv has none"):
        task(content, preset="conv", adapters={"kind": "gated"})


def test_the_official_recipe_is_begun_interrupted_and_resumed(content, tmp_path, monkeypatch):
    """The recipe as it stands but for its scene and its size: 20 steps, stopped after 8."""
    official = replace(presets.PRESETS["official"], config=QUICK.config, components=4, patch=5)
    monkeypatch.setitem(presets.PRESETS, "official", official)
    sets = [f"data.cube={content['data']['cube']}", f"data.labels={content['data']['labels']}"]
    sets += ["data.per_class=20", "optim.batch_size=12", "budget={steps: 20}"]
    recipe = load_recipe(PIPELINES / "official.yaml", sets)
    assert isinstance(recipe, Recipe) and recipe.adapters == Adapters(cycle=100)
    step, stopped = Task.training_step, []

    def interrupted(self, batch, number):
        if self.global_step == 8 and not stopped:
            stopped.append(self.global_step)
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Task, "training_step", interrupted)
    with pytest.raises((KeyboardInterrupt, VitrailError)):
        train(recipe, tmp_path / "run")
    assert stopped == [8] and not (tmp_path / "run" / "weights.safetensors").exists()
    first = []
    monkeypatch.setattr(
        Task, "training_step", lambda s, b, n: (first.append(s.global_step), step(s, b, n))[1]
    )
    path = train(recipe, tmp_path / "run")
    assert first[0] == 8 and first[-1] == 19
    found = read_checkpoint(path)
    assert found.config["rank"] == 16 and any("lora_gate" in key for key in found.state)


@pytest.mark.parametrize("kind", ["lora", "gated"])
def test_adapters_in_a_file_of_their_own_go_on_their_base(content, tmp_path, kind):
    base = train(Recipe.model_validate(content), tmp_path / "base")
    how = {"kind": kind, "rank": 2, "alpha": 4, "frozen": "levels", "apart": True}
    recipe = Recipe.model_validate(content | {"start": base, "adapters": how})
    path = train(recipe, tmp_path / "run").rename(tmp_path / "base" / "scene.safetensors")
    if kind == "lora":
        assert path.stat().st_size < 0.8 * base.stat().st_size
    found = read_checkpoint(path)
    # As the training itself has it: the best state, which the run's checkpoint keeps.
    one = Task(recipe)
    load_into(one, read_state(tmp_path / "run" / "best.ckpt")[0])
    x = torch.randn(3, 4, 5, 5)
    expected = one.network.eval()(x).detach()
    torch.testing.assert_close(found.build()(x), expected, rtol=0.02, atol=0.02)  # float16
    before = read_checkpoint(base).build()(x)
    assert not torch.allclose(before, expected, atol=0.05)
    cube = content["data"]["cube"]
    outcome = call("hsi_classify", cube, "--weights", path)
    assert outcome.status == 0, outcome.stderr
    moved = path.rename(tmp_path / "scene.safetensors")
    with pytest.raises(InputError, match=r"goes on weights\.safetensors, which is not there; put"):
        read_checkpoint(moved)
    (tmp_path / "weights.safetensors").write_bytes(moved.read_bytes())
    with pytest.raises(InputError, match=r"goes on another weights\.safetensors than is there"):
        read_checkpoint(moved)


def test_starts_and_adapters_that_make_no_sense(content, tmp_path):
    how = {"kind": "lora", "rank": 2, "frozen": "levels", "apart": True}
    with pytest.raises(ValidationError, match="apart needs a part that is frozen"):
        task(content, adapters=how | {"frozen": "nothing"})
    with pytest.raises(UsageError, match=r"adapters\.apart: has nothing to go on"):
        task(content, adapters=how)
    other = train(Recipe.model_validate(content | {"preset": "conv"}), tmp_path / "conv")
    with pytest.raises(UsageError, match=r"start: .* tensors do not fit"):
        task(content, start=other)


def test_only_the_levels_are_frozen_where_a_recipe_says_so(content):
    how = {"kind": "lora", "rank": 2, "frozen": "levels"}
    for name, parameter in task(content, adapters=how).network.named_parameters():
        assert parameter.requires_grad == ("lora_" in name or not name.startswith("levels."))
