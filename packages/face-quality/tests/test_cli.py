"""The command, in the test's own process."""

import csv
import json
import shutil

import numpy as np
import pytest

from vitrail.testing.commands import call
from vitrail.testing.media import pattern, write_clip, write_picture

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
    assert "1 left out, no pictures: notes.txt" in outcome.stderr
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert rows[0]["score"] is not None and rows[2]["score"] is None
    lines = list(csv.DictReader(table.open()))
    assert [line["status"] for line in lines] == ["done", "failed", "done"]
    assert float(lines[0]["score"]) == rows[0]["score"] and "cut short" in lines[1]["reasons"]
    text = page.read_text()
    assert "a portrait.jpg" in text and "Without a face" in text and "nobody.png" in text
    assert "Not judged" in text and "bad.jpg" in text and "cut short" in text


def test_the_page_tells_of_earlier_results(weights, folder, tmp_path):
    page = tmp_path / "p.html"
    shared = ("score", folder, "--weights", weights, "-o", tmp_path / "out", *FAST)
    assert call("face_quality", *shared).status == 0
    assert call("face_quality", *shared, "--resume", "--page", page).status == 0
    text = page.read_text()
    assert "1 faces were judged by an earlier call" in text and "a portrait.jpg" in text


def test_pictures_are_known_by_their_bytes(weights, tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(PORTRAIT, tmp_path / "in" / "no suffix")
    (tmp_path / "in" / "a.jpg").write_bytes(b"\x1aE\xdf\xa3" + bytes(300))  # a film's bytes
    outcome = call("face_quality", "score", tmp_path / "in", "--weights", weights, *FAST)
    assert outcome.status == 0 and "1 left out, no pictures: a.jpg" in outcome.stderr
    assert json.loads(outcome.stdout)["score"] is not None


def test_a_layout_without_a_table_is_refused(weights):
    outcome = call("face_quality", "score", PORTRAIT, "--weights", weights, "--format", "ofiq")
    assert outcome.status == 2 and "add --csv" in outcome.stderr


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
    (tmp_path / "people" / "grace" / "later").mkdir()
    write_picture(tmp_path / "people" / "grace" / "later" / "4.png")
    (tmp_path / "people" / "nobody").mkdir()
    shutil.copy(PORTRAIT, tmp_path / "people" / "whose.jpg")
    arguments = ("rank", tmp_path / "people", "--weights", weights, "-o", tmp_path / "out", *FAST)
    outcome = call("face_quality", *arguments)
    assert outcome.status == 0, outcome.stderr
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [row["best"] for row in rows] == ["1.jpg", "1.jpg"]
    assert rows[1]["without_face"] == ["2.png", "later/4.png"]
    assert "3.jpg is left out" in rows[1]["damage"][0]
    assert "2 left out, no pictures of anybody: whose.jpg, nobody" in outcome.stderr
    assert len(list((tmp_path / "out").rglob("best.png"))) == 2


def test_what_a_folder_is_to_best_shot(tmp_path):
    """Its films, each a source; pictures alone are frames of one; what is neither is named."""
    from face_quality.commands.options import find_videos

    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "notes.txt").write_text("no film")
    frame = write_picture(folder / "1.png")
    assert find_videos([str(folder)])[0].paths == (folder,)
    film = write_clip(folder / "a.mp4", [pattern(40, 40)] * 3, fps=5)
    assert [one.path for one in find_videos([str(folder)], quiet=True)] == [film]
    frame.unlink()
    film.unlink()
    (empty,) = find_videos([str(folder)])
    assert "holds no video" in str(empty.fault)


