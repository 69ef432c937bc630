"""Overlap, surfaces and counted cells, on masks whose figures are known."""

import numpy as np
import pytest

from medical_segment.scores import count_cells, dice, inside, overlap


def cube(start: int, side: int = 6) -> np.ndarray:
    mask = np.zeros((20, 20, 20), bool)
    mask[start : start + side, 5 : 5 + side, 5 : 5 + side] = True
    return mask


def test_equal_masks_are_perfect():
    for surface in ("elements", "voxels"):
        score = overlap(cube(4), cube(4), (1, 1, 1), surface=surface)
        assert (score.dice, score.hd95, score.nsd) == (1, 0, 1)


def test_millimetres_count():
    near, far = (overlap(cube(4), cube(6), (mm, 1, 1), surface="voxels") for mm in (1, 3))
    assert near.dice == far.dice == pytest.approx(2 / 3)
    assert near.hd95 == pytest.approx(2) and far.hd95 == pytest.approx(6) and near.nsd > far.nsd
    assert overlap(cube(4), cube(6), (1, 1, 1), tolerance=2).nsd == 1


def test_the_rules_for_nothing():
    nothing = np.zeros((20, 20, 20), bool)
    both, one = overlap(nothing, nothing, (1, 1, 1)), overlap(nothing, cube(4), (1, 1, 1))
    assert (both.dice, both.nsd, one.dice, one.nsd) == (1, 1, 0, 0)
    assert np.isnan(both.hd95) and np.isnan(one.hd95) and dice(nothing, nothing) == 1


def test_surfaces_in_two_dimensions():
    mask = cube(4)[:, :, 7]
    assert overlap(mask, mask, (1, 1)).nsd == 1


def cells(*boxes: tuple[int, int, int]) -> np.ndarray:
    instances = np.zeros((40, 40), np.int32)
    for number, (row, column, side) in enumerate(boxes, start=1):
        instances[row : row + side, column : column + side] = number
    return instances


def test_cells_are_paired_one_to_one():
    truth = cells((5, 5, 10), (5, 20, 10), (20, 5, 10))
    found = cells((5, 6, 10), (5, 20, 5), (30, 30, 5))
    (count,) = count_cells(found, truth)
    assert (count.tp, count.fp, count.fn) == (1, 2, 2)
    assert count.f1 == count.precision == count.recall == pytest.approx(1 / 3)
    assert [c.tp for c in count_cells(truth, truth, (0.5, 0.9))] == [3, 3]


def test_cells_at_the_border_are_left_out():
    instances = cells((0, 5, 10), (1, 25, 10), (20, 20, 10))
    assert set(np.unique(inside(instances))) == {0, 3}
    assert count_cells(instances, instances)[0].tp == 1


def test_images_without_cells():
    nothing, one = np.zeros((40, 40), np.int32), cells((5, 5, 10))
    assert count_cells(nothing, nothing)[0].f1 == 1
    assert count_cells(nothing, one)[0].f1 == 0 and count_cells(one, nothing)[0].f1 == 0


def test_an_image_full_of_one_cell():
    whole = np.ones((40, 40), np.int32)
    assert count_cells(whole, whole, border=2)[0].tp == 0
