"""Windows over a stream, boxes in pixels, and who is who."""

import numpy as np
import pytest

from video_detect.film.between import filled
from video_detect.film.boxes import objects
from video_detect.film.follow import Follower, Numbers
from video_detect.film.windows import Windows
from video_detect.result import FrameRow, Object


def taken(count: int, size: int, overlap: int, *, causal: bool = False) -> list[tuple]:
    """(window, frames taken out of it) of a film of ``count`` frames."""
    windows: Windows[int] = Windows(size, overlap, causal=causal)
    found = [windows.push(number, number) for number in range(count)] + [windows.finish()]
    return [(one.frames, one.frames[one.begin : one.end]) for one in found if one]


@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 30, 31])
@pytest.mark.parametrize(("size", "overlap"), [(8, 2), (8, 0), (4, 3), (1, 0)])
def test_each_frame_is_taken_once_from_a_full_window(count, size, overlap):
    windows = taken(count, size, overlap)
    assert [frame for _, own in windows for frame in own] == list(range(count))
    assert all(len(frames) == min(size, count) for frames, _ in windows)


def test_a_frame_is_taken_where_it_lies_deep():
    windows = taken(20, 8, 4)
    for frames, own in windows[1:-1]:
        assert own[0] - frames[0] == 2 and frames[-1] - own[-1] == 2


def test_online_windows_end_with_their_frame():
    windows = taken(6, 4, 1, causal=True)
    assert [own for _, own in windows] == [[n] for n in range(6)]
    assert windows[0][0] == [0, 0, 0, 0] and windows[-1][0] == [2, 3, 4, 5]


def test_boxes_are_of_the_frame_and_stay_inside_it():
    logits = np.array([[4.0, -9], [-9, 3.0], [-9, -9]])
    boxes = np.array([[0.5, 0.5, 0.5, 0.5], [0.95, 0.1, 0.3, 0.4], [0.5, 0.5, 1, 1]])
    found = objects(logits, boxes, (101, 57), ("car", "dog"), 0.5)
    assert [one.label for one in found] == ["car", "dog"]
    assert found[0].box == pytest.approx((25.25, 14.25, 50.5, 28.5))
    x, y, width, height = found[1].box
    assert x + width == pytest.approx(101) and y == 0 and height == pytest.approx(0.3 * 57)


def test_one_thing_seen_by_two_queries_is_one_object():
    logits = np.array([[4.0], [3.0]])
    boxes = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.51, 0.5, 0.5]])
    assert len(objects(logits, boxes, (100, 100), ("car",), 0.5)) == 1


def seen(x: float, score: float = 0.9, label: str = "car", y: float = 10) -> Object:
    return Object((x, y, 20, 10), label, score)


def numbers_of(frames: list[list[Object]], fps: float = 24) -> list[list[int | None]]:
    follower = Follower(0.5)
    linked = [follower.follow(own, n / fps) for n, own in enumerate(frames)]
    numbers = Numbers(2)
    return [[one.track for one in numbers.number(own)] for own in linked]


def test_a_number_is_kept_through_half_a_second_without_sight():
    frames = [[seen(5 * n)] if not 10 <= n < 22 else [] for n in range(30)]
    given = numbers_of(frames)
    assert {number for frame in given for number in frame} == {1}
    assert not any(given[10:22])


def test_objects_that_cross_keep_their_numbers():
    frames = [[seen(4 * n), seen(100 - 4 * n, y=14, label="dog")] for n in range(26)]
    given = numbers_of(frames)
    assert all(frame == [1, 2] for frame in given)


def test_a_box_that_is_seen_once_gets_no_number_and_leaves_no_gap():
    frames = [[seen(0), *([seen(200)] if n == 1 else []), *([seen(90, y=60)] if n > 1 else [])]
              for n in range(5)]  # fmt: skip
    assert numbers_of(frames)[-1] == [1, 2]
    assert sum(map(len, numbers_of(frames))) == 5 + 3


def test_an_unsure_box_goes_on_with_a_track_but_begins_none():
    frames = [[seen(2 * n, 0.9 if n < 3 else 0.3), seen(100, 0.3)] for n in range(6)]
    assert numbers_of(frames) == [[1]] * 6


def test_frames_between_two_computed_ones():
    rows = [FrameRow(0, 0.0, (Object((0, 0, 10, 10), "car", 0.8, 1),)),
            FrameRow(4, 0.4, (Object((8, 4, 10, 10), "car", 0.6, 1),
                              Object((50, 50, 5, 5), "dog", 0.9, 2)))]  # fmt: skip
    complete = filled(rows, lambda index: index / 10)
    assert [row.index for row in complete] == list(range(5))
    assert [row.computed for row in complete] == [True, False, False, False, True]
    assert complete[1].objects[0].box == pytest.approx((2, 1, 10, 10))
    assert [len(row.objects) for row in complete] == [1, 1, 1, 2, 2]
