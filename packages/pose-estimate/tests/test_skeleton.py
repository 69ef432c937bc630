"""Skeletons: one table, and every way from one to another."""

import numpy as np
import pytest

from pose_estimate.skeleton import (
    by_labels,
    converted,
    converter,
    read_skeleton,
    skeleton,
    skeletons,
)
from vitrail.errors import InputError, UsageError

SETS = [name for name in skeletons() if name not in ("unified", "blazepose")]
UNIFIED = skeleton("unified")


@pytest.mark.parametrize("name", SETS)
def test_to_the_unified_joints_and_back_is_the_same(name):
    one = skeleton(name)
    poses = np.random.default_rng(0).random((2, len(one), 3))
    there = converted(poses, one, UNIFIED)
    assert there.shape == (2, 23, 3)
    assert np.array_equal(converted(there, UNIFIED, one), poses)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("coco", range(17)),
        ("ochuman", range(17)),
        ("mpii", [16, 14, 12, 11, 13, 15, 20, 19, 18, 17, 10, 8, 6, 5, 7, 9]),
        ("aic", [6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 17, 18]),
        ("crowdpose", [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
    ],
)
def test_the_numbers_are_those_of_the_specification(name, numbers):
    assert [UNIFIED.joints.index(joint) for joint in skeleton(name).joints] == list(numbers)


def test_joints_that_the_source_lacks_are_not_labelled():
    poses = np.ones((1, 14, 3))
    coco = converted(poses, skeleton("aic"), skeleton("coco"))
    assert (coco[0, :5] == 0).all() and (coco[0, 5:] == 1).all()


def test_left_and_right_change_places():
    pairs = skeleton("coco").pairs
    assert pairs == tuple((2 * n + 1, 2 * n + 2) for n in range(8))
    for one in skeletons().values():
        for left, right in one.pairs:
            assert one.labels[left].replace("left", "right") == one.labels[right]


@pytest.mark.parametrize("one", skeletons().values(), ids=lambda one: one.name)
def test_lines_join_joints_that_are_there(one):
    assert one.edges and all(first != second for first, second in one.edges)
    assert len(one.colours) == len(one) == len(one.sigmas)


def test_coco_is_cocos():
    coco = skeleton("coco")
    assert coco.sigmas[:3] == (0.026, 0.025, 0.025) and coco.sigmas[-1] == 0.089
    assert len(coco.edges) == 18


@pytest.mark.parametrize("name", SETS)
def test_a_data_sets_own_words_are_known_again(name):
    one = skeleton(name)
    again = by_labels([label.replace("_", " ").title() for label in one.labels])
    assert again.joints == one.joints and again.sigmas == one.sigmas


def test_another_order_is_read_by_name():
    jrdb = skeleton("jrdb")
    shuffled = by_labels(jrdb.labels[::-1])
    assert shuffled.name == "jrdb" and shuffled.joints == jrdb.joints[::-1]
    assert shuffled.sigmas == jrdb.sigmas[::-1]


def test_a_new_skeleton_knows_the_joints_whose_names_are_known():
    hand = by_labels(["left_wrist", "left_thumb_tip", "right_wrist"])
    assert hand.joints == ("left_wrist", "", "right_wrist")
    assert converter(hand, skeleton("coco"))[9] == 0


def test_skeletons_without_a_common_joint_are_told():
    with pytest.raises(UsageError, match="has no joint of coco"):
        converter(by_labels(["tip", "root"]), skeleton("coco"))


def test_a_small_file_is_a_skeleton(tmp_path):
    path = tmp_path / "dog.toml"
    path.write_text('joints = ["nose", "tail"]\nedges = [["nose", "tail"]]\nsigmas = [0.1, 0.2]\n')
    dog = read_skeleton(path)
    assert (dog.name, dog.edges, dog.sigmas) == ("dog", ((0, 1),), (0.1, 0.2))
    assert type(dog).of(dog.to_dict()) == dog


@pytest.mark.parametrize(
    "text",
    ["", "joints = 3", 'joints = ["a", "a"]', 'joints = ["a"]\nsigmas = [0.0]',
     'joints = ["a"]\nedges = [["a", "b"]]', 'joints = ["a"]\nlabels = ["a", "b"]', "\0",
     "joints ="],
)  # fmt: skip
def test_files_that_are_none(tmp_path, text):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError):
        read_skeleton(path)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean coco"):
        skeleton("cocoa")
