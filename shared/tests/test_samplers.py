"""Which numbers a run draws its batches from."""

from vitrail.training.loading import Numbers


def test_each_epoch_has_its_own_batches():
    numbers = Numbers(3)
    first = list(numbers)
    numbers.set_epoch(2)
    assert (first, list(numbers), len(numbers)) == ([0, 1, 2], [6, 7, 8], 3)