def test_films_of_a_folder_are_named_that_are_none(tmp_path, capsys):
    from face_quality.commands.options import find_videos

    write_clip(tmp_path / "a.mp4", [pattern(40, 40)] * 3, fps=5)
    write_picture(tmp_path / "1.png")
    assert len(find_videos([str(tmp_path)])) == 1
    assert "1 left out, no videos: 1.png" in capsys.readouterr().err


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
        ("{", "line 1"),
        ("!!python/object:os.system {}", "tags are not taken"),
        ("- 1", "holds no rules"),
        ("", "is empty"),
        ("{}", "holds no rules"),
        ("[]", "holds no rules"),
        ("min_score: 1\nmin_score: 90", "stands twice"),
        ("min_score: '40'", "min_score"),
        ("one_face: 1", "one_face"),
        ("min_score: .nan", "min_score"),
        ("measures: {SingleFacePresent: {}}", "names no bound"),
        ("measures: {SingleFacePresent: {raw_min: 2, raw_max: 1}}", "nothing would pass"),
        ("a: &a [1]\nmin_score: *a", "aliases are not taken"),
    ],
)
def test_rules_that_are_none(weights, tmp_path, text, said):
    rules = tmp_path / "rules.yaml"
    rules.write_text(text)
    outcome = call("face_quality", "gate", PORTRAIT, "--weights", weights, "--rules", rules, *FAST)
    assert outcome.status in (1, 2) and said in outcome.stderr and not outcome.stdout
    assert len(outcome.stderr.splitlines()) == 1


def test_the_gate_lets_no_crop_in_that_shows_no_face_or_several(weights, tmp_path):
    """``--aligned`` judges what it is given; the gate does not."""
    from PIL import Image

    rules = tmp_path / "rules.yaml"
    rules.write_text("min_score: 0\nmeasures: {}\n")
    write_picture(tmp_path / "wall.png")
    pair = Image.new("RGB", (720, 400))
    for x in (0, 360):
        pair.paste(Image.open(PORTRAIT), (x, 0))
    pair.save(tmp_path / "two.png")
    shared = ("--aligned", "--weights", weights, "--rules", rules, *FAST)
    for name, said in (("wall.png", "No face is found in this crop"), ("two.png", "2 faces are")):
        outcome = call("face_quality", "gate", tmp_path / name, *shared)
        assert outcome.status == 4 and said in json.loads(outcome.stdout)["refusals"][0]


def write_tables(folder, count=300):
    """Scores of pictures, and pairs whose similarity follows the worse one."""
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
    assert row["left_out"] == 0 and row["by"] == "person" and row["unknown_from"] is None
    assert (tmp_path / "out" / "edc.png").read_bytes()[:4] == b"\x89PNG"
    refused = call("face_quality", "edc", *arguments, "--fmr", 0.001)
    assert refused.status == 2 and "needs at least 1000 impostor pairs" in refused.stderr


def test_the_lowest_score_that_keeps_errors_rare(tmp_path):
    from face_quality.pairs import read_pairs, read_scores

    write_tables(tmp_path)
    pairs = read_pairs(tmp_path / "p.csv", read_scores(tmp_path / "s.csv"))
    lowest = pairs.lowest_quality(0.01, 0.02)
    kept = pairs.same & (pairs.quality >= lowest.quality)
    curve = pairs.curve(0.01, "fixed")
    missed = (pairs.similarity[kept] < curve.threshold).mean()
    assert pairs.left_out == 0 and missed == pytest.approx(lowest.fnmr) and missed <= 0.02
    assert kept.sum() == lowest.genuine
    assert pairs.lowest_quality(0.01, 1e-9) is None


def test_a_threshold_found_anew_ends_where_impostors_are_too_few(tmp_path):
    from face_quality.pairs import read_pairs, read_scores

    write_tables(tmp_path)
    pairs = read_pairs(tmp_path / "p.csv", read_scores(tmp_path / "s.csv"))
    curve = pairs.curve(0.01, "recompute")
    assert (np.isnan(curve.fnmr) == (curve.impostors < 100)).all() and np.isnan(curve.fnmr).any()
    assert not np.isnan(pairs.curve(0.01, "fixed").fnmr[curve.impostors < 100]).all()


