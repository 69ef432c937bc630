"""The command: files, folders, hint files, formats, and what it says."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from vitrail.testing.commands import call

HINTS = {"version": 1, "hints": [{"x": 0.25, "y": 0.3, "rgb": [180, 70, 60]}]}
EAGER = ("--engine", "eager", "--json")


@pytest.fixture
def scan(tmp_path, scene):
    path = tmp_path / "in" / "scan.png"
    path.parent.mkdir()
    Image.fromarray(scene).save(path)
    return path


def rows(outcome) -> list[dict]:
    return [json.loads(line) for line in outcome.stdout.splitlines()]


def test_a_file_with_its_hints_beside_it(scan, tmp_path):
    (scan.parent / "scan.hints.json").write_text(json.dumps(HINTS))
    outcome = call("image_colorize", scan, *EAGER, "-o", tmp_path / "out", "--format", "jpeg")
    (row,) = rows(outcome)
    assert outcome.status == 0 and row["hints"][0]["rgb"] == [180, 70, 60]
    assert {"displayable", "reached", "off"} <= row["hints"][0].keys()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"results.jsonl", "scan.jpg"}
    digest = hashlib.sha256((tmp_path / "out/scan.jpg").read_bytes()).hexdigest()
    assert row["written"] == {"file": "scan.jpg", "sha256": digest}


def test_resume_sees_another_hint_file(scan, tmp_path):
    hints = scan.parent / "scan.hints.json"
    hints.write_text(json.dumps(HINTS))
    call("image_colorize", scan, *EAGER, "-o", tmp_path / "out")
    again = call("image_colorize", scan, *EAGER, "-o", tmp_path / "out", "--resume")
    assert "1 of 1 done before" in again.stderr
    hints.write_text(json.dumps({"version": 1, "hints": []}))
    again = call("image_colorize", scan, *EAGER, "-o", tmp_path / "out", "--resume")
    assert "done before" not in again.stderr


def test_a_folder_leaves_its_own_results_out(scan, scene):
    Image.fromarray(scene).save(scan.parent / "b.tif")
    (scan.parent / "notes.txt").write_text("1931")
    outcome = call("image_colorize", scan.parent, *EAGER)
    assert [row["source"] for row in rows(outcome)] == [str(scan.parent / "b.tif"), str(scan)]
    assert "1 left out, not named as images: notes.txt" in outcome.stderr
    assert (scan.parent / "b.colorized.tif").is_file()
    assert len(rows(call("image_colorize", scan.parent, *EAGER))) == 2


def test_without_hints_the_row_says_that_hints_help(scan):
    (row,) = rows(call("image_colorize", scan, *EAGER, "--strength", "0.01"))
    assert any("a hint where you know the colour helps" in reason for reason in row["reasons"])


def test_hints_for_another_image(scan, tmp_path):
    file = tmp_path / "h.json"
    file.write_text(json.dumps(HINTS | {"image": {"sha256": "0" * 64}}))
    (row,) = rows(call("image_colorize", scan, *EAGER, "--hints", file))
    assert row["damage"] == ["the hints were made for another image"]


def test_one_bad_hint_file_among_many(scan, scene):
    Image.fromarray(scene).save(scan.parent / "b.png")
    (scan.parent / "b.hints.json").write_text('{"version": 9}')
    outcome = call("image_colorize", scan.parent, *EAGER)
    assert outcome.status == 1
    assert [row["status"] for row in rows(outcome)] == ["failed", "done"]
    assert "version 9" in outcome.stderr


def test_unusable_hint_options(scan, tmp_path):
    assert call("image_colorize", scan, "--hints", tmp_path / "none.json").status == 2
    (tmp_path / "official.txt").write_text("10 10\n")
    outcome = call("image_colorize", scan, *EAGER, "--hints", tmp_path / "official.txt")
    assert outcome.status == 1 and "--colours" in outcome.stderr
    outcome = call(
        "image_colorize", scan, *EAGER, "--hints", tmp_path / "official.txt", "--colours", scan
    )
    assert outcome.status == 1 and "has no colours to take hints from" in outcome.stderr


def test_16_bits_stay(tmp_path, scene):
    path = tmp_path / "deep.png"
    Image.fromarray(scene.astype(np.uint16) * 257).save(path)
    (row,) = rows(call("image_colorize", path, *EAGER))
    assert row["bits"] == 16
    assert (tmp_path / "deep.colorized.png").read_bytes()[24] == 16


def test_serve_explains_itself():
    outcome = call("image_colorize", "serve", "--help")
    assert outcome.status == 0 and "--port" in outcome.stdout


def test_reach_tells_what_the_last_hint_changed(scan, tmp_path):
    (scan.parent / "scan.hints.json").write_text(json.dumps(HINTS))
    for more in ((), ("--attention",)):
        target = tmp_path / "reach.png"
        outcome = call("image_colorize", "reach", scan, "-o", target, *more, "--engine", "eager")
        assert outcome.status == 0, outcome.stderr
        row = json.loads(outcome.stdout)
        assert 0 < row["mean_distance"] <= row["farthest"] and 0 < row["changed"] <= 1
        assert Image.open(target).size == (90, 60)
    (scan.parent / "scan.hints.json").unlink()
    outcome = call("image_colorize", "reach", scan, "-o", target, "--engine", "eager")
    assert outcome.status == 1 and "has no hint" in outcome.stderr


def test_a_palette_gives_colours_where_it_is_alike(scan, scene, tmp_path):
    red = np.dstack([scene, scene // 2, scene // 2])
    Image.fromarray(red).save(tmp_path / "red.png")
    outcome = call("image_colorize", scan, *EAGER, "--palette", tmp_path / "red.png")
    (row,) = rows(outcome)
    assert row["mean_chroma"] > 15
    made = np.asarray(Image.open(scan.with_name("scan.colorized.png"))).astype(int)
    assert (made[..., 0] > made[..., 2]).mean() > 0.95
