"""COCO's average precision, on cases whose figures are known."""

import numpy as np
import pytest

from pose_estimate.data import Coco, read_people
from pose_estimate.pose.average_precision import Guess, Truth, average_precision, similarity
from pose_estimate.skeleton import skeleton
from vitrail.testing.beside import DATA, needs

SIGMAS = np.array(skeleton("coco").sigmas)
SIDE = 200.0


def person(seed, flag=2.0):
    joints = np.random.default_rng(seed).uniform(0, SIDE, (17, 2)) + 500 * seed
    joints = np.column_stack((joints, np.full(17, flag)))
    return Truth(joints, np.array([500.0 * seed, 500 * seed, SIDE, SIDE]), SIDE**2)


def moved(truth, alike):
    """The pose with each joint moved such that OKS is ``alike``."""
    away = np.sqrt(-2 * np.log(alike) * truth.area) * 2 * SIGMAS
    return np.column_stack((truth.joints[:, 0] + away, truth.joints[:, 1], np.ones(17)))


@pytest.mark.parametrize(("alike", "limits"), [(0.99, 10), (0.74, 5), (0.52, 1), (0.48, 0)])
def test_a_person_counts_at_the_limits_below_its_likeness(alike, limits):
    truth = person(0)
    guess = Guess(moved(truth, alike), 0.9)
    assert similarity(guess.joints, truth, SIGMAS) == pytest.approx(alike)
    figures = average_precision({"a": [truth]}, {"a": [guess]}, SIGMAS)
    assert figures.ap == pytest.approx(limits / 10)
    assert figures.ap50 == pytest.approx(float(limits > 0)) and figures.large == figures.ap
    assert np.isnan(figures.medium)


def test_half_of_the_people_found_is_half_of_the_recalls():
    truths = {"a": [person(0), person(1)]}
    figures = average_precision(truths, {"a": [Guess(moved(person(0), 0.99), 0.9)]}, SIGMAS)
    assert figures.ap == pytest.approx(51 / 101) and figures.recall == pytest.approx(0.5)


def test_a_better_scored_invention_costs_precision():
    truths = {"a": [person(0)], "b": []}
    right, wrong = Guess(moved(person(0), 0.99), 0.5), Guess(moved(person(3), 0.99), 0.9)
    for image in truths:
        guesses = {"a": [right]}
        guesses.setdefault(image, []).append(wrong)
        assert average_precision(truths, guesses, SIGMAS).ap == pytest.approx(0.5)


def test_who_is_not_labelled_is_neither_found_nor_missed():
    truths = {"a": [person(0), person(1, flag=0.0)]}
    guesses = {"a": [Guess(moved(one, 0.99), 0.9) for one in truths["a"]]}
    assert average_precision(truths, guesses, SIGMAS).ap == pytest.approx(1.0)
    assert np.isnan(similarity(guesses["a"][1].joints, truths["a"][1], SIGMAS))


def test_nobody_found_is_zero_and_nobody_known_is_nothing():
    assert average_precision({"a": [person(0)]}, {}, SIGMAS).ap == 0
    assert np.isnan(average_precision({"a": []}, {}, SIGMAS).ap)


def test_other_skeletons_have_sigmas_of_their_own(capsys):
    truth = person(0)
    few = Truth(truth.joints[:3], truth.box, truth.area)
    guess = Guess(moved(truth, 0.99)[:3], 0.9)
    assert average_precision({"a": [few]}, {"a": [guess]}, SIGMAS[:3]).ap == pytest.approx(1.0)
    assert average_precision({"a": [few]}, {"a": [guess]}, SIGMAS[:3] / 100).ap == 0
    assert capsys.readouterr().out == ""


@needs(DATA / "pose")
def test_the_truth_is_perfect():
    source = Coco(
        annotations=DATA / "pose/coco/person_keypoints_val2017_subset.json",
        images=DATA / "pose/coco/val2017",
    )
    truths, guesses = {}, {}
    for one in read_people(source, unlabelled=True):
        truth = Truth(one.joints, one.box, one.area, one.crowd)
        truths.setdefault(one.image_id, []).append(truth)
        if one.labelled.any() and not one.crowd:
            guesses.setdefault(one.image_id, []).append(Guess(one.joints, 1.0))
    assert average_precision(truths, guesses, SIGMAS).ap == pytest.approx(1.0)
