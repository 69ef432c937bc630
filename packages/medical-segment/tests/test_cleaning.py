"""Largest pieces, holes, and cells told apart."""

import numpy as np
import pytest
from monai.transforms import KeepLargestConnectedComponent

from medical_segment.postprocess import clean, clean_labels, measure, separate


def shapes() -> np.ndarray:
    """Label 1: a ring with a hole and a stray; label 2: a block with a hole."""
    labels = np.zeros((24, 24), np.uint8)
    labels[2:12, 2:12] = 1
    labels[5:8, 5:8] = 0
    labels[20:22, 2:4] = 1
    labels[14:22, 12:22] = 2
    labels[17, 17] = 0
    return labels


def test_the_largest_piece_is_that_of_monai():
    labels = shapes()
    largest = clean_labels(labels, largest=True)
    assert np.array_equal(largest, KeepLargestConnectedComponent(connectivity=1)(labels[None])[0])
    assert np.array_equal(clean_labels(labels), labels)


def test_holes_are_filled():
    labels = shapes()
    filled = clean_labels(labels, fill=True)
    assert (filled[2:12, 2:12] == 1).all() and (filled[14:22, 12:22] == 2).all()
    assert (filled != labels).sum() == 10


def test_a_hole_takes_nothing_from_others():
    labels = shapes()
    labels[6, 6] = 2
    cleaned = clean_labels(labels, fill=True)
    assert cleaned[6, 6] == 2 and cleaned[5, 5] == 1


def test_nothing_stays_nothing():
    assert not clean(np.zeros((4, 4, 4), bool), largest=True, fill=True).any()


def cells() -> np.ndarray:
    """Two touching cells whose boundaries meet, one apart, one of boundary only."""
    labels = np.zeros((30, 40), np.uint8)
    labels[4:14, 4:14], labels[6:12, 6:12] = 2, 1
    labels[4:14, 14:24], labels[6:12, 16:22] = 2, 1
    labels[20:26, 5:11], labels[22:24, 7:9] = 2, 1
    labels[20:22, 30:33] = 2
    return labels


def test_touching_cells_are_told_apart():
    found = separate(cells())
    assert found.max() == 3 and found.dtype == np.int32
    assert [int((found == number).sum()) for number in (1, 2, 3)] == [100, 100, 36]
    assert not found[20:22, 30:33].any()
    assert separate(cells(), min_area=50).max() == 2
    assert not separate(np.zeros((5, 5), np.uint8)).any()


def test_objects_are_measured():
    image = np.zeros((3, 30, 40))
    image[:, 4:14, 4:14] = 9
    first, second, _ = measure(separate(cells()), image, page=2)
    assert (first.number, first.page, first.area, first.row, first.column) == (1, 2, 100, 8.5, 8.5)
    assert first.mean_intensity == 9 and second.mean_intensity == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7)])
def test_tiny_images(size):
    assert separate(np.ones(size, np.uint8)).max() == 1
