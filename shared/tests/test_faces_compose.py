"""Composed images: what is pasted where, and which labels are left."""

import numpy as np
import pytest

from vitrail.faces.align import move_landmarks
from vitrail.faces.training.augment import degrade
from vitrail.faces.training.canvas import Canvas, covered, move_boxes, similarity
from vitrail.faces.training.compose import Composer
from vitrail.faces.training.data import Photographs, Scene
from vitrail.faces.training.samples import Batches
from vitrail.training.loading import loader

NO_BOX = np.zeros((0, 4), np.float32)
SAME = np.array([[1.0, 0, 0], [0, 1, 0]])
FULL = (0, 0, 100, 100)


def scene(level, *boxes, size=100, unsure=NO_BOX):
    landmarks = [np.linspace(box[:2], box[2:], 5) for box in boxes]
    return Scene(
        np.full((size, size, 3), level, np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(landmarks, np.float32).reshape(-1, 5, 2),
        unsure,
    )


def half_mask():
    """The right half of a window of 100 x 100."""
    mask = np.zeros((100, 100), np.float32)
    mask[:, 50:] = 1
    return mask


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (90, 120, 3), dtype=np.uint8) for _ in range(4)]
    portraits = [Scene(image, *_one_face((40, 20, 80, 70))) for image in noise[:2]]
    scenes = [Scene(image, NO_BOX, np.zeros((0, 5, 2), np.float32), NO_BOX) for image in noise[2:]]
    return Photographs(portraits, scenes)


def _one_face(box):
    five = np.array([[50, 40], [70, 40], [60, 48], [52, 60], [68, 60]], np.float32)
    return np.array([box], np.float32), five[None], NO_BOX


def test_pasting_replaces_pixels_and_hides_faces():
    canvas = Canvas(100)
    canvas.paste(
        scene(10, (5, 5, 25, 25), (60, 10, 90, 40), (40, 50, 60, 70)),
        SAME,
        np.ones((100, 100)),
        FULL,
    )
    canvas.paste(scene(200, (70, 60, 90, 90)), SAME, half_mask(), FULL)
    assert canvas.scene.image[0, 0, 0] == 10 and canvas.scene.image[0, 99, 0] == 200
    assert canvas.scene.boxes.tolist() == [[5, 5, 25, 25], [70, 60, 90, 90]]
    assert canvas.scene.unsure.tolist() == [[40, 50, 60, 70]], "half hidden"
    assert len(canvas.scene.landmarks) == 2


def test_a_bounded_paste_leaves_what_is_beyond_the_picture():
    canvas = Canvas(100)
    canvas.paste(scene(200, size=50), SAME, np.ones((100, 100)), FULL, bounded=True)
    assert canvas.scene.image[20, 20, 0] == 200
    assert canvas.scene.image[80, 80, 0] == 0


def test_a_window_puts_the_scene_where_the_matrix_says():
    whole, parts = Canvas(100), Canvas(100)
    rng = np.random.default_rng(0)
    noise = Scene(
        rng.integers(0, 256, (100, 100, 3), dtype=np.uint8), NO_BOX, np.zeros((0, 5, 2)), NO_BOX
    )
    matrix = similarity(np.array([50, 50]), np.array([40, 60]), 1.2, 20, True)
    whole.paste(noise, matrix, np.ones((100, 100)), FULL)
    for window in ((0, 0, 100, 30), (0, 30, 100, 100)):
        parts.paste(noise, matrix, np.ones((window[3] - window[1], 100)), window)
    difference = np.abs(whole.scene.image.astype(int) - parts.scene.image)
    assert difference.mean() < 1, "the warp rounds its matrix a little differently"


def test_what_lies_beyond_the_window_is_not_covered():
    boxes = np.array([[-10, 0, 10, 10], [95, 95, 105, 105], [200, 0, 210, 10]], np.float32)
    assert covered(boxes, np.ones((100, 100)), FULL).tolist() == [0.5, 0.25, 0]


def test_a_mirrored_face_has_its_left_eye_on_the_left():
    matrix = similarity(np.array([50, 50]), np.array([50, 50]), 1, 0, True)
    five = np.array([[[40, 40], [60, 40], [50, 50], [42, 60], [58, 62]]], np.float32)
    mirrored = [[40, 40], [60, 40], [50, 50], [42, 62], [58, 60]]
    np.testing.assert_allclose(move_landmarks(five, matrix)[0], mirrored, atol=1e-4)


def test_boxes_turn_as_ellipses_do():
    box = np.array([[0, 0, 20, 40]], np.float32)
    quarter = similarity(np.array([10, 20]), np.array([10, 20]), 1, 90, False)
    np.testing.assert_allclose(move_boxes(box, quarter), [[-10, 10, 30, 30]], atol=1e-4)
    eighth = similarity(np.array([10, 20]), np.array([10, 20]), 1, 45, False)
    half = np.sqrt((10**2 + 20**2) / 2)
    np.testing.assert_allclose(
        move_boxes(box, eighth), [[10 - half, 20 - half, 10 + half, 20 + half]], rtol=1e-5
    )


def test_the_same_seed_composes_the_same_picture(photographs):
    compose = Composer(photographs)
    one, same, other = (compose(96, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.boxes, same.boxes)
    assert not np.array_equal(one.image, other.image)


def test_composed_labels_fit_the_picture(photographs):
    compose = Composer(photographs)
    scenes = [compose(128, np.random.default_rng(seed)) for seed in range(40)]
    boxes = np.concatenate([each.boxes for each in scenes])
    landmarks = np.concatenate([each.landmarks for each in scenes])
    assert len(boxes) == len(landmarks) > 20
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (np.sqrt(sides.prod(axis=1)) >= 11).all()
    inside = np.clip(boxes, 0, 128)
    shown = (inside[:, 2:] - inside[:, :2]).prod(axis=1) / sides.prod(axis=1)
    assert (shown > 0.6).all(), "a face that is mostly outside is not taught"
    within = (landmarks > boxes[:, None, :2] - 0.1) & (landmarks < boxes[:, None, 2:] + 0.1)
    assert within.mean() > 0.95


def test_degrading_keeps_the_size_and_changes_the_picture():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    degraded = [degrade(image, np.random.default_rng(seed)) for seed in range(30)]
    assert all(each.shape == image.shape and each.dtype == np.uint8 for each in degraded)
    assert all((each != image).any() for each in degraded)


def test_a_batch_depends_on_its_number_alone(photographs):
    batches = Batches(photographs, batch_size=1, seed=3, sizes=(160, 320))
    again = Batches(photographs, batch_size=1, seed=3, sizes=(160, 320))
    assert (batches[7]["images"] == again[7]["images"]).all()
    (elsewhere,) = loader(batches, None, workers=1, sampler=[7])
    assert (batches[7]["images"] == elsewhere["images"]).all()
    assert {batches[number]["images"].shape[-1] for number in range(8)} == {160, 320}
    assert len(batches[0]["labels"]) == len(batches[0]["images"])