@pytest.mark.parametrize(
    ("scores", "pair", "said"),
    [
        ("source,score\na/1.jpg,1\na/2.jpg,2\na/1.jpg,3", "a/1.jpg,a/2.jpg,1,0.5", "two scores"),
        ("source,score\na/1.jpg,1\na/2.jpg,2", "a/1.jpg,a/2.jpg,same,0.5", "same is 'same'"),
        ("source,score\na/1.jpg,1\na/2.jpg,2", "a/1.jpg,a/2.jpg,1,nan", "line 2: holds 'nan'"),
        ("source,score\nx/a/1.jpg,1\ny/a/1.jpg,2", "a/1.jpg,x/a/1.jpg,1,0.5", "may be any of 2"),
    ],
)
def test_tables_that_leave_something_open_are_refused(tmp_path, scores, pair, said):
    (tmp_path / "s.csv").write_text(scores + "\n")
    (tmp_path / "p.csv").write_text(f"path_a,path_b,same,similarity\n{pair}\n")
    arguments = ("--scores", tmp_path / "s.csv", "--pairs", tmp_path / "p.csv")
    outcome = call("face_quality", "edc", *arguments)
    assert outcome.status == 1 and said in outcome.stderr and not outcome.stdout


def test_scores_that_were_not_assessed_are_none(tmp_path):
    """OFIQ writes 0 and -1 for them; a table of weights without a calibration has raw numbers."""
    from face_quality.pairs import read_scores

    table = tmp_path / "s.csv"
    head = "Filename;UnifiedQualityScore;UnifiedQualityScore.scalar"
    table.write_text(f"{head}\na.jpg;24.3;63\nb.jpg;0;-1\n")
    assert read_scores(table) == {"a.jpg": 24.3}
    table.write_text("source,score,raw\na.jpg,,0.4\nb.jpg,,\n")
    assert read_scores(table) == {"a.jpg": 0.4}


def test_people_are_known_only_where_names_and_pairs_agree(tmp_path):
    from face_quality.pairs import read_pairs

    table = tmp_path / "p.csv"
    head = "path_a,path_b,same,similarity"
    scores = {"d/1.jpg": 1.0, "d/2.jpg": 2.0, "e/3.jpg": 3.0}
    table.write_text(f"{head}\nd/1.jpg,d/2.jpg,1,0.5\nd/1.jpg,e/3.jpg,0,0.1\n")
    assert read_pairs(table, scores).people.tolist() == ["d", "d"]
    table.write_text(f"{head}\nd/1.jpg,d/2.jpg,0,0.5\nd/1.jpg,e/3.jpg,1,0.1\n")
    assert read_pairs(table, scores).people is None
    table.write_text(
        f"{head},person_a,person_b\nd/1.jpg,d/2.jpg,0,1,x,y\nd/1.jpg,e/3.jpg,1,1,x,x\n"
    )
    assert read_pairs(table, scores).people.tolist() == ["x", "x"]


@pytest.mark.parametrize(
    "lines",
    ['{"source": "a", "main": 0, "faces": [{"embedding": [1, NaN]}]}', '{"main": 0}', "[" * 200],
)
def test_embeddings_that_are_none(tmp_path, lines):
    from face_quality.pairs import read_embeddings
    from vitrail.errors import InputError

    (tmp_path / "e.jsonl").write_text(lines + "\n")
    with pytest.raises(InputError):
        read_embeddings(tmp_path / "e.jsonl")


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
    told = json.loads(made.stdout)
    assert told["faces"] == 20 and told["without_face"] == told["several_faces"] == 0
    lost = call("face_quality", "calibrate", PORTRAIT, *shared, "-o", out, "--fmr", 0.01)
    assert lost.status == 2 and "add --pairs" in lost.stderr
    few = call("face_quality", "calibrate", PORTRAIT, *shared, "-o", out)
    assert few.status == 1 and "too few" in few.stderr
