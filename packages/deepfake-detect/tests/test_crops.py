"""The face crop: its square, its border, and its resize."""

import cv2
import numpy as np
import pytest

from deepfake_detect.decide.crops import CropRule, cut_square
from vitrail.faces.face import Face
from vitrail.testing.media import pattern

LANDMARKS = np.zeros((5, 2), np.float32)


@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
def test_the_square_keeps_the_centre_and_the_area(margin):
    x0, y0, x1, y1 = CropRule(box="detector", margin=margin).square(
        Face((100, 50, 180, 150), 1.0, LANDMARKS)
    )
    assert (x0 + x1) / 2 == pytest.approx(140, abs=1) and (y0 + y1) / 2 == pytest.approx(100, abs=1)
    assert x1 - x0 == pytest.approx(np.sqrt(80 * 100) * (1 + 2 * margin), abs=1.5)
    assert abs((x1 - x0) - (y1 - y0)) <= 1


def test_a_crop_inside_is_a_plain_resize_by_area():
    image = pattern(200, 160)
    expected = cv2.resize(image[20:120, 30:130], (64, 64), interpolation=cv2.INTER_AREA)
    assert np.array_equal(cut_square(image, (30, 20, 130, 120), 64), expected)


@pytest.mark.parametrize("square", [(-20, -20, 80, 80), (150, 100, 250, 200), (-50, -50, 250, 250)])
def test_beyond_the_border_its_pixels_are_repeated(square):
    image = pattern(200, 160)
    padded = np.pad(image, ((60, 100), (60, 60), (0, 0)), mode="edge")
    x0, y0, x1, y1 = (value + 60 for value in square)
    expected = cv2.resize(padded[y0:y1, x0:x1], (50, 50), interpolation=cv2.INTER_AREA)
    assert np.array_equal(cut_square(image, square, 50), expected)


@pytest.mark.parametrize(
    ("x", "share"), [(50, 1.0), (0, 1.0), (-25, 0.75), (175, 0.25), (-100, 0.0), (300, 0.0)]
)
def test_the_share_of_a_crop_within_the_picture(x, share):
    face = Face((x, 20, x + 100, 120), 1.0, LANDMARKS)
    assert CropRule(box="detector").share_inside(pattern(200, 160), face) == pytest.approx(share)
