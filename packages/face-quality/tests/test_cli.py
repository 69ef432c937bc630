"""The command, in the test's own process."""

import csv
import json
import shutil

import pytest

from vitrail.testing.commands import call
from vitrail.testing.media import write_picture

from .fakes import PORTRAIT, write_weights

FAST = ("--engine", "eager", "--device", "cpu")


@pytest.fixture
def weights(tmp_path):
    return write_weights(tmp_path / "w.safetensors")


@pytest.fixture
def folder(tmp_path):
    """A folder with a portrait, a picture without a face, and a note."""
    place = tmp_path / "pictures"
    (place / "inside").mkdir(parents=True)
    shutil.copy(PORTRAIT, place / "a portrait.jpg")
    write_picture(place / "inside" / "nobody.png")
    (place / "notes.txt").write_text("no picture")
    return place


def test_a_folder_with_a_bad_picture_in_it(weights, folder, tmp_path):
    (folder / "bad.jpg").write_bytes(PORTRAIT.read_bytes()[:5000])
    table, page = tmp_path / "t.csv", tmp_path / "p.html"
    outcome = call(
        "face_quality", "score", folder, "--weights", weights, "--csv", table, "--page", page, *FAST
    )
    assert outcome.status == 1
    assert "1 not named as pictures, left out: notes.txt" in outcome.stderr
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[0]["score"] is not None and rows[2]["score"] is None
    lines = list(csv.DictReader(table.open()))
    assert [line["status"] for line in lines] == ["done", "failed", "done"]
    assert float(lines[0]["score"]) == rows[0]["score"] and "cut short" in lines[1]["reasons"]
    text = page.read_text()
    assert "a portrait.jpg" in text and "No face is found in nobody.png" in text


def test_ofiqs_columns(weights, tmp_path):
    table = tmp_path / "t.csv"
    arguments = (PORTRAIT, "--weights", weights, "--csv", table, "--format", "ofiq", *FAST)
    assert call("face_quality", "score", *arguments).status == 0
    head, row = csv.reader(table.open(), delimiter=";")
    assert len(head) == len(row) == 57 and head[0] == "Filename"
    found = dict(zip(head, row, strict=True))
    assert found["SingleFacePresent.scalar"] == "100" and found["Sharpness.scalar"] == "-1"
    assert 0 <= int(found["UnifiedQualityScore.scalar"]) <= 100


def test_crops_are_written_beside_the_row(weights, tmp_path):
    outcome = call(
        "face_quality", "score", PORTRAIT, "--weights", weights, "-o", tmp_path / "o", *FAST
    )
    assert outcome.status == 0, outcome.stderr
    assert (tmp_path / "o" / "portrait" / "main.png").exists() or list(
        (tmp_path / "o").rglob("main.png")
    )


def test_a_folder_without_pictures(weights, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = call("face_quality", "score", tmp_path / "empty", "--weights", weights, *FAST)
    assert outcome.status == 1 and "holds no picture" in outcome.stderr and not outcome.stdout
