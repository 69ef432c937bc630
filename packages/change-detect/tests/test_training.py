"""Pairs, crops, recipes: begun, interrupted, resumed, taken up by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from change_detect import load
from change_detect.checkpoint import read_checkpoint
from change_detect.data import find_pairs, find_split
from change_detect.labels import read_label
from change_detect.training.augment import Augment, augmented
from change_detect.training.crops import Crops
from change_detect.training.recipe import Data
from change_detect.training.task import Task, divide
from vitrail.errors import InputError
from vitrail.testing.commands import call
from vitrail.training.recipe import load_recipe

from .fakes import built, town

ROOT = Path(__file__).parents[3]
RECIPE = """
system: change-detect
name: small
data: {{train: ["{folder}"], val_scenes: [tile_2], side: 32, gsd: 0.5}}
model:
  config: {{embed_dim: 16, depth: 1, num_heads: 2, grid: [2, 2], injector_heads: 2,
           detail_dims: [8, 16, 16]}}
optim: {{lr: 0.003, batch_size: 2}}
epoch: 2
budget: {{epochs: 2}}
monitor: {{metric: val/f1, mode: max}}
"""


def labelled(folder, names=("tile_1", "tile_2", "crop_3_0000_0256"), form="png", largest=255):
    for name in ("A", "B", "Label"):
        (folder / name).mkdir(parents=True)
    for seed, name in enumerate(names):
        ground = town(64, 64, seed)
        truth = np.zeros((64, 64), np.uint8)
        truth[10:30, 20:50] = largest
        for part, pixels in (("A", ground), ("B", built(ground, (10, 20, 30, 50)))):
            Image.fromarray(np.moveaxis(pixels, 0, -1)).save(folder / part / f"{name}.png")
        Image.fromarray(truth).save(folder / "Label" / f"{name}.{form}")
    return folder


@pytest.mark.parametrize(("form", "largest"), [("png", 255), ("png", 1), ("jpg", 255)])
def test_labels_of_every_kind(tmp_path, form, largest):
    pair = find_pairs(labelled(tmp_path, form=form, largest=largest))[0]
    truth = np.zeros((64, 64), bool)
    truth[10:30, 20:50] = True
    assert np.count_nonzero(pair.changed != truth) <= (30 if form == "jpg" else 0)
    assert pair.scene == "crop_3"


def test_labels_that_are_none(tmp_path):
    Image.fromarray(np.arange(64 * 64).reshape(64, 64).astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="holds 256 values, and a label two"):
        read_label(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for data in (b"", b"no image", whole[: len(whole) // 2]):
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(InputError, match=r"a.png"):
            read_label(tmp_path / "a.png")
    pair = find_pairs(labelled(tmp_path / "set"))[0]
    Image.new("L", (40, 64)).save(pair.label)
    with pytest.raises(InputError, match="is of 40 x 64, and its images of 64 x 64"):
        _ = pair.changed
    pair.after.unlink()
    with pytest.raises(InputError, match="has no image of the same name for after"):
        find_pairs(tmp_path / "set")


def test_splits_in_folders_and_lists(tmp_path):
    labelled(tmp_path / "one" / "Train"), labelled(tmp_path / "one" / "VAL", ("x",))
    assert [len(find_split(tmp_path / "one", split)) for split in ("train", "val", "test")] == [
        3,
        1,
        0,
    ]
    labelled(tmp_path / "two")
    (tmp_path / "two" / "list").mkdir()
    (tmp_path / "two" / "list" / "train.txt").write_text("tile_1.png\ncrop_3_0000_0256.png\n")
    assert len(find_split(tmp_path / "two", "train")) == 2


def test_scenes_are_never_divided(tmp_path, capsys):
    crops = [f"scene{n}_{row:04}_0000" for n in range(6) for row in (0, 256)]
    folder = labelled(tmp_path, crops)
    train, val = divide(Data(train=(folder,)))
    assert {p.scene for p in train}.isdisjoint({p.scene for p in val}) and val and train
    assert "no validation split" in capsys.readouterr().err
    train, val = divide(Data(train=(folder,), val_scenes=("scene1",), left_out=("scene2",)))
    assert {p.scene for p in val} == {"scene1"} and "scene2" not in {p.scene for p in train}
    with pytest.raises(InputError, match="scene9 is no scene"):
        divide(Data(train=(folder,), val_scenes=("scene9",)))


def test_crops_follow_from_their_number(tmp_path):
    pairs = find_pairs(labelled(tmp_path))
    crops = Crops(pairs, 32, 40, Augment(), seed=1)
    again = Crops(pairs, 32, 40, Augment(), seed=1)
    shares = []
    for number in range(40):
        before, after, target = crops[number]
        assert before.shape == after.shape == (3, 32, 32) and target.shape == (1, 32, 32)
        assert before.dtype == torch.float32 and set(target.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(before, again[number][0]) and torch.equal(target, again[number][2])
        shares.append(target.mean().item())
    assert np.count_nonzero(shares) >= 20


def test_what_is_pasted_is_labelled_and_a_still_pair_is_not():
    rng = np.random.default_rng(0)
    ground, roofs = np.moveaxis(town(32, 32), 0, -1), np.zeros((32, 32), bool)
    roofs[5:15, 5:15] = True
    donor = ground, np.full_like(ground, 250), roofs
    calm = dict.fromkeys(("light", "haze", "blur", "jpeg", "shift", "still", "paste"), 0.0)
    crop = ground, ground, np.zeros((32, 32), bool)
    seen = [augmented(crop, donor, Augment(**calm | {"paste": 1.0}), rng) for _ in range(8)]
    assert any(changed.sum() == 100 for _, _, changed in seen)
    for before, after, changed in seen:
        assert np.array_equal((before != after).any(2), changed)
    before, after, changed = augmented(donor, None, Augment(**calm | {"still": 1.0}), rng)
    assert np.array_equal(before, after) and not changed.any()


@pytest.mark.parametrize(("size", "embed_dim"), [("tiny", 192), ("small", 384)])
def test_an_official_size_is_begun_interrupted_and_resumed(tmp_path, monkeypatch, size, embed_dim):
    """20 of the recipe's 80,000 steps, on small crops."""
    recipe = load_recipe(ROOT / "pipelines" / "change-detect" / f"{size}.yaml")
    assert recipe.budget.steps == 80_000 and recipe.optim.batch_size == 16
    folder = labelled(tmp_path / "set")
    less = {
        "data": f"{{train: ['{folder}'], val_scenes: [tile_2], side: 32}}",
        "budget": "{epochs: 2}",
        "optim.batch_size": "1",
        "epoch": "10",
    }
    words = [word for key, value in less.items() for word in ("--set", f"{key}={value}")]
    command = ("train", ROOT / "pipelines" / "change-detect" / f"{size}.yaml", *words)
    step, calls = Task.training_step, []

    def stop(self, batch, number):
        calls.append(number)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Task, "training_step", stop)
    assert call("vitrail", *command, "-o", tmp_path / "run").status != 0
    outcome = call("vitrail", *command, "-o", tmp_path / "run")
    assert outcome.status == 0, outcome.stderr
    assert len(calls) == 12 + 10  # it goes on after the first ten
    checkpoint = read_checkpoint(tmp_path / "run" / "weights.safetensors")
    assert checkpoint.config["embed_dim"] == embed_dim
    assert all(torch.isfinite(one).all() for one in checkpoint.state.values())


