"""The command: rows, files, folders, and what it says where something is wrong."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vitrail.testing.commands import call
from vitrail.testing.media import pattern, write_clip

from .fakes import boxes_csv, finder_weights, photograph, pose_weights


def pose(folder: Path, *arguments: object):
    weights = pose_weights(folder)
    return call("pose_estimate", *arguments, "--weights", weights, "--engine", "eager")


@pytest.fixture
def street(tmp_path) -> Path:
    (tmp_path / "in").mkdir()
    return photograph(tmp_path / "in")


def test_an_image_is_a_row_and_files(tmp_path, street):
    outcome = pose(tmp_path, street, "--whole-image", "--keep", "0.5", "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    (person,) = row["persons"]
    assert row["input"] == str(street) and len(row["joints"]) == len(person["keypoints"]) == 17
    assert person["box"] == [0, 0, 120, 90] and person["id"] is None
    assert row["options"]["keep"] == 0.5 and row["gmacs_per_person"] > 0
    folder = tmp_path / "out/street.png"
    names = {"annotations.json", "coco_results.json", "kept.png", "overlay.png", "poses.csv",
             "poses.jsonl", "result.json"}  # fmt: skip
    assert {path.name for path in folder.iterdir()} == names
    assert Image.open(folder / "overlay.png").size == (120, 90)
    (line,) = (folder / "poses.jsonl").read_text().splitlines()
    assert json.loads(line)["persons"] == row["persons"]
    (found,) = json.loads((folder / "coco_results.json").read_text())
    assert len(found["keypoints"]) == 51 and found["category_id"] == 1
    labels = json.loads((folder / "annotations.json").read_text())
    assert labels["categories"][0]["keypoints"] == row["joints"]
    assert labels["annotations"][0]["num_keypoints"] == 17
    (cells,) = csv.DictReader((folder / "poses.csv").open())
    assert float(cells["left_wrist_x"]) == pytest.approx(person["keypoints"][9][0], abs=0.01)


def test_what_is_written_is_read_again_as_labels(tmp_path, street):
    from pose_estimate.data import Coco, read_people

    pose(tmp_path, street, "--whole-image", "-o", tmp_path / "out", "--quiet")
    annotations = tmp_path / "out/street.png/annotations.json"
    (person,) = read_people(Coco(annotations=annotations, images=street.parent))
    assert person.image == street and person.labelled.all()


def test_a_film_is_a_line_a_frame_and_a_film(tmp_path):
    clip = write_clip(
        tmp_path / "clip.mp4", (pattern(70, 50) for _ in range(6)), fps=10, times=[0, 1, 2, 5, 6, 9]
    )
    outcome = pose(tmp_path, clip, "--whole-image", "--smooth", "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["frame_count"] == 6 and row["people"] == 1
    folder = tmp_path / "out/clip.mp4"
    lines = [json.loads(line) for line in (folder / "poses.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert [line["time"] for line in lines] == [0, 0.1, 0.2, 0.5, 0.6, 0.9]
    assert {line["persons"][0]["id"] for line in lines} == {1}
    with av.open(str(folder / "overlay.mp4")) as film:
        stamps = [float(frame.time) for frame in film.decode(video=0)]
        assert film.streams.video[0].width == 70
    assert np.diff(stamps) == pytest.approx([0.1, 0.1, 0.3, 0.1, 0.3], abs=1e-3)
    markers = (folder / "person-1.trc").read_text().splitlines()
    assert markers[0].startswith("PathFileType\t4") and len(markers) == 6 + 6
    assert markers[2].split("\t")[2:5] == ["6", "17", "px"]


def test_a_film_without_people_is_copied(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", (pattern(64, 64) for _ in range(3)))
    finder = finder_weights(tmp_path, score=-20.0)
    outcome = pose(tmp_path, clip, "--detector", finder, "-o", tmp_path / "out")
    row = json.loads(outcome.stdout)
    assert [frame["persons"] for frame in row["frames"]] == [[], [], []]
    with av.open(str(tmp_path / "out/clip.mp4/overlay.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 3
    assert np.abs(frames[0].astype(int) - pattern(64, 64)).mean() < 8


def test_a_folder_is_taken_in_the_order_that_people_count(tmp_path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for name in ("frame10.png", "frame2.png", "frame1.png"):
        photograph(folder, name)
    (folder / "notes.txt").write_text("left out")
    outcome = pose(tmp_path, folder, "--whole-image", "-o", tmp_path / "out")
    names = [Path(json.loads(line)["source"]).name for line in outcome.stdout.splitlines()]
    assert names == ["frame1.png", "frame2.png", "frame10.png"]
    assert "1 left out, not named as media: notes.txt" in outcome.stderr
    assert len(json.loads((tmp_path / "out/coco_results.json").read_text())) == 3
    for _ in range(2):  # what the first call writes among them is no source of the second
        inside = pose(tmp_path, folder, "--whole-image", "-o", folder / "out")
        assert len(inside.stdout.splitlines()) == 3


def test_ids_are_those_of_the_given_annotations(tmp_path, street):
    boxes = tmp_path / "people.json"
    image = {"id": 4711, "file_name": street.name}
    entry = {"image_id": 4711, "category_id": 1, "bbox": [10, 5, 60, 80]}
    boxes.write_text(json.dumps({"images": [image], "annotations": [entry, entry | {"id": 2}]}))
    outcome = pose(tmp_path, street, "--boxes", boxes, "--keep-all", "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    found = json.loads((tmp_path / "out/street.png/coco_results.json").read_text())
    assert [one["image_id"] for one in found] == [4711, 4711]


def test_what_is_done_is_skipped(tmp_path, street):
    arguments = (street, "--whole-image", "-o", tmp_path / "out", "--resume")
    pose(tmp_path, *arguments)
    again = pose(tmp_path, *arguments)
    assert "1 of 1 done before" in again.stderr
    assert "done before" not in pose(tmp_path, *arguments, "--keep", "0.5").stderr


def test_one_bad_image_among_good_ones(tmp_path, street):
    bad = tmp_path / "in/bad.jpg"
    bad.write_bytes(b"\xff\xd8\xff no picture")
    outcome = pose(tmp_path, bad, street, tmp_path / "in/none.png", "--whole-image")
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in rows] == ["failed", "done", "failed"]
    assert len(outcome.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--skeleton", "octopus"), 2, "no skeleton"),
        (("--keep", "0"), 2, "--keep"),
        (("--rotate", "45"), 2, "rotate 45"),
        (("--budget-gmacs", "0.0000001"), 2, "give at least"),
        (("--boxes", "none.csv"), 1, "does not exist"),
        (("--head", "regression", "--keep", "0.5", "--budget-gmacs", "1"), 2, "give one"),
        (("--dataset", "coco"), 2, "no experts"),
        (("--joints", "none.toml"), 1, "does not exist"),
    ],
)
def test_unusable_calls_are_one_line(tmp_path, street, arguments, status, words):
    boxes = () if "--boxes" in arguments else ("--whole-image",)
    outcome = pose(tmp_path, street, *boxes, *arguments)
    assert (outcome.status, outcome.stdout) == (status, "")
    (line,) = outcome.stderr.splitlines()
    assert words in line and len(line) <= 216


def test_weights_and_detectors_that_are_not_there(tmp_path, street):
    outcome = call("pose_estimate", street, "--weights", tmp_path / "none.pth", "--whole-image")
    assert outcome.status == 3 and "neither weights of this name nor such a file" in outcome.stderr
    outcome = pose(tmp_path, street, "--detector", tmp_path / "none.safetensors")
    assert outcome.status == 3 and outcome.stdout == ""


def test_a_list_of_boxes_serves_all_images(tmp_path, street):
    rows = "street.png,10,5,60,80,0.9\nstreet.png,nan,5,60,80,0.9\n"
    boxes = boxes_csv(tmp_path, rows)
    outcome = pose(tmp_path, street, "--boxes", boxes)
    row = json.loads(outcome.stdout)
    assert len(row["persons"]) == 1 and "hold no numbers" in row["damage"][0]
