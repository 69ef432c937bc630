"""The detector of faces and people: what it returns, and that its numbers survive folding."""

import copy

import pytest
import torch

from vitrail.detection.model import STRIDES, Config, PointDetector, decode, fold_norms, grid
from vitrail.detection.search import COARSEST
from vitrail.faces.face import LANDMARKS
from vitrail.faces.landmarker import FaceModel

TINY = Config(stem=4, dims=(4, 8, 8, 8), depths=(1, 1, 1), neck=8)


def test_both_networks_have_at_most_half_a_million_parameters():
    assert sum(parameter.numel() for parameter in FaceModel().parameters()) <= 500_000


@pytest.mark.parametrize("height, width", [(64, 64), (128, 320)])
def test_one_row_for_each_point_of_each_stride(height, width):
    rows = PointDetector(TINY, LANDMARKS).eval()(torch.rand(2, 3, height, width) * 255)
    assert max(STRIDES) == COARSEST
    assert rows.shape == (2, sum(height // stride * width // stride for stride in STRIDES), 15)
    assert (rows[..., 3:5] > rows[..., 1:3]).all(), "a box must have an extent"


def test_a_kind_without_landmarks_has_a_score_and_a_box():
    rows = PointDetector(TINY).eval()(torch.rand(1, 3, 64, 64) * 255)
    assert rows.shape[2] == 5 and (rows[..., 3:5] > rows[..., 1:3]).all()


def test_grid_goes_row_by_row_from_the_finest_stride():
    points, strides = grid((64, 128))
    assert points[:2].tolist() == [[4, 4], [12, 4]]
    assert points[16].tolist() == [4, 12]
    assert points[-2:].tolist() == [[32, 32], [96, 32]]
    assert strides[:, 0].tolist() == [8] * 128 + [16] * 32 + [32] * 8 + [64] * 2


def test_decoding_puts_boxes_and_landmarks_around_their_point():
    points, strides = grid((64, 64))
    rows = torch.zeros(1, len(points), 15)
    rows[..., 0] = 0.7
    rows[..., 5:7] = torch.tensor([1.0, -2.0])
    last = decode(rows, points, strides)[0, -1]
    assert last[:5].tolist() == pytest.approx([0.7, -32, -32, 96, 96])
    assert last[5:9].tolist() == [32 + 64, 32 - 128, 32, 32]


def test_folding_the_norms_keeps_the_numbers():
    torch.manual_seed(0)
    model = PointDetector(TINY, LANDMARKS)
    images = torch.rand(2, 3, 64, 64) * 255
    model(images)  # gives the norms statistics that are not the initial ones
    model.eval()
    folded = fold_norms(copy.deepcopy(model))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-3)