def test_a_run_is_interrupted_resumed_and_used(tmp_path, monkeypatch):
    labelled(tmp_path / "set")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(folder=tmp_path / "set"))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call("vitrail", "train", recipe, "-o", whole).status == 0
    step, calls = Task.training_step, []

    def stop(self, batch, number):
        calls.append(number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Task, "training_step", stop)
    assert call("vitrail", "train", recipe, "-o", parts).status != 0
    monkeypatch.undo()
    outcome = call("vitrail", "train", recipe, "-o", parts)
    assert outcome.status == 0, outcome.stderr
    from vitrail.weights.files import read_state

    (one, metadata), (other, _) = (read_state(f / "weights.safetensors") for f in (whole, parts))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert 0 < metadata["threshold"] < 1 and metadata["gsd"] == 0.5
    job = load(parts / "weights.safetensors", engine="eager")
    assert job.threshold == metadata["threshold"]
    result = job.predict(*find_pairs(tmp_path / "set")[0].images)
    assert json.dumps(result.to_dict()) and result.changed.shape == (64, 64)


def test_an_encoder_learns_without_labels_and_another_goes_on_from_it(tmp_path):
    labelled(tmp_path / "set")
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(folder=tmp_path / "set"))
    first = ("--set", "masked=0.5", "--set", "monitor={metric: val/error, mode: min}")
    outcome = call("vitrail", "train", recipe, "-o", tmp_path / "first", *first)
    assert outcome.status == 0, outcome.stderr
    start = tmp_path / "first" / "weights.safetensors"
    with pytest.raises(InputError, match="threshold"):  # it is no detector
        load(start)
    init = ("--set", f"model.init={start}", "--set", "optim.lr=1.0e-9")
    assert call("vitrail", "train", recipe, "-o", tmp_path / "second", *init).status == 0
    states = [
        read_checkpoint(tmp_path / name / "weights.safetensors").state
        for name in ("first", "second")
    ]
    name = "encoder.vit.pos_embed"
    assert torch.allclose(states[0][name], states[1][name], atol=1e-6)


def test_hidden_patches_alone_are_judged(tmp_path):
    from change_detect.training.masked import MaskedTask, hidden

    folder, recipe = labelled(tmp_path / "set"), tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(folder=folder) + "masked: 0.25\n")
    task = MaskedTask(load_recipe(recipe)).eval()
    image, mask = hidden(np.moveaxis(town(64, 64), 0, -1), 0.25, np.random.default_rng(0))
    assert mask.shape == (4, 4) and mask.sum() == 4
    with torch.no_grad():
        error = task.error(image[None], mask[None])
        task.head.weight.zero_(), task.head.bias.zero_()
        pixels = image.unflatten(2, (4, 16)).unflatten(1, (4, 16)).permute(1, 3, 0, 2, 4)
        assert task.error(image[None], mask[None]) == pytest.approx(
            pixels[mask].abs().mean().item(), rel=1e-5
        )
    assert error > 0


