"""What networks learn from, and that they learn."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lightning")

from pose_estimate import load
from pose_estimate.data import Coco, Lsp, Mpii, read_people, split_people
from pose_estimate.evaluation import Poses, evaluate, precision_table, visible_rows
from pose_estimate.networks import Search
from pose_estimate.people.finder import OwnFinder, load_finder
from pose_estimate.pose.crop import CropShape
from pose_estimate.skeleton import skeleton
from pose_estimate.training.finder import (
    LONG_SIDES,
    SIDE,
    Scene,
    best_score,
    compose,
    large_alone,
    match_rows,
    scenes_of,
)
from pose_estimate.training.recipe import Augment
from pose_estimate.training.render import Renderer
from pose_estimate.training.samples import FromPictures, Shot, Whole, mirrored, varied
from pose_estimate.training.teacher import anchors
from vitrail.detection.matching import Matches
from vitrail.errors import InputError, UsageError
from vitrail.testing.beside import DATA, needs
from vitrail.testing.media import pattern, write_picture
from vitrail.training.loop import train
from vitrail.training.recipe import load_recipe

from .fakes import EVITPOSE, UNITRANSPOSE

COCO = skeleton("coco")
PIPELINES = Path(__file__).parents[3] / "pipelines" / "pose-estimate"
SHAPE = CropShape((64, 48))
STILL = Augment(scale=0, rotate=0, rotated=0, shift=0, flip=0, half_body=0, hidden=0, degraded=0)


def people_of(folder: Path, count: int = 10) -> Coco:
    """Pictures with one person each, whose joints lie in a fixed pattern in the box."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    places = rng.random((17, 2))
    for number in range(count):
        write_picture(folder / f"{number}.png", pattern(80, 64, seed=number))
        images.append({"id": number, "file_name": f"{number}.png"})
        box = np.array([*rng.uniform(0, 20, 2), *rng.uniform(30, 40, 2)])
        joints = np.column_stack((box[:2] + places * box[2:], np.full(17, 2)))
        annotations.append({"id": number, "image_id": number, "category_id": 1,
                            "bbox": box.tolist(), "keypoints": joints.ravel().tolist(),
                            "area": float(box[2] * box[3]), "iscrowd": 0})  # fmt: skip
    path = folder / "people.json"
    category = {"id": 1, "name": "person", "keypoints": list(COCO.labels)}
    content = {"images": images, "annotations": annotations, "categories": [category]}
    path.write_text(json.dumps(content))
    return Coco(annotations=path, images=folder)


def small_recipe(name: str, folder: Path, *overrides: str):
    source = people_of(folder)
    config = {
        "evitpose": EVITPOSE,
        "unitranspose": UNITRANSPOSE,
        "people": {"stem": 4, "dims": [4, 8, 8, 8], "depths": [1, 1, 1], "neck": 8},
    }[name]
    config = json.dumps(config).replace('"', "")
    listed = f"[{{kind: coco, annotations: {source.annotations}, images: {source.images}}}]"
    architecture = "finder" if name == "people" else name
    return load_recipe(
        PIPELINES / f"{name}.yaml",
        [f"data={{labelled: {listed}, test: {listed}, val_share: 0.3}}",
         f"model={{architecture: {architecture}, config: {config}}}",
         "budget={steps: 4}", "optim.batch_size=2", "optim.precision=32", "epoch=2", "workers=0",
         *overrides],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["evitpose", "unitranspose"])
def test_what_training_writes_is_what_the_job_loads(name, tmp_path):
    recipe = small_recipe(name, tmp_path)
    weights = train(recipe, tmp_path / "run")
    result = load(str(weights), whole_image=True, engine="eager").predict(tmp_path / "0.png")
    assert len(result.people) == 1 and result.skeleton == COCO


def test_what_the_finders_training_writes_finds(tmp_path):
    weights = train(small_recipe("people", tmp_path), tmp_path / "run")
    finder = load_finder(str(weights), engine="eager")
    assert isinstance(finder, OwnFinder) and finder.search.long_side in LONG_SIDES


@pytest.mark.parametrize("name", ["evitpose", "unitranspose", "people"])
def test_the_loss_falls(name, tmp_path):
    """On one batch, again and again."""
    from pose_estimate.training import Task

    torch.manual_seed(0)
    task = Task(small_recipe(name, tmp_path))
    batch = next(iter(task.train_dataloader()))
    task.log = task.log_dict = lambda *_, **__: None
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-2)
    task._drawn_keep = lambda number: 0.5 if number % 2 else 1.0
    losses = []
    for number in range(80):  # at the end a fifth of the beginning, so that no rounding decides
        loss = task.training_step(batch, number)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])


