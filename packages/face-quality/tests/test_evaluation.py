"""The tables of the model card, on a made test set."""

import csv

import numpy as np
import pytest

from face_quality.evaluation.behaviour import alignments, best_shot, gammas, ladders, percentiles
from face_quality.evaluation.gain import Matched, spearman, utility
from face_quality.evaluation.matchers import linear_matcher, similarities
from face_quality.evaluation.rivals import ediffiqa_qualities, simple_qualities
from face_quality.evaluation.sets import LANDMARKS, partly_degraded, read_test_set
from face_quality.networks import load_network
from vitrail.errors import InputError
from vitrail.faces.align import TEMPLATE
from vitrail.testing.beside import DATA, needs
from vitrail.testing.media import pattern, write_picture

from .fakes import small_network, write_weights

PEOPLE, EACH = 6, 4


@pytest.fixture
def folder(tmp_path):
    rows, pairs = [], []
    for person in range(PEOPLE):
        for number in range(EACH):
            name = f"P{person}_{number}.png"
            write_picture(tmp_path / name, np.roll(pattern(112, 112, person), 2 * number, axis=1))
            rows.append([name, f"P{person}", *TEMPLATE.ravel().tolist()])
            pairs.append([name, f"P{person}_{(number + 1) % EACH}.png", 1])
            pairs.append([name, f"P{(person + 1) % PEOPLE}_{number}.png", 0])
    for file, head, lines in (
        ("test.csv", ["path", "identity", *LANDMARKS], rows),
        ("test_pairs.csv", ["path_a", "path_b", "same"], pairs),
    ):
        with (tmp_path / file).open("w", newline="") as text:
            csv.writer(text).writerows([head, *lines])
    return tmp_path


def test_a_quarter_is_degraded_and_always_the_same(folder):
    test = read_test_set(folder)
    spoilt = partly_degraded(test)
    changed = (spoilt.crops != test.crops).any(axis=(1, 2, 3))
    assert 0 < changed.sum() < len(changed) / 2
    assert (partly_degraded(test).crops == spoilt.crops).all()


def test_the_similarities_as_quality_gain_all_there_is(folder):
    test = read_test_set(folder)
    random = np.random.default_rng(0)
    vectors = 300 * np.eye(8)[[int(person[1:]) for person in test.people]]
    spoilt = random.random(len(vectors)) < 0.3
    vectors = vectors + np.where(spoilt[:, None], random.normal(0, 400, (len(vectors), 8)), 0)
    matched = Matched.of(test, vectors, 0.05)
    quality = 1.0 - spoilt
    assert matched.missed.any() and matched.best_ratio < 1
    assert matched.gain(quality) > 0.5 > matched.gain(-quality)
    low, high = matched.gain_interval(quality)
    assert low <= matched.gain(quality) <= high + 1e-9
    assert spearman(quality, utility(test, vectors)) > 0.3


def test_the_linear_matcher_tells_the_people_apart_that_it_was_fitted_on(folder):
    test = read_test_set(folder)
    vectors = linear_matcher(test.crops, test.people)(test.crops)
    likeness = similarities(vectors, test.pairs)
    assert likeness[test.same].min() > likeness[~test.same].mean()


def test_crops_that_two_sets_share_are_judged_once(folder, tmp_path, monkeypatch):
    """With the same numbers as if the second set stood alone."""
    from face_quality.evaluation import Measured

    path = str(write_weights(tmp_path / "w.safetensors"))
    usual = read_test_set(folder)
    spoilt = partly_degraded(usual)
    linear = linear_matcher(usual.crops, usual.people)
    both = Measured(path, None, linear, None)
    both.judge(usual)
    second = both.judge(spoilt, usual)
    alone = Measured(path, None, linear, None).judge(spoilt)
    assert list(second.qualities) == list(alone.qualities)
    assert list(alone.qualities)[:2] == ["ours", "ours, after block 1"]
    for name, quality in alone.qualities.items():
        np.testing.assert_allclose(second.qualities[name], quality, atol=1e-4, err_msg=name)
    for name, vectors in alone.vectors.items():
        np.testing.assert_allclose(second.vectors[name], vectors, atol=1e-4)
    whole = usual.part(np.arange(len(usual.crops)) % 2 == 0)
    assert len(whole.crops) == len(whole.paths) == (len(usual.crops) + 1) // 2


def test_a_network_of_others_is_judged_beside_ours(folder, tmp_path):
    """Any ONNX network that takes crops; here the mean of the pixels."""
    import torch

    class Mean(torch.nn.Module):
        def forward(self, images):
            return images.mean(dim=(1, 2, 3), keepdim=True).flatten(1)

    path = tmp_path / "mean.onnx"
    torch.onnx.export(Mean(), (torch.zeros(1, 3, 112, 112),), str(path), dynamo=False)
    test = read_test_set(folder)
    rows = simple_qualities(test, None, path)
    expected = test.crops.mean(axis=(1, 2, 3)) / 127.5 - 1
    np.testing.assert_allclose(rows["eDifFIQA(T)"], expected, atol=1e-4)
    assert "eDifFIQA(T)" not in simple_qualities(test, None)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="ediffiqa_tiny"):
        ediffiqa_qualities(test.crops, path)


def test_tables_of_behaviour(folder, tmp_path):
    test, network = read_test_set(folder), small_network(tmp_path)
    ladder = ladders(network, test)
    assert len(ladder.rows) == 7 and all(0 <= row[-1] <= 1 for row in ladder.rows)
    assert len(gammas(network, test).rows) == 4
    told = percentiles(network)
    assert told is None or [row[0] for row in told.rows] == sorted(row[0] for row in told.rows)
    shots = best_shot(network, test, np.ones(len(test.crops)))
    assert [row[0] for row in shots.rows] == ["ours", "detector score", "sharpness"]
    assert all(row[2] == PEOPLE for row in shots.rows)


@needs(DATA / "face-quality")
def test_the_score_hardly_hangs_on_who_found_the_landmarks():
    (row,) = alignments(load_network(), DATA / "face-quality").rows
    found, missed, _, mean, largest = row
    assert (found, missed) == (45, 0) and mean <= largest
    assert mean < 12


def test_a_list_that_lacks_a_column(folder):
    (folder / "test_pairs.csv").write_text("path_a,path_b\nx,y\n")
    with pytest.raises(InputError, match="lacks same"):
        read_test_set(folder)
