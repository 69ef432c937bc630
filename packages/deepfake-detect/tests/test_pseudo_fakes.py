"""Pseudo-fakes differ from their real image in the face and nowhere else, and the same seed makes
them again."""

import numpy as np
import pytest
from numpy.random import default_rng

from deepfake_detect.data import augment
from deepfake_detect.data.augment import augment_alike, recompress
from deepfake_detect.data.points import (
    BROWS,
    EYES,
    FOREHEAD,
    MIRROR,
    OVAL,
    landmarks_from_points,
    points_from_landmarks,
)
from deepfake_detect.data.pseudo_fakes import (
    _halves,
    _parts,
    _raised_brows,
    _whole,
    alter_statistics,
    face_mask,
    self_blend,
    soften,
)
from deepfake_detect.decide.crops import CropRule

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pseudo_fake_differs_inside_the_face_only(region, seed):
    real, fake, mask = self_blend(region.image, region.points, default_rng(seed))
    changed = np.abs(real.astype(int) - fake).max(2) > 0
    x0, y0, x1, y1 = CropRule(box="detector", margin=0.3).square(region.face)
    outside = np.ones(changed.shape, bool)
    outside[y0:y1, x0:x1] = False
    assert real.shape == fake.shape == region.image.shape and fake.dtype == np.uint8
    assert 0.005 < changed.mean() < 0.6
    assert not changed[outside].any()
    assert not changed[mask == 0].any() and mask.min() >= 0 and mask.max() <= 1


def test_either_picture_of_a_pair_may_be_the_altered_one(region):
    untouched = [
        np.array_equal(self_blend(region.image, region.points, default_rng(s))[0], region.image)
        for s in SEEDS
    ]
    assert {True, False} == set(untouched)


def test_the_same_seed_makes_the_same_pair(region):
    first, again = (self_blend(region.image, region.points, default_rng(5)) for _ in range(2))
    other = self_blend(region.image, region.points, default_rng(6))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mask_covers_a_part_of_the_face(region, seed):
    mask = face_mask(region.points, region.image.shape[:2], default_rng(seed))
    assert set(np.unique(mask)) == {0, 1}
    assert 0.02 < mask.mean() < 0.4


def test_the_four_shapes_differ(region):
    def covered(hulls, points):
        import cv2

        return any(
            cv2.pointPolygonTest(cv2.convexHull(h.astype(np.float32)), points.tolist(), False) >= 0
            for h in hulls
        )

    points = region.points
    forehead, eyes = points[FOREHEAD[0]] + (0, 2), points[EYES].mean(0)
    assert covered(_whole(points), forehead) and not covered(_raised_brows(points), forehead)
    assert covered(_raised_brows(points), points[BROWS].mean(0))
    assert covered(_parts(points), eyes) and len(_parts(points)) == 4 and len(_halves(points)) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_soft_mask_stays_inside_the_hard_one_with_an_edge(seed):
    hard = np.zeros((224, 224), np.float32)
    hard[50:180, 60:170] = 1
    soft = soften(hard, default_rng(seed))
    assert soft.max() == pytest.approx(1, abs=0.01) and soft.min() == 0
    assert soft.sum() < hard.sum()
    assert ((soft > 0.05) & (soft < 0.95)).mean() > 0.01


def test_an_empty_mask_stays_empty():
    assert not soften(np.zeros((100, 100), np.float32), default_rng(0)).any()


@pytest.mark.parametrize("seed", SEEDS)
def test_altered_statistics_keep_the_scene(region, seed):
    altered = alter_statistics(region.image, default_rng(seed))
    assert altered.shape == region.image.shape and altered.dtype == np.uint8
    assert 0 < np.abs(altered.astype(int) - region.image).mean() < 40
    assert np.corrcoef(altered.ravel(), region.image.ravel())[0, 1] > 0.9


def test_both_pictures_of_a_pair_are_changed_alike(region):
    """Two equal images stay equal, whatever is drawn."""
    for seed in range(30):
        first, second = augment_alike([region.image, region.image], default_rng(seed))
        assert first.shape == region.image.shape and first.dtype == np.uint8
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "kind", ["_colour", "_light", "_rescale", "_blur", "_noise", "_jpeg", "_video"]
)
def test_each_change_changes_little(region, kind):
    changed = getattr(augment, kind)(region.image.shape[:2], default_rng(3))(region.image)
    assert 0 < np.abs(changed.astype(int) - region.image).mean() < 45


def test_video_compression_loses_more_at_a_higher_factor(region):
    image = region.image[:101, :77]  # x264 takes even sides only
    losses = [
        np.abs(recompress(image, factor).astype(int) - image).mean() for factor in (18, 28, 38)
    ]
    assert losses == sorted(losses) and losses[0] > 0
    assert recompress(image, 18).shape == image.shape


def test_mirrored_points_fit_the_mirrored_face(region):
    mirrored = region.mirrored()
    left, right, nose, mouth_left, mouth_right = landmarks_from_points(mirrored.points)
    assert left[0] < nose[0] < right[0] and mouth_left[0] < mouth_right[0]
    assert np.array_equal(mirrored.image, region.image[:, ::-1])
    assert np.allclose(mirrored.mirrored().points, region.points, atol=1e-3)
    assert sorted(MIRROR) == list(range(63))


def test_guessed_points_lie_on_the_landmarks(astronaut):
    _, landmarks = astronaut
    points = points_from_landmarks(landmarks)
    eye_distance = np.linalg.norm(landmarks[1] - landmarks[0])
    assert np.abs(landmarks_from_points(points) - landmarks).max() < 0.3 * eye_distance
    width, height = np.ptp(points[OVAL], axis=0)
    assert 1.5 * eye_distance < width < 3 * eye_distance and height > width
