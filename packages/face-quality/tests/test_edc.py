"""Error against discard, on pairs that one can count."""

import numpy as np
import pytest

from face_quality.edc import Curve, distances, fixed_threshold, pair_quality, require_resolved
from vitrail.errors import UsageError


def pairs(count: int = 400, seed: int = 0):
    """Genuine pairs whose similarity falls with their quality, and impostors."""
    random = np.random.default_rng(seed)
    quality = random.random(2 * count)
    same = np.arange(2 * count) < count
    similarity = np.where(same, 0.3 + 0.6 * quality, random.normal(0.2, 0.1, 2 * count))
    return similarity, same, quality


def test_the_fixed_threshold_lets_no_more_impostors_in_than_allowed():
    impostors = np.arange(100) / 100
    for fmr, matching in ((0.01, 1), (0.1, 10), (0.001, 0)):
        assert (impostors >= fixed_threshold(impostors, fmr)).sum() == matching
    ties = np.repeat([0.1, 0.9], 50)
    assert (ties >= fixed_threshold(ties, 0.1)).sum() == 0


def test_discarding_by_a_true_quality_lowers_the_error():
    similarity, same, quality = pairs()
    shares = np.arange(0, 0.9, 0.1)
    curve = Curve.of(similarity, same, quality, 0.01, shares)
    assert (np.diff(curve.fnmr) <= 1e-12).all() and curve.area_ratio < 0.8
    against = Curve.of(similarity, same, -quality, 0.01, shares)
    assert against.area_ratio > 1 and against.threshold == curve.threshold
    assert curve.genuine[0] == curve.impostors[0] == 400
    assert (curve.genuine + curve.impostors)[5] == 400


def test_the_recomputed_threshold_moves_with_the_impostors():
    similarity, same, quality = pairs()
    moving = np.where(same, similarity, quality)  # impostors of low quality are unlike
    shares = [0.0, 0.5]
    fixed = Curve.of(moving, same, quality, 0.05, shares).fnmr
    again = Curve.of(moving, same, quality, 0.05, shares, threshold="recompute").fnmr
    assert again[1] >= fixed[1]


def test_without_genuine_pairs_there_is_no_rate():
    curve = Curve.of(np.array([0.9, 0.1]), np.array([True, False]), np.array([0, 1]), 0.5, [0, 0.5])
    assert curve.fnmr[0] == 0 and np.isnan(curve.fnmr[1])


def test_a_rate_that_the_impostors_cannot_show_is_refused():
    require_resolved(1e-3, 1000)
    for fmr, count in ((1e-3, 999), (0, 10), (1, 10)):
        with pytest.raises(UsageError):
            require_resolved(fmr, count)


def test_a_pair_is_as_good_as_its_worse_picture_and_as_far_as_the_angle():
    assert pair_quality(np.array([1, 5]), np.array([3, 2])).tolist() == [1, 2]
    eye = np.eye(2)
    assert distances(eye, np.array([[1.0, 0], [1, 0]])).tolist() == [0, 0.5]
