"""What the detector learns from: labels, whose photographs, and that a network does learn from
them."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("lightning")

from vitrail.detection.loss import detection_losses
from vitrail.detection.model import grid
from vitrail.errors import InputError
from vitrail.faces.networks import load_networks
from vitrail.faces.others import YuNet
from vitrail.faces.training import Recipe, Task, data
from vitrail.faces.training.data import (
    SURE,
    UNSURE,
    label,
    load_photographs,
    person,
    read_mesh,
    scenes_without_people,
    teach,
)
from vitrail.training.recipe import load_recipe
from vitrail.weights.files import save

RECIPE = Path(__file__).parents[2] / "pipelines/faces/detector.yaml"


class OneFace:
    """Finds the same face in each image of at least 40 pixels, and notes how many images it was
    asked for."""

    name, device, weights = "toy", "cpu", ""

    asked: ClassVar[list[int]] = []

    def __init__(self, *_):
        pass

    def __call__(self, images):
        self.asked.append(len(images))
        face = np.array([[0.9, 10, 10, 30, 35, *[0] * 10]])
        return [face if min(image.shape[:2]) >= 40 else face[:0] for image in images]


def write_picture(path, size=(48, 48), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> Recipe:
    """The shipped recipe over images of noise, with a tiny network."""
    people = {
        "train": ["Ann_Lee_0001", "Bo_Chu_0001", "Cy_Fox_0002"],
        "val": ["Bo_Chu_0003", "Di_Ray_0001"],
    }
    names = [f"{part}/{name}.png" for part, group in people.items() for name in group]
    for seed, name in enumerate(names):
        write_picture(tmp_path / "faces" / name, seed=seed)
    write_picture(tmp_path / "raw/Cy_Fox_0001.png")
    for folder in ("scenes", "val_scenes"):
        write_picture(tmp_path / folder / "1.png", size=(18, 36))
    mesh = np.full((len(names), 468, 2), 20 * 32, np.int16)
    mesh[:, [362, 263, 291], 0] = 28 * 32
    mesh[:, [61, 291], 1] = 30 * 32
    np.savez(tmp_path / "faces/mesh.npz", files=names, xy_times_32=mesh)
    monkeypatch.setattr(data, "YuNet", OneFace)
    places = {
        "faces": "faces/train",
        "val_faces": "faces/val",
        "mesh": "faces/mesh.npz",
        "teacher": "teacher.onnx",
        "cache": "cache.npz",
        "clips": "clips",
    }
    overrides = [f"data.{key}={tmp_path / place}" for key, place in places.items()]
    overrides += [f"data.{key}=[{tmp_path / key}]" for key in ("scenes", "val_scenes")]
    overrides.append(f"data.held_out=[{tmp_path / 'raw'}]")
    tiny = "model={stem: 4, dims: [4, 8, 8, 8], depths: [1, 1, 1], neck: 8}"
    return load_recipe(RECIPE, [*overrides, tiny, "optim.batch_size=2"])


def test_nobody_of_the_held_out_folders_is_trained_on(recipe):
    train, validation = load_photographs(recipe.data)
    assert len(train.portraits) == 1, "Bo Chu is in val, Cy Fox in raw"
    assert len(validation.portraits) == 2
    assert len(train.scenes) == len(validation.scenes) == 1
    assert train.portraits[0].landmarks[0].tolist() == [
        [20, 20],
        [28, 20],
        [20, 20],
        [20, 30],
        [28, 30],
    ]


def test_scenes_that_show_people_are_left_out(recipe):
    assert len(scenes_without_people(recipe.data)) == 1
    assert scenes_without_people(recipe.data.model_copy(update={"peopled": ("1",)})) == []


def test_a_missing_folder_is_told(recipe):
    missing = recipe.data.model_copy(update={"scenes": ("nowhere",)})
    with pytest.raises(InputError, match="VITRAIL_DATA"):
        load_photographs(missing)


def test_the_teacher_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "YuNet", OneFace)
    monkeypatch.setattr(OneFace, "asked", [])
    paths = [tmp_path / "pictures" / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        write_picture(path, seed=number)
    teacher, cache = tmp_path / "teacher.onnx", tmp_path / "cache.npz"
    first = teach(teacher, paths[:2], cache)
    again = teach(teacher, paths, cache)
    assert OneFace.asked == [1] * 6, "each image once, at two sizes"
    np.testing.assert_array_equal(again[paths[0]], first[paths[0]])
    assert again[paths[2]].shape[1] == 5
    monkeypatch.setattr(data, "YuNet", YuNet)
    assert teach(teacher, paths, cache).keys() == set(paths), "no file is needed for what is known"
    with pytest.raises(InputError, match=r"teacher\.onnx"):
        teach(teacher, [paths[0].with_name("new.png")], cache)


def test_what_is_only_seen_in_the_larger_picture_is_doubtful(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "YuNet", OneFace)
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    write_picture(small, size=(24, 24))
    write_picture(large, size=(48, 48))
    found = teach(tmp_path / "teacher.onnx", [small, large], tmp_path / "cache.npz")
    (doubtful,) = found[small]
    np.testing.assert_allclose(doubtful[:4], [5, 5, 15, 17.5])
    assert UNSURE < doubtful[4] < SURE
    assert found[large][0, 4] > SURE
    scene = label(np.zeros((24, 24, 3), np.uint8), found[small])
    assert len(scene.boxes) == 0 and len(scene.unsure) == 1


def test_labels_put_the_well_known_face_first_and_doubtful_ones_aside():
    rows = np.array(
        [[0, 0, 10, 10, 0.95], [40, 40, 60, 60, 0.6], [80, 0, 90, 9, 0.5], [0, 80, 9, 90, 0.1]],
        np.float32,
    )
    five = np.full((5, 2), 50, np.float32)
    scene = label(np.zeros((100, 100, 3), np.uint8), rows, five)
    assert scene.boxes.tolist() == [[40, 40, 60, 60], [0, 0, 10, 10]]
    np.testing.assert_array_equal(scene.landmarks[0], five)
    assert np.isnan(scene.landmarks[1]).all()
    assert scene.unsure.tolist() == [[80, 0, 90, 9]]


def test_a_portrait_without_a_found_face_is_no_portrait():
    nothing = np.zeros((0, 5), np.float32)
    with pytest.raises(InputError, match="no face"):
        label(np.zeros((100, 100, 3), np.uint8), nothing, np.full((5, 2), 50, np.float32))


def test_names_of_people():
    assert person(Path("Ana_del_Rey_0012.jpg")) == "Ana_del_Rey"


def test_mesh_points_are_averaged_to_five_landmarks(tmp_path):
    mesh = np.zeros((1, 468, 2), np.int16)
    mesh[0, 33], mesh[0, 133], mesh[0, 291] = (320, 640), (960, 640), (64, 96)
    np.savez(tmp_path / "mesh.npz", files=["a.png"], xy_times_32=mesh)
    (five,) = read_mesh(tmp_path / "mesh.npz").values()
    assert five[0].tolist() == [20, 20]
    assert five[4].tolist() == [2, 3]


def test_a_task_trains_validates_and_gives_weights_that_load(recipe, tmp_path):
    torch.manual_seed(0)
    task = Task(recipe)
    task.log = task.log_dict = lambda *_, **__: None
    batch = task.train_dataloader().dataset[0]
    before = task.training_step(batch, 0)
    before.backward()
    assert all(parameter.grad is not None for parameter in task.model.parameters())
    logged = {}
    task.log = lambda name, value, **_: logged.update({name: value})
    task.eval()
    with torch.no_grad():
        task.validation_step(batch, 0)
    task.on_validation_epoch_end()
    assert 0 <= logged[recipe.monitor.metric] <= 1
    state, metadata = task.weights()
    save(tmp_path / "w.safetensors", state, metadata)
    finder, _ = load_networks([str(tmp_path / "w.safetensors")])
    assert finder.module.head[-1].out_channels == 15
    again = Task(
        recipe.model_copy(
            update={
                "model": recipe.model.model_copy(update={"init": str(tmp_path / "w.safetensors")})
            }
        )
    )
    torch.testing.assert_close(again.model.state_dict(), state, rtol=1e-3, atol=1e-3)


def test_a_small_network_learns_a_batch_by_heart(recipe):
    torch.manual_seed(0)
    task = Task(recipe)
    images = torch.rand(2, 3, 64, 64) * 60
    boxes = torch.tensor([[[8, 8, 40, 40.0]], [[24, 16, 56, 48.0]]])
    for image, ((x0, y0, x1, y1),) in zip(images, boxes.int().tolist(), strict=True):
        image[:, y0:y1, x0:x1] += 150
    labels = [
        {
            "boxes": box,
            "landmarks": box[:, None, :2].repeat(1, 5, 1) + 8,
            "unsure": torch.zeros(0, 4),
        }
        for box in boxes
    ]
    points, strides = grid((64, 64))
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.01)
    losses = []
    for _ in range(90):
        parts = detection_losses(task.model.finder(images), points, strides, labels)
        losses.append(torch.stack(list(parts.values())).detach())
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
    assert losses[-1][1] < 0.3 * losses[0][1], "boxes"
    assert losses[-1][2] < 0.3 * losses[0][2], "landmarks"
