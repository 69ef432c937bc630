"""Who is who over time."""

import numpy as np

from vitrail.faces.face import Face
from vitrail.faces.follow import cost, link


def face(x, y, side=100.0):
    return Face((x, y, x + side, y + side), 0.9, np.zeros((5, 2), np.float32))


def test_one_person_keeps_the_number_though_frames_are_far_apart():
    frames = [[face(100 + 45 * step, 80, 100 * 1.03**step)] for step in range(15)]
    assert link(frames) == [[0]] * 15


def test_two_people_are_told_apart_in_any_order():
    left, right = face(50, 50), face(400, 60)
    assert link([[left, right], [right, left], [left], [right]]) == [[0, 1], [1, 0], [0], [1]]


def test_frames_without_a_face_are_bridged():
    assert link([[face(100, 100)], [], [], [face(120, 90)]]) == [[0], [], [], [0]]


def test_camera_cuts_between_two_speakers_give_two_people():
    first, second = face(100, 100, 200), face(700, 120, 180)
    assert link([[first], [first], [second], [second], [first], [second]]) == [
        [0],
        [0],
        [1],
        [1],
        [0],
        [1],
    ]


def test_another_size_is_another_person():
    assert link([[face(100, 100, 300)], [face(220, 220, 40)]]) == [[0], [1]]


def test_a_newcomer_does_not_take_an_old_number():
    assert link([[face(100, 100)], [face(300, 100), face(110, 100)]]) == [[0], [1, 0]]


def test_no_frames_and_no_faces():
    assert link([]) == []
    assert link([[], []]) == [[], []]


def test_boxes_without_extent_are_no_trouble():
    assert link([[face(10, 10, 0.0)], [face(10, 10, 0.0)]]) in ([[0], [0]], [[0], [1]])
    assert cost(face(0, 0), face(0, 0)) == 0