@pytest.mark.parametrize("name", ["evitpose", "people"])
def test_what_is_written_is_the_running_mean(name, tmp_path):
    """After one step a tenth of the way from where the network began."""
    from pose_estimate.training import Task

    task = Task(small_recipe(name, tmp_path, "average=0.9", "model.imagenet=false"))
    before = {key: value.clone() for key, value in task.weights()[0].items()}
    task.on_train_batch_end(None, None, 0)  # the mean begins with the first step
    with torch.no_grad():
        for value in task.network.parameters():
            value += 1
    task.on_train_batch_end(None, None, 1)
    after = task.weights()[0]
    for key, _ in task.network.named_parameters():
        torch.testing.assert_close(after[key], before[key] + 0.1, rtol=0, atol=1e-5)
    optimised = {
        id(v) for group in task.configure_optimizers().param_groups for v in group["params"]
    }
    assert not optimised & {id(value) for value in task.mean_network.parameters()}


def test_the_trunk_learns_more_slowly(tmp_path):
    from pose_estimate.training import Task

    model = ("model.config.stem=lite", "model.frozen=1", "model.trunk_rate=0.25")
    task = Task(small_recipe("evitpose", tmp_path, *model))
    trunk = {id(value) for value in task.trunk.parameters() if value.requires_grad}
    for group in task.configure_optimizers().param_groups:
        slow = {id(value) in trunk for value in group["params"]}
        assert len(slow) == 1
        expected = task.recipe.optim.lr * (0.25 if slow.pop() else 1)
        assert group["lr"] == pytest.approx(expected)


def test_the_limit_of_what_is_visible_tells_right_from_wrong():
    from pose_estimate.training.task import visible_limit

    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.9])
    assert visible_limit(scores, scores > 0.5) == 0.6
    right = np.array([0, 0, 1, 1, 1, 1], bool)
    assert visible_limit(scores, right) == 0.3
    rows = {row[0]: row[1:] for row in visible_rows(scores, right, 0.6)}
    assert rows[0.3] == (1.0, 1.0, pytest.approx(1.0), "the best")
    assert rows[0.6] == (1.0, 0.75, pytest.approx(1.5 / 1.75), "the file's")
    assert rows[0.2] == (0.8, 1.0, pytest.approx(1.6 / 1.8), "")


def test_loaders_of_several_processes_give_what_one_gives(tmp_path):
    from pose_estimate.training import Task

    alone, beside = (
        Task(small_recipe("evitpose", tmp_path, f"workers={count}")) for count in (0, 1)
    )
    pairs = zip(alone.train_dataloader(), beside.train_dataloader(), strict=True)
    for one, other in pairs:
        assert torch.equal(one["images"], other["images"])


def test_evaluation_prints_its_tables(tmp_path):
    recipe = small_recipe("evitpose", tmp_path)
    weights = train(recipe, tmp_path / "run")
    tables = evaluate(recipe, str(weights))
    rows = {row[0]: row for row in tables[0].rows}
    assert rows["mean pose in the box"][1] == pytest.approx(1.0), "all are in the same pose"
    assert [row[0] for row in tables[3].rows] == [1.0, 0.9, 0.7, 0.5, 0.3]
    assert "people who validate" in tables[2].title
    assert tables[1].rows[0][-2:] == ("10 of 10", 0)
    precision = {row[0]: row for row in tables[1].rows}
    assert precision["mean pose in the box"][1] == pytest.approx(1.0)


def test_what_others_found_is_measured_beside(tmp_path):
    recipe = small_recipe("evitpose", tmp_path)
    (source,) = recipe.data.test
    people = read_people(source)
    entries = [
        {"image_id": one.image_id, "score": 0.9, "keypoints": one.joints.ravel().tolist()}
        for one in people[1:]
    ]
    strange = {"image_id": "elsewhere", "score": 0.5, "keypoints": [1.0] * 51}
    mine = tmp_path / "mine.json"

    def precision(*found: dict) -> dict[object, tuple]:
        mine.write_text(json.dumps(found))
        data = recipe.data.model_copy(update={"results": {"mine": mine}})
        asked = recipe.model_copy(update={"data": data})
        perfect = Poses(people, np.stack([one.joints for one in people]), COCO)
        return {row[0]: row for row in precision_table({"network": perfect}, asked).rows}

    (row,) = [row for name, row in precision(*entries, strange).items() if name == "mine"]
    assert row[2] == pytest.approx(0.9, abs=0.03), "one of ten is missed, and was said to be"
    assert row[-2:] == ("9 of 10", 1)
    with pytest.raises(InputError, match=r"mine\.json.* shares no picture"):
        precision(strange)
    for bad in ({"image_id": 1}, strange | {"keypoints": [1.0] * 6}, strange | {"score": 1e999}):
        with pytest.raises(InputError, match=r"mine\.json.*entry 0"):
            precision(bad)


