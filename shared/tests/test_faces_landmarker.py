"""The closer look: cut-outs around rough landmarks, and back to the image."""

import numpy as np
import pytest
import torch

from vitrail.faces.landmarker import Landmarker
from vitrail.faces.looks import EYE_DISTANCE, LANDMARKER, SIDE, USUAL, sharpen
from vitrail.runner import solve

FIVE = np.array([[60, 70], [100, 66], [82, 90], [66, 112], [100, 110]], np.float32)


class Brightest:
    """Says that all five landmarks lie at the brightest pixel; keeps the cut-outs that it saw."""

    name, device, weights = "toy", "cpu", ""

    def __call__(self, crops):
        self.crops = crops
        at = crops[:, 0].reshape(len(crops), -1).argmax(axis=1)
        return np.stack((at % SIDE, at // SIDE), axis=1)[:, None].repeat(5, 1).astype(np.float32)


def looked(model, image, landmarks):
    steps = sharpen([image] * len(landmarks), landmarks)
    return solve({LANDMARKER: model}, steps)


def test_a_fresh_landmarker_says_the_usual_places():
    landmarks = Landmarker().eval()(torch.rand(3, 3, SIDE, SIDE) * 255)
    np.testing.assert_allclose(
        landmarks.detach().numpy(), np.tile(USUAL, (3, 1, 1)), atol=0.1 * EYE_DISTANCE
    )


@pytest.mark.parametrize("angle", [0, 35])
def test_what_is_found_in_a_cut_out_is_told_in_the_picture(angle):
    image = np.zeros((180, 200, 3), np.uint8)
    image[84:87, 88:91] = 255
    turn, centre = np.radians(angle), FIVE.mean(axis=0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    rough = (FIVE - centre) @ rotation.T + centre
    model = Brightest()
    (found,) = looked(model, image, [rough])
    assert model.crops.shape == (1, 3, SIDE, SIDE)
    np.testing.assert_allclose(found, np.tile([89.0, 85.0], (5, 1)), atol=2)


def test_landmarks_on_one_spot_stay_and_the_others_are_looked_at():
    image = np.zeros((180, 200, 3), np.uint8)
    image[85, 89] = 255
    spot = np.full((5, 2), 30, np.float32)
    nowhere, somewhere = looked(Brightest(), image, [spot, FIVE])
    assert nowhere is spot
    assert np.abs(somewhere - FIVE).max() > 1
    assert looked(Brightest(), image, []) == []
