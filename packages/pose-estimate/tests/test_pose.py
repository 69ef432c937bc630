"""Crops, heat maps, decoding and the measures, on input that the tests make."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pose_estimate.pose.crop import (
    CropShape,
    crop_matrix,
    cut,
    frame_of,
    inverse,
    moved,
    targets,
)
from pose_estimate.pose.decode import decode, flip_back, largest, mean_with_flipped
from pose_estimate.pose.oks import oks_matrix, oks_nms, pck, pckh, soft_oks_nms
from pose_estimate.skeleton import skeleton

SHAPE = CropShape((256, 192))
COCO = skeleton("coco")


def random_frames(count, rng, angle=40.0):
    boxes = np.column_stack((rng.uniform(-50, 500, (count, 2)), rng.uniform(5, 400, (count, 2))))
    angles = rng.uniform(-angle, angle, count)
    return [frame_of(box, SHAPE, angle=turn) for box, turn in zip(boxes, angles, strict=True)]


def test_a_frame_has_the_crops_proportions_and_holds_the_box():
    frame = frame_of((10, 20, 30, 200), SHAPE)
    assert frame.centre.tolist() == [25, 120]
    assert frame.size.tolist() == [200 * 0.75 * 1.25, 250]
    wide = frame_of((0, 0, 300, 10), SHAPE)
    assert wide.size.tolist() == [375, 500]


def test_to_the_crop_and_back_is_the_same_place():
    rng = np.random.default_rng(0)
    points = rng.uniform(-100, 700, (17, 2))
    for frame in random_frames(50, rng):
        matrix = crop_matrix(frame, SHAPE)
        np.testing.assert_allclose(moved(moved(points, matrix), inverse(matrix)), points, atol=1e-9)


def test_corners_of_the_frame_are_the_centres_of_the_crops_corner_pixels():
    frame = frame_of((100, 50, 80, 160), SHAPE)
    corners = np.stack((frame.centre - frame.size / 2, frame.centre + frame.size / 2))
    np.testing.assert_allclose(
        moved(corners, crop_matrix(frame, SHAPE)), [[0, 0], [191, 255]], atol=1e-9
    )


def test_a_crop_is_black_beyond_the_image():
    frame = frame_of((-60, 0, 60, 80), SHAPE)
    crop = cut(np.full((80, 60, 3), 200, np.uint8), crop_matrix(frame, SHAPE), SHAPE)
    assert crop.shape == (256, 192, 3)
    assert (crop[:, :96] == 0).all() and (crop[128, -10:] == 200).all()


def made(rng, count=3, border=8.0):
    """Places well inside the crop, in its pixels, and their heat maps."""
    places = rng.uniform([border * 4] * 2, [191 - border * 4, 255 - border * 4], (count, 17, 2))
    maps, weights = targets(places, np.ones((count, 17), bool), SHAPE)
    return places, maps, weights


@pytest.mark.parametrize(("kind", "cells"), [("udp", 1e-3), ("dark", 1e-3), ("shift", 0.37)])
def test_perfect_maps_decode_to_the_true_place(kind, cells):
    """In cells of the heat map; the biased rules are held to their own idea of a cell."""
    rng = np.random.default_rng(0)
    places, _, _ = made(rng)
    frames = random_frames(3, rng, angle=0)
    if kind == "udp":
        maps, _ = targets(places, np.ones((3, 17), bool), SHAPE)
        expected = [
            moved(p, inverse(crop_matrix(f, SHAPE))) for p, f in zip(places, frames, strict=True)
        ]
        cell = np.stack([frame.size / (47, 63) for frame in frames])
    else:
        at = np.stack((places[..., 0], places[..., 1]), axis=-1) / 4
        columns, rows = np.arange(48), np.arange(64)
        waves = [
            np.exp(-((axis - at[..., n, None]) ** 2) / 8) for n, axis in enumerate((columns, rows))
        ]
        maps = waves[1][..., :, None] * waves[0][..., None, :]
        expected = [
            f.centre + (p - np.array([96, 128])) * f.size[0] / 192
            for p, f in zip(places, frames, strict=True)
        ]
        cell = np.stack([frame.size / (48, 64) for frame in frames])
    found = decode(maps.astype(np.float64), frames, kind=kind)
    off = np.abs(found[..., :2] - np.array(expected)) / cell[:, None]
    assert off.max() < cells


def test_joints_come_back_through_crop_and_heat_map():
    rng = np.random.default_rng(1)
    places, maps, _ = made(rng)
    frames = random_frames(3, rng)
    truth = [moved(p, inverse(crop_matrix(f, SHAPE))) for p, f in zip(places, frames, strict=True)]
    found = decode(maps, frames)
    cell = np.stack([frame.size.max() / 63 for frame in frames])[:, None]
    assert (np.linalg.norm(found[..., :2] - truth, axis=2) < 2e-3 * cell).all()
    np.testing.assert_allclose(found[..., 2], maps.max(axis=(2, 3)))


def test_the_blur_is_opencvs():
    import cv2

    from pose_estimate.pose.decode import _blur

    maps = np.random.default_rng(0).random((2, 3, 64, 48))
    expected = [[cv2.GaussianBlur(one, (11, 11), 0) for one in of_person] for of_person in maps]
    np.testing.assert_allclose(_blur(maps), expected, atol=1e-12)
    middle = (..., slice(12, 52), slice(12, 36))
    alike = gaussian_filter(maps, (0, 0, 2, 2), truncate=2.5)
    np.testing.assert_allclose(_blur(maps)[middle], alike[middle], atol=0.01)


def test_joints_outside_or_not_labelled_have_no_weight():
    places = np.array([[[-50.0, 50], [-20.0, 50], [96.0, 128], [300.0, 50]]])
    maps, weights = targets(places, np.array([[True, True, False, True]]), SHAPE)
    assert weights.tolist() == [[0, 1, 0, 0]]
    assert (maps[0, [0, 2, 3]] == 0).all() and maps[0, 1].max() > 0


def test_an_empty_map_has_no_place():
    cells, values = largest(np.zeros((1, 2, 8, 6), np.float32))
    assert (cells == -1).all() and (values == 0).all()
    assert np.isfinite(
        decode(np.zeros((1, 2, 64, 48)), random_frames(1, np.random.default_rng(0)))
    ).all()


def test_nobody_decodes_to_nothing():
    assert decode(np.zeros((0, 17, 64, 48)), []).shape == (0, 17, 3)


def test_a_mirrored_image_mirrors_the_answer():
    """A network that sees no more than the pixels: its mirrored answer, mirrored back, is its
    own."""
    maps = np.random.default_rng(0).random((2, 17, 64, 48)).astype(np.float32)
    assert np.array_equal(flip_back(flip_back(maps, COCO.pairs), COCO.pairs), maps)
    mirrored = flip_back(maps, COCO.pairs)  # what it would say of the mirrored image, if perfect
    mean = mean_with_flipped(maps, mirrored, COCO.pairs)
    np.testing.assert_allclose(mean, maps)
    np.testing.assert_allclose(
        flip_back(mean, COCO.pairs), mean_with_flipped(mirrored, maps, COCO.pairs)
    )
    assert np.array_equal(flip_back(maps, COCO.pairs)[0, 5], maps[0, 6][:, ::-1])


def test_of_alike_poses_the_best_stays():
    rng = np.random.default_rng(0)
    pose = rng.uniform(0, 100, (17, 2))
    poses = np.stack((pose, pose + 0.5, pose + 300))
    similar = oks_matrix(poses, np.full(3, 1e4), np.array(COCO.sigmas))
    np.testing.assert_allclose(np.diag(similar), 1)
    np.testing.assert_allclose(similar, similar.T)
    scores = np.array([0.5, 0.9, 0.1])
    assert oks_nms(similar, scores, 0.9).tolist() == [1, 2]
    assert soft_oks_nms(similar, scores, 0.9).tolist()[0] == 1
    assert sorted(soft_oks_nms(similar, scores, 0.9).tolist()) == [0, 1, 2]


def test_right_joints_are_counted():
    known = np.zeros((2, 3, 2))
    found = known + np.array([[[0.5, 0], [2, 0], [9, 9]], [[0.9, 0], [0.1, 0], [9, 9]]])
    labelled = np.array([[True, True, False], [True, True, False]])
    shares, mean = pck(found, known, labelled, np.array([10.0, 10.0]), 0.1)
    assert shares.tolist() == [1, 0.5, -1]
    assert mean == 0.75


def test_truth_is_perfect_in_heads_too():
    rng = np.random.default_rng(0)
    joints = rng.uniform(0, 100, (5, 16, 2))
    heads = np.column_stack((rng.uniform(0, 50, (5, 2)), rng.uniform(60, 90, (5, 2))))
    shares, mean = pckh(joints, joints, np.ones((5, 16), bool), heads, left_out=(6, 7))
    assert mean == 100 and (shares == 100).all()
    off = joints.copy()
    off[:, 0] += 1000
    assert pckh(off, joints, np.ones((5, 16), bool), heads, (6, 7))[1] == pytest.approx(
        100 * 13 / 14
    )