def test_evaluation_without_a_test_is_refused(tmp_path):
    recipe = small_recipe("evitpose", tmp_path)
    data = recipe.data.model_copy(update={"test": ()})
    with pytest.raises(UsageError, match=r"data\.test"):
        evaluate(recipe.model_copy(update={"data": data}))


@pytest.mark.parametrize("name", ["evitpose", "unitranspose", "people"])
def test_the_recipes_are_whole_and_small_enough(name):
    """At most 12 MB in float16."""
    from pose_estimate.training import Task

    recipe = load_recipe(PIPELINES / f"{name}.yaml", ["model.imagenet=false"])
    task = Task(recipe)
    assert 2 * sum(value.numel() for value in task.network.state_dict().values()) < 12_000_000


def test_a_users_own_skeleton_is_learned(tmp_path):
    bones = tmp_path / "three.toml"
    bones.write_text('joints = ["nose", "left_wrist", "right_wrist"]\n')
    recipe = small_recipe("evitpose", tmp_path, f"skeleton={bones}")
    weights = train(recipe, tmp_path / "run")
    result = load(str(weights), whole_image=True, engine="eager").predict(tmp_path / "0.png")
    assert result.skeleton.labels == ("nose", "left_wrist", "right_wrist")


def test_pictures_are_split_whole(tmp_path):
    people = read_people(people_of(tmp_path, 30))
    train_part, val = split_people([*people, *people], 0.3)
    assert val and not {one.image for one in train_part} & {one.image for one in val}


def test_crops_that_do_not_vary_are_the_crops_of_the_job(tmp_path):
    source = FromPictures(read_people(people_of(tmp_path)), COCO)
    shot = source(np.random.default_rng(0))
    crop, joints = varied(shot, SHAPE, COCO, STILL, np.random.default_rng(0))
    same = [one for one in source.people if np.array_equal(one.box, shot.box)]
    whole = Whole(FromPictures(same, COCO), SHAPE, 1)[0]
    assert np.array_equal(whole["images"][0].movedim(0, -1).numpy(), crop)
    np.testing.assert_allclose(
        whole["places"][0].numpy() * [48, 64] - 0.5, joints[:, :2], atol=1e-4
    )


def test_joints_go_with_the_pixels():
    """A bright dot at the left wrist is where that joint is said to be, however a crop varies."""
    image = np.zeros((100, 80, 3), np.uint8)
    image[58:63, 38:43] = 255
    joints = np.zeros((17, 3))
    joints[9] = 40, 60, 2
    joints[10] = 20, 20, 2
    shot = Shot(image, np.array([10.0, 10, 60, 80]), joints)
    vary = Augment(hidden=0, degraded=0, half_body=0)
    for seed in range(30):
        crop, told = varied(shot, SHAPE, COCO, vary, np.random.default_rng(seed))
        wrist = told[9] if told[9, 2] and crop[..., 0].max() > 100 else None
        y, x = np.unravel_index(crop[..., 0].argmax(), crop.shape[:2])
        places = [told[number, :2] for number in (9, 10)]
        assert wrist is not None and min(np.abs(p - (x, y)).max() for p in places) < 4


def test_a_mirror_exchanges_left_and_right():
    crop, joints = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3), np.zeros((17, 3))
    joints[5] = 0, 1, 2
    other, told = mirrored(crop, joints, COCO)
    assert np.array_equal(other[:, 3], crop[:, 0]) and told[6].tolist() == [3, 1, 2]


def test_made_people_have_joints_where_they_are_drawn(tmp_path):
    ground = write_picture(tmp_path / "grey.png", np.full((200, 200, 3), 128, np.uint8))
    render = Renderer([ground], skeleton("unified"))
    for seed in range(8):
        shot = render(np.random.default_rng(seed))
        inside = shot.joints[(shot.joints[:, :2] >= 0).all(1) & (shot.joints[:, :2] < 319).all(1)]
        rows, columns = inside[:, 1].round().astype(int), inside[:, 0].round().astype(int)
        drawn = (shot.image[rows, columns] != 128).any(axis=1)
        assert drawn.mean() > 0.8


def test_scenes_keep_account_of_who_is_seen(tmp_path):
    people = read_people(people_of(tmp_path), unlabelled=True)
    scenes = scenes_of(people)
    assert len(scenes) == 10
    for seed in range(10):
        image, boxes, unsure = compose((scenes, ()), np.random.default_rng(seed))
        assert image.shape == (SIDE, SIDE, 3) and boxes.dtype == np.float32
        for box in (*boxes, *unsure):
            assert (box >= 0).all() and (box <= SIDE).all() and (box[2:] > box[:2]).all()


