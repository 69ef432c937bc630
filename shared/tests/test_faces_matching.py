"""How found faces are held against known ones."""

import numpy as np
import pytest

from vitrail.detection.matching import iou, match, merge
from vitrail.faces.face import Face

KNOWN = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], float)
FIVE = np.array([[2, 3], [8, 3], [5, 5], [3, 8], [7, 8]], float)
LANDMARKS = np.stack((FIVE, np.full((5, 2), np.nan)))
NO_BOX = np.zeros((0, 4))


def found(box, score, landmarks=FIVE):
    return Face(box, score, landmarks)


def test_iou_of_a_half_shifted_box():
    others = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]])
    assert iou((0, 0, 10, 10), others) == pytest.approx([1 / 3, 1, 0])


def test_a_face_is_found_once():
    matches = match(
        [found((0, 0, 10, 10), 0.9), found((0, 0, 10, 11), 0.8)], KNOWN, LANDMARKS, NO_BOX
    )
    assert matches.hits.tolist() == [True, False]
    assert (matches.recall(), matches.precision()) == (0.5, 0.5)
    assert matches.precision(min_score=0.85) == 1


def test_faces_over_unsure_boxes_are_left_out():
    matches = match(
        [found((100, 0, 110, 10), 0.9)], KNOWN, LANDMARKS, np.array([[100, 0, 112, 12]])
    )
    assert len(matches.scores) == 0
    assert matches.precision() == 1 and matches.recall() == 0


def test_average_precision_counts_a_wrong_box_above_a_right_one():
    wrong, right = found((200, 0, 210, 10), 0.9), found((0, 0, 10, 10), 0.8)
    matches = match([wrong, right], KNOWN[:1], LANDMARKS[:1], NO_BOX)
    assert matches.average_precision() == 0.5
    best_first = match([found((200, 0, 210, 10), 0.7), right], KNOWN[:1], LANDMARKS[:1], NO_BOX)
    assert best_first.average_precision() == 1


def test_recall_at_a_precision_takes_the_best_score():
    faces = [found((0, 0, 10, 10), 0.9), found((200, 0, 210, 10), 0.8), found((50, 0, 60, 10), 0.7)]
    matches = match(faces, KNOWN, LANDMARKS, NO_BOX)
    assert [matches.recall_at(precision) for precision in (1.0, 0.6, 0.9)] == [0.5, 1.0, 0.5]
    nothing = match([], KNOWN, LANDMARKS, NO_BOX)
    assert nothing.recall_at(0.5) == 0


def test_landmark_error_is_in_eye_distances():
    shifted = FIVE + np.array([0.6, 0])  # the eyes are 6 pixels apart
    matches = match(
        [found((0, 0, 10, 10), 0.9, shifted), found((50, 0, 60, 10), 0.8)], KNOWN, LANDMARKS, NO_BOX
    )
    assert matches.landmark_error() == pytest.approx(0.1)


def test_merging_adds_up_pictures():
    one = match([found((0, 0, 10, 10), 0.9)], KNOWN, LANDMARKS, NO_BOX)
    nothing = match([], NO_BOX, np.zeros((0, 5, 2)), NO_BOX)
    both = merge([one, nothing, one])
    assert both.known == 4 and both.hits.sum() == 2 and both.recall() == 0.5
    assert np.isnan(nothing.landmark_error())
