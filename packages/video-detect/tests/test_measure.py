"""Average precision, motion, and what is told of a film."""

import numpy as np
import pytest

from video_detect.measure.baselines import middle_rows, motion_rows
from video_detect.measure.films import Film, best_ious, held, label_right, recall
from video_detect.measure.motion import group_of, motion_ious
from video_detect.measure.precision import Judged, average_precision, coco_ap, ious
from video_detect.result import FrameRow, Object

from .fakes import film

TRUE = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], float)


def judged(boxes, scores, labels=None, ignored=None) -> Judged:
    boxes = np.array(boxes, float).reshape(-1, 4)
    labels = np.zeros(len(boxes), int) if labels is None else np.array(labels)
    return Judged(boxes, np.array(scores, float), labels, TRUE, np.array([0, 0]), ignored)


def test_overlap():
    assert ious(TRUE, TRUE).tolist() == [[1, 0], [0, 1]]
    assert ious(TRUE[:1], np.array([[5.0, 0, 15, 10]]))[0, 0] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("boxes", "scores", "wanted"),
    [
        (TRUE, [0.9, 0.8], 1.0),
        (TRUE[:1], [0.9], 51 / 101),
        ([*TRUE, [50, 50, 60, 60]], [0.9, 0.8, 0.1], 1.0),
        ([*TRUE, [50, 50, 60, 60]], [0.9, 0.5, 0.7], 51 / 101 + 50 / 101 * 2 / 3),
        ([TRUE[0], TRUE[0]], [0.9, 0.8], 51 / 101),
        (np.zeros((0, 4)), [], 0.0),
    ],
)
def test_average_precision(boxes, scores, wanted):
    assert average_precision([judged(boxes, scores)]) == pytest.approx(wanted)


def test_classes_count_or_do_not():
    one = judged(TRUE, [0.9, 0.8], labels=[0, 1])
    assert average_precision([one]) == pytest.approx(51 / 101)
    assert average_precision([one], by_class=False) == 1.0
    assert coco_ap([judged(TRUE, [0.9, 0.8])]) == 1.0


def test_what_is_ignored_is_neither_wanted_nor_wrong():
    only_first = np.array([False, True])
    assert average_precision([judged(TRUE, [0.5, 0.9], ignored=only_first)]) == 1.0
    assert average_precision([judged(TRUE[:1], [0.5], ignored=only_first)]) == 1.0
    assert np.isnan(average_precision([judged(TRUE, [0.5, 0.9], ignored=np.array([True, True]))]))


def test_motion_is_how_an_object_overlaps_itself():
    still = [{1: np.array([0.0, 0, 10, 10])}] * 5
    fast = [{1: np.array([6.0 * n, 0, 6 * n + 10, 10])} for n in range(5)]
    assert {group_of(value[1]) for value in motion_ious(still)} == {"slow"}
    assert {group_of(value[1]) for value in motion_ious(fast)} == {"fast"}
    assert motion_ious([{7: np.array([0.0, 0, 1, 1])}]) == [{7: 1.0}]
    assert [group_of(value) for value in (0.95, 0.9, 0.7, 0.69)] == [
        "slow", "medium", "medium", "fast",
    ]  # fmt: skip


def square() -> Film:
    images = film(12)
    boxes = np.array([[4 + 4 * n, 20, 28 + 4 * n, 44] for n in range(12)], float)
    return Film("square", "car", images, boxes, np.zeros(12, bool))


def rows(tracks: list[int | None], label: str = "car") -> list[FrameRow]:
    return [
        FrameRow(n, None, (Object((4 + 4 * n, 20, 24, 24), label, 0.9, track),) if track else ())
        for n, track in enumerate(tracks)
    ]


def test_a_film_is_told_by_recall_label_and_ids():
    whole = rows([1] * 12)
    assert recall(square(), whole) == 1 and best_ious(square(), whole).min() == 1
    assert label_right(square(), whole) == 1 and label_right(square(), rows([1] * 12, "dog")) == 0
    broken = rows([None, 1, 1, None, None, 1, 2, 2, 2, 2, 1, None])
    told = held(square(), broken)
    assert (told.share, told.changes, told.dropouts) == (pytest.approx(4 / 12), 2, 2)
    assert recall(square(), broken) == pytest.approx(8 / 12)
    assert np.isnan(label_right(square(), rows([None] * 12)))


def test_a_worn_film():
    worn = square().worn()
    assert worn.spoilt.tolist() == [n in (4, 9) for n in range(12)]
    assert not worn.images[6].any() and worn.images[0].any()
    assert np.abs(worn.images[4].astype(int) - square().images[4]).max() > 30


def test_baselines():
    assert recall(square(), middle_rows(square().images, "car")) < 0.5
    moving = motion_rows(square().images, "car")
    # Of a plain square only the edges change from frame to frame.
    assert len(moving) == 12 and best_ious(square(), moving).mean() > 0.2