def test_the_worst_crops_are_drawn(job, tmp_path):
    from change_detect.measure.worst import draw, worst_crops

    pairs = find_pairs(labelled(tmp_path / "set", names=("tile_1", "tile_2")))
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(pairs[0].label)  # nothing to be found
    crops = worst_crops(job, pairs)
    assert [crop.name.partition(",")[0] for crop in crops] == ["tile_2"] and crops[0].f1 > 0.9
    draw(crops, tmp_path / "worst.png")
    with Image.open(tmp_path / "worst.png") as image:
        colours = {colour for _, colour in image.getcolors(1 << 20)}
    assert (60, 140, 70) in colours


def dinov2(dim: int = 16, side: int = 14, grid: int = 5) -> dict[str, torch.Tensor]:
    """A file of DINOv2 by its names: a class token before 5 x 5 positions, patches of 14."""
    from change_detect.models import build_model

    options = {"embed_dim": dim, "depth": 1, "num_heads": 2, "grid": [grid, grid]}
    more = {"injector_heads": 2, "detail_dims": [8, 16, 16], "layer_scale": True}
    torch.manual_seed(0)
    state = build_model("changevit", options | more).encoder.vit.state_dict()
    state = {name: torch.randn_like(value) for name, value in state.items()}
    state["pos_embed"] = torch.randn(1, 1 + grid**2, dim)
    state["patch_embed.proj.weight"] = torch.randn(dim, 3, 1, 1).expand(-1, -1, side, side).clone()
    return state | {"cls_token": torch.zeros(1, 1, dim), "mask_token": torch.zeros(1, dim)}


@pytest.mark.parametrize("layer_scale", [True, False])
def test_a_vit_starts_from_dinov2(tmp_path, layer_scale):
    """Kernel and positions are resampled; the factors are kept, or folded into the layer before."""
    from change_detect.training.starts import network_of

    state, file, recipe = dinov2(), tmp_path / "dino.pth", tmp_path / "small.yaml"
    torch.save(state, file)
    recipe.write_text(RECIPE.format(folder=labelled(tmp_path / "set")))
    values = ("model.config.layer_scale=" + str(layer_scale).lower(), f"model.vit={file}")
    network = network_of(load_recipe(recipe, values)).eval()
    vit = network.encoder.vit
    image = torch.ones(1, 3, 16, 16)  # an even patch answers the same whatever its size
    even = state["patch_embed.proj.weight"].sum((1, 2, 3)) + state["patch_embed.proj.bias"]
    assert torch.allclose(vit.patch_embed(image).flatten(), even, rtol=1e-3, atol=1e-3)
    assert vit.pos_embed.shape == (1, 4, 16)
    x = torch.randn(1, 4, 16)
    block = vit.blocks[0]
    branch = block.mlp(block.norm2(x)) * (block.ls2.gamma if layer_scale else 1)
    hidden = torch.nn.functional.layer_norm(
        x, (16,), state["blocks.0.norm2.weight"], state["blocks.0.norm2.bias"], 1e-6
    )
    hidden = hidden @ state["blocks.0.mlp.fc1.weight"].T + state["blocks.0.mlp.fc1.bias"]
    hidden = torch.nn.functional.gelu(hidden) @ state["blocks.0.mlp.fc2.weight"].T
    expected = (hidden + state["blocks.0.mlp.fc2.bias"]) * state["blocks.0.ls2.gamma"]
    assert torch.allclose(branch, expected, rtol=1e-3, atol=1e-4)


def test_starts_that_do_not_fit(tmp_path):
    from change_detect.training.starts import network_of
    from vitrail.errors import UsageError

    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(folder=labelled(tmp_path / "set")))
    torch.save(dinov2(dim=24), tmp_path / "wide.pth")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "none.pth")
    for name, problem in (("wide", "of another shape"), ("none", "holds no ViT of patches")):
        with pytest.raises(InputError, match=problem):
            network_of(load_recipe(recipe, [f"model.vit={tmp_path / name}.pth"]))
    lite = ["model.config.detail=lite", "model.config.tokens=map"]
    for part, problem in (("vit", "sees the image"), ("resnet", "detail branch resnet")):
        with pytest.raises(UsageError, match=problem):
            network_of(load_recipe(recipe, [*lite, f"model.{part}={tmp_path}/wide.pth"]))


def test_the_detail_branch_starts_from_a_resnet(tmp_path):
    from change_detect.training.starts import network_of

    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(folder=labelled(tmp_path / "set")))
    donor = network_of(load_recipe(recipe)).encoder.detail.state_dict()
    file = tmp_path / "resnet.pth"
    torch.save(donor | {"layer4.0.conv1.weight": torch.zeros(1), "fc.bias": torch.zeros(9)}, file)
    detail = network_of(load_recipe(recipe, [f"model.resnet={file}"])).encoder.detail
    assert all(torch.equal(value, donor[name]) for name, value in detail.state_dict().items())