def test_found_boxes_are_held_against_known_ones():
    rows = np.array([[5.0, 0, 0, 10, 10], [4, 100, 100, 120, 120], [-9, 0, 0, 5, 5]])
    matches = match_rows(rows, np.array([[0.0, 0, 10, 10]]), np.zeros((0, 4)))
    assert matches.recall() == 1 and matches.precision() == 0.5


def test_the_score_of_a_finder_is_the_one_of_the_largest_f1():
    scores, hits = np.array([0.9, 0.8, 0.7, 0.2]), np.array([True, False, True, False])
    matches = Matches(scores, hits, np.full(4, np.nan), known=2)
    assert best_score(matches) == 0.7
    nobody = Matches(scores[:0], hits[:0], scores[:0], known=2)
    assert best_score(nobody) == Search().min_score


def test_small_people_are_not_counted():
    boxes = np.array([[0.0, 0, 39, 20], [0, 0, 10, 41]])
    scene = large_alone(Scene(Path("a.png"), boxes, np.zeros((0, 4))))
    assert scene.boxes.tolist() == [[0, 0, 10, 41]] and scene.unsure.tolist() == [[0, 0, 39, 20]]


def test_the_teachers_anchors_are_as_many_as_its_answers():
    places = anchors()
    assert places.shape == (2254, 2) and (places > 0).all() and (places < 1).all()


def test_the_teacher_looks_into_the_boxes_of_those_whom_nobody_labelled(tmp_path, monkeypatch):
    from pose_estimate.training import teacher

    class Fake:
        """Sees a person along the diagonal of a box, and nobody by itself."""

        def __init__(self, *_):
            pass

        def people(self, _):
            return []

        def in_box(self, _, box):
            steps = np.linspace(0.1, 0.9, 33)[:, None]
            joints = np.column_stack((box[:2] + steps * box[2:], np.ones(33)))
            return teacher.Seen(joints, 0.9)

    monkeypatch.setattr(teacher, "BlazePose", Fake)
    labelled = people_of(tmp_path)
    content = json.loads(labelled.annotations.read_text())
    for number, one in enumerate(content["annotations"]):
        one["bbox"] = [4, 4, 60, 50] if number < 6 else [4, 4, 20, 20]  # the others are small
        if number > 1:
            one["keypoints"] = [0] * 51
    labelled.annotations.write_text(json.dumps(content))
    settings = {"landmarks": tmp_path, "detector": tmp_path, "images": [tmp_path],
                "boxed": [labelled], "cache": tmp_path / "labels.npz"}  # fmt: skip
    taught = teacher.teach(teacher.Teacher(**settings))
    assert [one.image.name for one in taught] == [f"{n}.png" for n in range(2, 6)]
    assert all(one.box.tolist() == [4, 4, 60, 50] and one.labelled.all() for one in taught)
    monkeypatch.setattr(teacher, "BlazePose", None)
    again = teacher.teach(teacher.Teacher(**settings))  # from the cache
    assert np.array_equal(again[3].joints, taught[3].joints)


@pytest.mark.parametrize(
    ("kind", "content"),
    [(Coco, "[]"), (Coco, "{"), (Coco, '{"images": [], "categories": [], "annotations": []}'),
     (Lsp, '{"order": ["nose"]}'), (Lsp, '{"order": ["nose"], "pictures": [{"file": "a"}]}'),
     (Mpii, '[{"joints": []}]'), (Mpii, "[]")],
)  # fmt: skip
def test_files_that_hold_nobody_are_refused(kind, content, tmp_path):
    path = tmp_path / "people.json"
    path.write_text(content)
    names = {"joints": path} if kind is Lsp else {"annotations": path}
    names |= {"kind": "lsp"} if kind is Lsp else {"kind": "mpii"} if kind is Mpii else {}
    with pytest.raises(InputError):
        read_people(kind(**names, images=tmp_path))


@needs(DATA / "pose")
def test_real_data_sets_are_read():
    pose = DATA / "pose"
    coco = Coco(annotations=pose / "coco/person_keypoints_val2017_subset.json",
                images=pose / "coco/val2017")  # fmt: skip
    assert len(read_people(coco)) == 68 and len(read_people(coco, unlabelled=True)) == 93
    lsp = Lsp(kind="lsp", joints=pose / "lspet/joints.json", images=pose / "lspet/images")
    assert len(read_people(lsp)) > 300
    samples = pose / "mmpose_samples"
    mpii = Mpii(kind="mpii", annotations=samples / "mpii/test_mpii.json", images=samples / "mpii")
    assert all(one.skeleton.name == "mpii" for one in read_people(mpii))
    for name in ("aic", "crowdpose", "ochuman"):
        (path,) = (samples / name).glob(f"test_{name}.json")
        people = read_people(Coco(annotations=path, images=samples / name))
        assert people and people[0].skeleton.name in (name, "coco")
