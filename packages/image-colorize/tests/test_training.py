"""Samples, loss, the recipe, and a run of a few steps that goes on after a stop."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from image_colorize.baselines import levin, nearest
from image_colorize.data import Crops, Sampling, read_photographs, squashed
from image_colorize.hints import Hint
from image_colorize.model import Config
from image_colorize.networks import load_network
from image_colorize.seen import Shape, place
from image_colorize.training import Task
from vitrail.errors import InputError, VitrailError
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe
from vitrail.weights.files import read_state

SMALL = Config(image_size=32, patch_size=8, embed_dim=16, depth=1, num_heads=2)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for n in range(3):
        small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        small.resize((80, 60)).save(tmp_path / f"{n}.png")
    Image.new("RGB", (80, 60), "grey").save(tmp_path / "grey.png")
    return tmp_path


def test_photographs_without_colour_are_left_out(folder):
    assert len(read_photographs([(folder, 1)])) == 3
    for path in folder.glob("[0-9].png"):
        path.unlink()
    with pytest.raises(InputError, match="no colour photograph"):
        read_photographs([(folder, 1)])


def test_a_batch_depends_on_its_number_alone(folder):
    images = read_photographs([(folder, 1)])
    crops = Crops(images, SMALL, Sampling(), seed=3)
    first, again, other = (crops.batch(number, 4, 16) for number in (5, 5, 6))
    torch.testing.assert_close(first[:2], again[:2])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (4, 4, 16, 16) and first[1].shape == (4, 2, 16, 16)
    assert all(0 <= part <= 2 for part in first[2])


def test_turned_hues_keep_their_chroma(folder):
    images = read_photographs([(folder, 1)])
    plain, turned = (
        Crops(images, SMALL, Sampling(turned=share), seed=3).batch(1, 4, 32)[1] for share in (0, 1)
    )
    torch.testing.assert_close(plain.norm(dim=1), turned.norm(dim=1), atol=1e-5, rtol=1e-4)
    assert (plain - turned).abs().max() > 0.05
    assert squashed(images, 32).shape == (3, 3, 32, 32)


def test_fills_without_a_network():
    grid = Shape(16, 1, False)
    lightness = np.full((16, 16), 40, np.float32)
    lightness[:, 8:] = 70
    hints = [Hint(0.2, 0.5, (150, 60, 60)), Hint(0.8, 0.5, (60, 90, 200))]
    placed = place(hints, lightness, grid)
    near, spread = nearest(lightness, placed), levin(lightness, placed)
    assert np.abs(spread[:, :8] - placed[0].ab).max() < 1  # colours stop at the edge
    assert np.abs(spread[:, 8:] - placed[1].ab).max() < 1
    np.testing.assert_allclose(near[0, 0], placed[0].ab, rtol=1e-5)
    assert not nearest(lightness, []).any() and not levin(lightness, []).any()


RECIPE = """
system: image-colorize
name: small
data: {train: [{path: "${VITRAIL_DATA}"}], val: [{path: "${VITRAIL_DATA}"}]}
model: {config: {image_size: 32, patch_size: 8, embed_dim: 16, depth: 1, num_heads: 2}}
samples: {crop: 16, crops_until: 0.5, more: 2}
optim: {lr: 1.0e-3, batch_size: 2}
budget: {steps: 4}
monitor: {metric: val/psnr, mode: max}
"""


def test_a_run_is_interrupted_resumed_and_used(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VITRAIL_DATA", str(folder))
    recipe, step, calls = load_recipe(_written(tmp_path, RECIPE)), Task.training_step, []
    whole = train(recipe, tmp_path / "whole")

    def stop(self, batch, number):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Task, "training_step", stop)
    with pytest.raises(VitrailError):
        train(recipe, tmp_path / "parts")
    monkeypatch.setattr(Task, "training_step", step)
    parts = train(recipe, tmp_path / "parts")
    one, other = (read_state(path)[0] for path in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)
    network = load_network(str(parts))
    assert network.shape == Shape(32, 2, False)
    with torch.no_grad():
        assert network.module(torch.zeros(1, 4, 32, 32)).shape == (1, 2, 32, 32)


def test_the_bundled_weights_are_a_beginning(folder, tmp_path, monkeypatch):
    """Their own network and no other goes on from them."""
    monkeypatch.setenv("VITRAIL_DATA", str(folder))
    text = RECIPE.replace("model: {", "model: {init: tiny, ")
    with pytest.raises(InputError, match="does not fit this network"):
        Task(load_recipe(_written(tmp_path, text)))
    sizes = "{image_size: 112, patch_size: 8, embed_dim: 128, depth: 6, num_heads: 4}"
    task = Task(load_recipe(_written(tmp_path, re.sub(r"(config: ){[^}]*}", rf"\1{sizes}", text))))
    bundled = load_network("tiny").module.state_dict()
    assert all(torch.equal(value, bundled[key]) for key, value in task.network.state_dict().items())


def _written(folder, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path
