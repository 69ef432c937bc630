"""Recordings, samples, and a recipe that runs: the loss falls."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from carla_drive.checkpoint import read_checkpoint
from carla_drive.data import Frames, read_measurements, read_recording, split
from carla_drive.driving.recording import Disturbance, record, write_index
from carla_drive.job import bird_view, from_strip, to_strip
from carla_drive.networks import load_network
from carla_drive.training import Task
from carla_drive.world import labels
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import Scenario
from vitrail.errors import InputError, UsageError
from vitrail.testing.commands import call
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe

from .test_models import SMALL

YAML = """
system: carla-drive
name: tiny
data: {{paths: [{0}], val_share: 0.4}}
model:
  config: {1}
losses: {{balance: {2}}}
optim: {{lr: 2.0e-3, batch_size: 2}}
budget: {{steps: 6}}
monitor: {{metric: val/total, mode: min}}
"""


@pytest.fixture(scope="module")
def recording(tmp_path_factory, ground, route):
    root = tmp_path_factory.mktemp("recording")
    for number in range(3):
        scene = Scenario(ground.graph, ground.rules, route, vehicles=3, walkers=2, town=ground.town)
        folder = root / ground.town / f"1-{number:04d}"
        world = EmbeddedWorld(fresh_look=True)
        rows = record(world, scene, number, folder, most=3, disturbance=Disturbance(0.3))
        write_index(root, rows, {})
    return root


def test_a_recording_is_read_back(recording):
    found = read_recording(recording)
    assert len(found.frames) == 9 and found.depth_order == "carla"
    sample = Frames(found.frames, found.depth_order, augment=True)[1]
    assert sample["rgb"].shape == (3, 160, 768) and sample["depth"].shape == (160, 768)
    assert sample["semantics"].max() < labels.CLASSES
    assert sample["target"][1] < 0 and sample["waypoints"].shape == (3, 2)


def test_without_index_the_byte_order_is_found(recording, tmp_path):
    plain = read_recording(recording / "made-2")
    assert len(plain.frames) == 9 and plain.depth_order == "carla"


def test_whole_drives_are_kept_out(recording):
    frames = read_recording(recording).frames
    train_part, val = split(frames, 0.3, ())
    assert not {f.folder for f in train_part} & {f.folder for f in val}
    with pytest.raises(InputError, match="too few drives"):
        split(frames, 0.3, ("made-2",))


@pytest.mark.parametrize("change", [{"x": "north"}, {"speed": float("nan")}, {"command": None}])
def test_measurements_that_are_none(recording, tmp_path, change):
    path = read_recording(recording).frames[0].file("measurements", "json")
    row = json.loads(path.read_text()) | change
    (tmp_path / "0000.json").write_text(json.dumps(row))
    with pytest.raises(InputError, match="is no measurement"):
        read_measurements(tmp_path / "0000.json")


def test_a_compass_without_value_counts_as_nothing(recording, tmp_path):
    path = read_recording(recording).frames[0].file("measurements", "json")
    (tmp_path / "0.json").write_text(
        json.dumps(json.loads(path.read_text()) | {"theta": float("nan")})
    )
    assert read_measurements(tmp_path / "0.json")["theta"] == 0


def test_an_index_that_leaves_its_folder_is_refused(tmp_path):
    rows = [{"frame": "../../etc", "name": "0000", "town": "t"}]
    (tmp_path / "index.json").write_text(json.dumps({"depth_order": "carla", "frames": rows}))
    with pytest.raises(InputError, match="is no index"):
        read_recording(tmp_path)


def listed() -> dict:
    """The options of a small network as YAML has them."""
    return {key: list(v) if isinstance(v, tuple) else v for key, v in SMALL.items()}


@pytest.fixture(scope="module")
def weights(recording, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = json.dumps(listed())
    (folder / "recipe.yaml").write_text(YAML.format(recording, config, "gradnorm"))
    return train(load_recipe(folder / "recipe.yaml"), folder / "run")


def test_what_sees_stays_while_driving_is_learned(recording, weights, tmp_path):
    config = json.dumps(listed())
    told = f"  init: {weights}\n  learn: driving\n  config: {config}"
    text = YAML.format(recording, "CONFIG", "fixed").replace("  config: CONFIG", told)
    (tmp_path / "recipe.yaml").write_text(text)
    before = read_checkpoint(weights).state
    after = read_checkpoint(train(load_recipe(tmp_path / "recipe.yaml"), tmp_path / "run")).state
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert {"path_head", "detail", "SC_encoder"} <= changed
    assert not changed & {"cvt", "conv1_down", "conv3_ss_f", "final_ss_f"}


def test_a_town_to_leave_out_that_is_not_there_is_refused(recording, tmp_path):
    text = YAML.format(recording, "{}", "fixed").replace(
        "val_share", "left_out: [Town2], val_share"
    )
    (tmp_path / "recipe.yaml").write_text(text)
    task = Task(load_recipe(tmp_path / "recipe.yaml", [f"model.config={json.dumps(listed())}"]))
    with pytest.raises(UsageError, match="Town2 is in no recording; there are made-2"):
        _ = task.datasets


def test_a_recipe_trains_weights_that_drive(weights, ground, route, tmp_path):
    checkpoint = read_checkpoint(weights)
    assert checkpoint.architecture == "letfuser" and checkpoint.config["path_points"] == 6
    network = load_network(str(weights))
    with torch.inference_mode():
        out = network.module(*(torch.from_numpy(part) for part in network.inputs))
    assert torch.isfinite(out.path).all()


def test_perceive_takes_frames_of_any_size(weights, tmp_path):
    rng = np.random.default_rng(0)
    for number, size in enumerate([(300, 200), (64, 48), (1280, 640)]):
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(
            tmp_path / f"{number}.png"
        )
    (tmp_path / "bad.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    arguments = (
        "perceive",
        tmp_path,
        "--weights",
        weights,
        "--engine",
        "eager",
        "-o",
        out,
        "--json",
    )
    done = call("carla_drive", *arguments)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.status == 1 and [row["status"] for row in rows].count("done") == 3
    assert Image.open(out / "0.png" / "semantics.png").size == (300, 200)
    assert all("no depth" in " ".join(row["reasons"]) for row in rows if row["status"] == "done")


def test_the_strip_sees_where_the_picture_looks():
    picture = np.zeros((320, 640, 3), np.uint8)
    picture[:, 320:] = 200
    strip, where = to_strip(picture, 90.0)
    assert strip[80, 380].max() == 0 and strip[80, 388].min() == 200
    assert where[:, 224:544].all() and not where[:, :64].any()
    back = from_strip(np.where(strip[..., 0] > 100, 7, 13).astype(np.uint8), (320, 640), 90.0)
    assert back[160, 300] == 13 and back[160, 340] == 7


def test_from_above_things_are_where_depth_says():
    metres, seen = np.full((160, 768), 2000.0), np.full((160, 768), 13)
    metres[85, 384], seen[85, 384] = 10.0, labels.VEHICLE
    view = bird_view(metres, seen)
    (row,), (column,) = np.nonzero(view == labels.VEHICLE)
    assert (row, column) == (159 - 40, 384)
