"""The figures are right on scores made by hand, and every table of an evaluation is filled."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepfake_detect.data import Pairs
from deepfake_detect.data.labelled import Labelled
from deepfake_detect.decide.crops import CropRule
from deepfake_detect.decide.verdict import Thresholds
from deepfake_detect.evaluation import face_parts
from deepfake_detect.job import DeepfakeJob, Options
from deepfake_detect.measure import baseline
from deepfake_detect.measure.figures import MEASURES, auc, measures, verdicts
from deepfake_detect.measure.held_out import pseudo_faces, score
from deepfake_detect.measure.judged import BITS, Judged, judge_sources, source_tables
from deepfake_detect.measure.recompression import recompressed, recompression_table
from deepfake_detect.measure.reliability import calibration_parts
from deepfake_detect.measure.robustness import CHANGES
from deepfake_detect.model import FAKE, REAL
from vitrail.job import Failure
from vitrail.preprocess.video import open_video
from vitrail.testing.media import write_clip, write_picture

RULE = CropRule(img_size=64, box="detector", margin=0.2)


def test_measures_of_scores_made_by_hand():
    scores, labels = np.array([0.9, 0.6, 0.4, 0.1]), np.array([FAKE, REAL, FAKE, REAL])
    figures = dict(zip(MEASURES, measures(scores, labels, np.arange(4)), strict=True))
    assert figures["AUC"] == 0.75
    assert 0 <= figures["from"] <= 0.75 <= figures["to"] <= 1
    assert figures["average precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["EER"] == pytest.approx(0.5) and figures["accuracy at 0.5"] == 0.5


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    for size in (2, 10, 500):
        fake, scores = np.arange(size) % 2 == 0, rng.integers(0, 20, size) / 20
        assert auc(fake, scores) == pytest.approx(roc_auc_score(fake, scores), abs=1e-12)
    assert np.isnan(auc(np.array([True, True]), np.array([0.1, 0.2])))


def test_rows_of_one_person_widen_the_interval():
    """A hundred frames of four people are not a hundred people."""
    rng = np.random.default_rng(0)
    labels = np.repeat([FAKE, REAL, FAKE, REAL], 25)
    scores = np.repeat([0.8, 0.5, 0.4, 0.2], 25) + rng.normal(0, 0.01, 100)
    _, low, high, *_ = measures(scores, labels, np.arange(100))
    _, wide_low, wide_high, *_ = measures(scores, labels, np.repeat(np.arange(4), 25))
    assert wide_high - wide_low > 1.5 * (high - low)


def test_verdicts_made_by_hand():
    scores = np.array([0.9, 0.5, 0.1, 0.8, 0.2, np.nan])
    labels = np.array([FAKE, FAKE, FAKE, REAL, REAL, REAL])
    undecided, wrong, false_alarms, missed = verdicts(scores, labels, Thresholds(0.3, 0.7))
    assert undecided == pytest.approx(2 / 6) and wrong == pytest.approx(2 / 4)
    assert false_alarms == pytest.approx(1 / 3) and missed == pytest.approx(1 / 3)


def test_the_baseline_learns_what_sharpness_shows():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    labels = np.tile([FAKE, REAL], 20)
    smooth = images.astype(float)
    smooth[labels == FAKE, 12:52, 12:52] = smooth[labels == FAKE, 12:52, 12:52].mean(
        axis=(1, 2), keepdims=True
    )
    images = smooth.astype(np.uint8)
    found = baseline.score(baseline.fit(images[:30], labels[:30]), images[30:])
    assert found[labels[30:] == FAKE].min() > found[labels[30:] == REAL].max()


@pytest.mark.parametrize("name", CHANGES)
def test_a_stronger_change_departs_further(region, name):
    change, strengths = CHANGES[name]
    errors = [
        np.abs(change(region.image, strength).astype(int) - region.image).mean()
        for strength in strengths
    ]
    rising = name.startswith(("H.264", "blur"))
    assert errors == sorted(errors, reverse=not rising) and min(errors) > 0


def test_real_and_fake_are_changed_alike(region):
    plain, dark = (
        pseudo_faces([region], RULE, lambda image, part=part: image // part) for part in (1, 2)
    )
    assert plain.images.shape == (2, 64, 64, 3)
    assert np.abs(plain.images.astype(int) // 2 - dark.images).max() <= 1


def test_tables_of_faces(region, networks):
    pairs = [Pairs([region] * 4, RULE, seed=0, train=train) for train in (True, False)]
    scores, verdict_table, undecided, calibration, reliability, worse, *charts = face_parts(
        networks[0], *pairs, [region] * 4
    )
    assert [row[1] for row in scores.rows[:2]] == ["ed", baseline.NAME]
    assert scores.rows[-2][1] == "chance" and "4 people" in scores.title
    assert len(verdict_table.rows) == 2 and len(calibration.rows) == 2
    assert {row[0] for row in worse.rows} == {"none", *CHANGES} and all(
        0 <= row[2] <= 1 for row in worse.rows
    )
    assert [chart.x_label for chart in charts] == list(CHANGES) and len(reliability.series) == 3
    shares = [row[3] for row in undecided.rows]
    assert shares == sorted(shares, reverse=True), (
        "the more errors are allowed, the less is left undecided"
    )
    for table in (scores, verdict_table, undecided, calibration, worse):
        json.dumps(table.to_dict(), allow_nan=False)


def test_without_its_temperature_a_network_is_the_softmax_of_its_logits(region, networks):
    faces = pseudo_faces([region], RULE, repeats=10)
    hot = replace(networks[0], temperature=1.0)
    cold = replace(networks[0], temperature=3.0)
    table, _ = calibration_parts(cold, score(cold, faces.images), faces.labels == FAKE)
    plain, _ = calibration_parts(hot, score(hot, faces.images), faces.labels == FAKE)
    assert table.rows[1][2] == pytest.approx(plain.rows[0][2], abs=1e-5)


def test_scores_are_probabilities_of_fake(region, networks):
    faces = pseudo_faces([region], RULE, repeats=3)
    found = score(networks[0], faces.images)
    assert found.shape == (6,) and ((found > 0) & (found < 1)).all()
    assert faces.labels.tolist() == [FAKE, REAL] * 3 and faces.groups.tolist() == [0] * 6


def small_job(networks, finder) -> DeepfakeJob:
    return DeepfakeJob([networks[0]], finder, Options(frames=4), engine="eager", device="cpu")


@pytest.fixture
def judged(tmp_path, networks, middle_face):
    """A clip of each label, an image too small for a face, and a file that is no video."""
    for kind, name in (("real", "a"), ("fake", "b")):
        (tmp_path / kind).mkdir()
        write_clip(tmp_path / kind / f"{name}.mp4")
    write_picture(tmp_path / "fake" / "small.png", np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "real" / "broken.mp4").write_bytes(b"no video")
    job = small_job(networks, middle_face)
    return judge_sources(job, tmp_path)


def test_every_labelled_source_is_judged(judged):
    by_name = {one.file.path.name: one for one in judged}
    assert set(by_name) == {"a.mp4", "b.mp4", "small.png", "broken.mp4"}
    assert by_name["broken.mp4"].verdict == "FAILED" and isinstance(
        by_name["broken.mp4"].result, Failure
    )
    assert by_name["small.png"].verdict == "UNDECIDED" and np.isnan(by_name["small.png"].score)
    assert len(by_name["a.mp4"].frame_scores) == 4 and by_name["a.mp4"].file.label == REAL


def test_tables_of_sources(judged):
    scores, verdict_table, each = source_tables("set", {"ed": judged})
    assert [row[:3] for row in scores.rows] == [
        ("ed", "sources", 0),
        ("ed", "frames", 8),
        (BITS, "videos", 2),
    ]
    sizes = {
        one.file.label: one.file.path.stat().st_size
        for one in judged
        if "." in one.file.path.name and one.file.path.stem in "ab"
    }
    assert scores.rows[-1][3] == (
        0.5 if sizes[FAKE] == sizes[REAL] else float(sizes[FAKE] < sizes[REAL])
    )
    assert verdict_table.rows[0][1] == 4
    assert {row[0]: row[4] for row in each.rows}["broken.mp4"] == "FAILED"


def test_each_manipulation_is_measured_against_all_real_sources(judged):
    kinds = {"b.*": "swap", "sm*": "mask", "nothing*": "unseen"}
    *_, by_kind, _ = source_tables("set", {"ed": judged}, kinds)
    assert [row[:3] for row in by_kind.rows] == [
        ("mask", "ed", 1),
        ("swap", "ed", 1),
        ("none: the real ones", "ed", 2),
    ]
    swap = by_kind.rows[1]
    assert sum(swap[5:]) == 1 and 0 <= swap[4] <= 1


def test_the_list_tells_what_a_fake_was_made_by(judged):
    told = [
        replace(one, file=replace(one.file, kind="maker" if one.file.label == FAKE else ""))
        for one in judged
    ]
    *_, by_kind, _ = source_tables("set", {"ed": told}, {"b.*": "swap"})
    assert [row[0] for row in by_kind.rows] == ["maker", "none: the real ones"]


def test_recompression_makes_real_clips_worse(tmp_path, networks, middle_face):
    clip = write_clip(tmp_path / "a.mp4", options={"crf": "10"})
    again = {factor: recompressed(clip, factor, tmp_path / f"{factor}.mp4") for factor in (23, 40)}
    assert again[40].stat().st_size < again[23].stat().st_size
    with open_video(again[40]) as video:
        assert video.frame_count == 20 and (video.width, video.height) == (64, 64)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    job = small_job(networks, middle_face)
    (tmp_path / "list.csv").write_text("path,label\na.mp4,real\nbroken.mp4,real\n23.mp4,fake\n")
    judged = judge_sources(job, tmp_path / "list.csv")
    table = recompression_table("set", {"ed": job}, judged)
    assert [row[:3] for row in table.rows] == [
        ("ed", 23, 1),
        ("ed", 30, 1),
        ("ed", 35, 1),
        ("ed", 40, 1),
    ]
    assert all(0 <= value <= 1 for row in table.rows for value in row[3:])
    assert recompression_table("set", {"ed": job}, judged[1:]) is None


def test_a_frame_counts_by_its_most_suspicious_face(judged):
    one = next(one for one in judged if one.file.path.name == "b.mp4")
    by_frame = {}
    for seen in one.result.observations:
        by_frame.setdefault(seen.frame, []).append(seen.score)
    assert all(len(scores) == 2 for scores in by_frame.values())
    assert one.frame_scores == [max(scores) for scores in by_frame.values()]


def test_a_long_list_gets_no_row_for_each(judged):
    failed = next(one for one in judged if one.verdict == "FAILED")
    many = [*judged, *[Judged(Labelled(failed.file.path, REAL, ""), failed.result)] * 40]
    assert len(source_tables("set", {"ed": many})) == 2
