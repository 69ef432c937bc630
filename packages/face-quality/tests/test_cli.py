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
    assert "1 left out, not named as pictures: notes.txt" in outcome.stderr
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


def test_results_of_an_earlier_call_are_no_pictures(weights, folder):
    for _ in range(2):
        outcome = call(
            "face_quality", "score", folder, "--weights", weights, "-o", folder / "out", *FAST
        )
        assert len(outcome.stdout.splitlines()) == 2


def test_a_folder_without_pictures(weights, tmp_path):
    (tmp_path / "empty").mkdir()
    outcome = call("face_quality", "score", tmp_path / "empty", "--weights", weights, *FAST)
    assert outcome.status == 1 and "holds no picture" in outcome.stderr and not outcome.stdout


def test_the_best_of_each_person(weights, tmp_path):
    for person in ("ada", "grace"):
        (tmp_path / "people" / person).mkdir(parents=True)
        shutil.copy(PORTRAIT, tmp_path / "people" / person / "1.jpg")
        write_picture(tmp_path / "people" / person / "2.png")
    (tmp_path / "people" / "grace" / "3.jpg").write_bytes(b"no picture")
    arguments = ("rank", tmp_path / "people", "--weights", weights, "-o", tmp_path / "out", *FAST)
    outcome = call("face_quality", *arguments)
    assert outcome.status == 0, outcome.stderr
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["best"] for row in rows] == ["1.jpg", "1.jpg"]
    assert rows[1]["without_face"] == ["2.png"] and "3.jpg is left out" in rows[1]["damage"][0]
    assert len(list((tmp_path / "out").rglob("best.png"))) == 2


def test_the_gate_refuses_whatever_the_score_is(weights, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("min_score: 0\nmeasures: {}\n")
    shared = (PORTRAIT, "--weights", weights, "--rules", rules, *FAST)
    accepted = call("face_quality", "gate", *shared)
    assert accepted.status == 0 and json.loads(accepted.stdout)["accepted"] is True
    rules.write_text("min_score: 0\nmeasures:\n  approx_InterEyeDistance: {raw_min: 60}\n")
    refused = call("face_quality", "gate", *shared)
    row = json.loads(refused.stdout)
    assert refused.status == 4 and "at least 60 is wanted" in row["refusals"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("min_scor: 3", "min_scor"),
        ("min_score: many", "min_score"),
        ("measures: {Sharpnes: {score: 3}}", "no such measure"),
        ("{", "holds no rules"),
        ("!!python/object:os.system {}", "holds no rules"),
        ("- 1", "holds no rules"),
    ],
)
def test_rules_that_are_none(weights, tmp_path, text, said):
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    outcome = call("face_quality", "gate", PORTRAIT, "--weights", weights, "--rules", rules, *FAST)
    assert outcome.status == 2 and said in outcome.stderr and not outcome.stdout


def write_tables(folder, count=300):
    """Scores of pictures, and pairs whose similarity follows the worse one."""
    import numpy as np

    random = np.random.default_rng(0)
    scores = random.uniform(0, 100, 2 * count).round(1)
    lines = ["source,score"] + [f"in/p{n // 2}/{n}.jpg,{score}" for n, score in enumerate(scores)]
    (folder / "s.csv").write_text("\n".join(lines) + "\n")
    lines = ["path_a,path_b,same,similarity"]
    for n in range(count):
        worse = min(scores[2 * n], scores[2 * n + 1])
        lines.append(f"p{n}/{2 * n}.jpg,p{n}/{2 * n + 1}.jpg,1,{worse / 100 + 0.2:.3f}")
        other = (n + 1) % count
        lines.append(f"p{n}/{2 * n}.jpg,p{other}/{2 * other}.jpg,0,{random.random() * 0.5:.3f}")
    (folder / "p.csv").write_text("\n".join(lines) + "\n")


def test_error_against_discard_of_own_tables(tmp_path):
    write_tables(tmp_path)
    arguments = ("--scores", tmp_path / "s.csv", "--pairs", tmp_path / "p.csv")
    outcome = call("face_quality", "edc", *arguments, "--fmr", 0.01, "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert row["fnmr_40"] < row["fnmr"] and row["from"] <= row["area_ratio"] <= row["to"]
    lines = list(csv.DictReader((tmp_path / "out" / "edc.csv").open()))
    assert len(lines) == 20 and int(lines[-1]["genuine_pairs"]) < 40
    assert (tmp_path / "out" / "edc.png").read_bytes()[:4] == b"\x89PNG"
    refused = call("face_quality", "edc", *arguments, "--fmr", 0.001)
    assert refused.status == 2 and "needs at least 1000 impostor pairs" in refused.stderr


def test_the_lowest_score_that_keeps_errors_rare(tmp_path):
    from face_quality.pairs import read_pairs, read_scores

    write_tables(tmp_path)
    pairs, left_out = read_pairs(tmp_path / "p.csv", read_scores(tmp_path / "s.csv"))
    lowest = pairs.lowest_quality(0.01, 0.02)
    kept = pairs.same & (pairs.quality >= lowest)
    curve = pairs.curve(0.01, "fixed")
    assert left_out == 0 and (pairs.similarity[kept] < curve.threshold).mean() <= 0.02
    assert pairs.lowest_quality(0.01, 1e-9) is None


def test_a_calibration_of_own_pictures(weights, tmp_path):
    from PIL import Image

    for number in range(20):
        image = Image.open(PORTRAIT)
        image.point(lambda v, n=number: v * (40 + 3 * n) // 100).save(tmp_path / f"{number}.png")
    out = tmp_path / "mine.json"
    shared = ("--weights", weights, *FAST)
    made = call("face_quality", "calibrate", tmp_path / "*.png", *shared, "-o", out)
    assert made.status == 0, made.stderr
    scored = call("face_quality", "score", PORTRAIT, *shared, "--calibration", out)
    row = json.loads(scored.stdout)
    assert row["calibration"] == json.loads(out.read_text())["sha256"]
    few = call("face_quality", "calibrate", PORTRAIT, *shared, "-o", out)
    assert few.status == 1 and "too few" in few.stderr
