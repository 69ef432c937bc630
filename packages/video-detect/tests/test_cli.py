"""The command: rows, files, resuming, one line for what cannot be done."""

import json

import pytest

from vitrail.testing.commands import call
from vitrail.testing.media import write_picture

from .fakes import film


def detect(weights, *arguments):
    return call("video_detect", *arguments, "--weights", weights, "--engine", "eager")


def test_a_film(weights, street, tmp_path):
    outcome = detect(weights, street, "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["status"] == "done" and row["frames"] == 12 and row["model"] == "TGBFormer"
    assert row["options"]["net"] == "both" and row["tracks"]
    names = {path.name for path in (tmp_path / "out" / "street.mp4").iterdir()}
    assert names == {
        "annotated.mp4", "coco_vid.json", "detections.csv", "detections.jsonl", "mot.txt",
        "result.json", "seqinfo.ini",
    }  # fmt: skip


def test_resume_skips_what_is_done(weights, street, tmp_path):
    detect(weights, street, "-o", tmp_path / "out")
    again = detect(weights, street, "-o", tmp_path / "out", "--resume")
    assert again.status == 0 and "1 of 1 done before" in again.stderr
    other = detect(weights, street, "-o", tmp_path / "out", "--resume", "--net", "single")
    assert "done before" not in other.stderr


def test_a_folder_of_frames_is_one_film_and_one_of_films_several(weights, street, tmp_path):
    frames, films = tmp_path / "frames", tmp_path / "films"
    frames.mkdir(), films.mkdir()
    for number, image in enumerate(film(4)):
        write_picture(frames / f"{number}.png", image)
    for name in ("a.mp4", "b.mp4"):
        (films / name).write_bytes(street.read_bytes())
    (films / "notes.txt").write_text("no film")
    outcome = detect(weights, frames, films)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["frames"] for row in rows] == [4, 12, 12]
    assert "notes.txt" in outcome.stderr


def test_one_bad_film_among_good_ones(weights, street, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(street.read_bytes()[:900])
    outcome = detect(weights, street, bad)
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in rows] == ["done", "failed"]
    assert len(outcome.stderr.splitlines()) == 1 and "bad.mp4" in outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--classes", "unicorn"], "not a class"),
        (["--net", "all"], "--net"),
        (["--every", "0"], "--every"),
        (["--score", "2"], "--score"),
    ],
)
def test_unusable_calls(weights, street, arguments, problem):
    outcome = detect(weights, street, *arguments)
    assert outcome.status == 2 and outcome.stdout == ""
    assert problem in outcome.stderr and len(outcome.stderr.splitlines()) == 1
