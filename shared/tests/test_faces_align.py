"""Faces brought to the template, and cut out."""

import csv

import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.faces.align import TEMPLATE, align, alignment, crop, crop_box
from vitrail.faces.face import Face
from vitrail.faces.others import detector_box, official_box
from vitrail.preprocess.image import read_image
from vitrail.testing.beside import DATA, needs

RAW = DATA / "face-quality"


@pytest.mark.parametrize("angle", [-40, 0, 75])
@pytest.mark.parametrize("scale", [0.2, 3.0])
def test_alignment_undoes_a_turn_a_scale_and_a_shift(angle, scale):
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix = alignment(scale * TEMPLATE @ turn.T + (31, -7), size=56)
    np.testing.assert_allclose(matrix[:, :2], turn.T / scale / 2, atol=1e-9)


def test_alignment_never_mirrors():
    mirrored = TEMPLATE * (-1, 1) + (112, 0)
    assert np.linalg.det(alignment(mirrored)[:, :2]) > 0


@pytest.mark.parametrize("landmarks", [np.full((5, 2), np.nan), np.ones((5, 2))])
def test_landmarks_that_are_not_known_are_refused(landmarks):
    with pytest.raises(InputError, match="not known"):
        align(np.zeros((20, 20, 3), np.uint8), landmarks)


def test_the_eye_ends_up_where_the_template_has_it():
    image = np.zeros((300, 300, 3), np.uint8)
    landmarks = TEMPLATE * 2 + (20, 30)
    x, y = np.round(landmarks[0]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    aligned = align(image, landmarks)
    assert aligned.shape == (112, 112, 3)
    bright = np.argwhere(aligned[..., 0] > 100).mean(axis=0)[::-1]
    np.testing.assert_allclose(bright, TEMPLATE[0], atol=0.7)


@needs(RAW)
def test_alignment_agrees_with_published_crops():
    rows = list(csv.DictReader((RAW / "raw.csv").open()))[:10]
    names = [
        f"{part}_{axis}"
        for part in ("eye_l", "eye_r", "nose", "mouth_l", "mouth_r")
        for axis in "xy"
    ]
    for row in rows:
        landmarks = np.array([float(row[name]) for name in names]).reshape(5, 2)
        ours = align(read_image(RAW / row["path"]), landmarks).astype(float)
        theirs = read_image(RAW / row["aligned_path"]).astype(float)
        assert np.abs(ours - theirs).mean() < 4, row["path"]


def test_crop_repeats_the_border():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    cut = crop(image, (-2, 1, 3, 6))
    assert cut.shape == (5, 5, 3)
    np.testing.assert_array_equal(cut[:3, 2:], image[1:, :3])
    np.testing.assert_array_equal(cut[:3, 0], image[1:, 0])
    np.testing.assert_array_equal(cut[4], cut[2])
    with pytest.raises(InputError, match="no pixel"):
        crop(image, (3, 1, 3, 2))


def test_crop_box_grows_by_a_share_of_each_side():
    face = Face((10.0, 20.0, 30.0, 60.0), 1.0, np.zeros((5, 2)))
    assert crop_box(face, 0.25) == (5, 10, 35, 70)


def test_official_box_is_a_square_a_little_lower():
    x0, y0, x1, y1 = official_box((100, 100, 180, 220))
    side = 0.96 * (80 * 120) ** 0.5
    assert (x1 - x0, y1 - y0) == (pytest.approx(side), pytest.approx(side))
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == (
        pytest.approx(140 + 0.018 * 80),
        pytest.approx(160 + 0.053 * 120),
    )


def test_detector_box_is_the_inverse_of_the_official_box():
    square = (12.0, 30.0, 92.0, 110.0)
    assert official_box(detector_box(square)) == pytest.approx(square)
