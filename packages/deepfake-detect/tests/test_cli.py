"""The command with the bundled weights, as a user types it."""

import csv
import json

import pytest

from deepfake_detect import load
from vitrail.testing.commands import call
from vitrail.testing.media import write_clip


def test_a_folder_of_results(portrait, tmp_path):
    outcome = call("deepfake_detect", portrait, "-o", tmp_path, "--frames", "4")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["verdict"] in {"REAL", "FAKE", "UNDECIDED"} and 0 <= row["score"] <= 1
    folder = tmp_path / portrait.name
    assert {path.name for path in folder.iterdir()} == {"result.json", "frames.csv", "report.html"}
    assert json.loads((folder / "result.json").read_text()) == row
    table = list(csv.DictReader((folder / "frames.csv").open()))
    assert len(table) == 4 and {"frame", "time", "person", "ed", "vae", "score"} <= set(table[0])
    assert sum(float(line["score"]) for line in table) / 4 == pytest.approx(row["score"], abs=1e-4)


def test_the_report_needs_nothing_but_a_browser(portrait, tmp_path):
    call("deepfake_detect", portrait, "-o", tmp_path, "--frames", "4")
    page = (tmp_path / portrait.name / "report.html").read_text()
    assert (
        "<script" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
        and "https://" not in page
    )
    assert (
        page.count("data:image/webp") == 1 + 4 * 4
    )  # a whole frame; crop, two heat maps and the reconstruction of each of four faces
    assert "<svg" in page


def test_a_bad_argument_is_a_row_and_the_others_are_done(portrait, tmp_path):
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    bad = "https://host/a.mp4", tmp_path / "*.mkv", tmp_path / "loop.mp4"
    outcome = call("deepfake_detect", *bad, portrait, "--frames", "1", "--net", "ed")
    found = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in found] == ["failed"] * 3 + ["done"]
    assert [row["source"] for row in found[:3]] == [str(path) for path in bad]


def test_a_folder_tells_what_it_leaves_out(tmp_path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "photo").write_bytes(b"x")
    outcome = call("deepfake_detect", tmp_path, "--frames", "1", "--net", "ed")
    assert outcome.status == 0 and "1 left out, not named as media: photo" in outcome.stderr


def test_a_file_address(portrait):
    outcome = call("deepfake_detect", portrait.resolve().as_uri(), "--frames", "2")
    assert outcome.status == 0 and json.loads(outcome.stdout)["frames"] == 2


@pytest.mark.parametrize("net", ["ed", "vae", "both", "cascade"])
def test_every_choice_of_network(portrait, net):
    outcome = call("deepfake_detect", portrait, "--net", net, "--frames", "2", "--engine", "eager")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    names = ["face_detector", "face_landmarker"]
    names += [net] if net in {"ed", "vae"} else ["ed", "vae"]
    assert list(row["weights"]) == list(row["engine"]) == names


def test_frames_by_rate_and_all(portrait):
    assert json.loads(call("deepfake_detect", portrait, "--rate", "5").stdout)["frames"] == 15
    assert (
        json.loads(call("deepfake_detect", portrait, "--frames", "all", "--net", "ed").stdout)[
            "frames"
        ]
        == 75
    )


def test_two_runs_give_the_same_numbers(portrait):
    rows = [
        json.loads(call("deepfake_detect", portrait, "--frames", "3", "--engine", "eager").stdout)
        for _ in range(2)
    ]
    assert rows[0] | {"seconds": 0} == rows[1] | {"seconds": 0}


def test_python_says_what_the_command_says(portrait):
    row = json.loads(call("deepfake_detect", portrait, "--engine", "eager").stdout)
    assert load(engine="eager").predict(portrait).verdict.score == pytest.approx(
        row["score"], abs=1e-6
    )


def test_a_clip_without_a_face_says_so(tmp_path):
    row = json.loads(call("deepfake_detect", write_clip(tmp_path / "pattern.mp4")).stdout)
    assert row["verdict"] == "UNDECIDED" and row["reasons"] == ["no face in 15 of 15 frames"]


def test_official_scoring_is_a_setting_of_the_result(portrait):
    row = json.loads(
        call("deepfake_detect", portrait, "--scoring", "official", "--frames", "3").stdout
    )
    assert row["options"]["scoring"] == "official" and row["verdict"] in {"REAL", "FAKE"}
