"""Which points learn which face, and what the losses reward."""

import pytest
import torch

from vitrail.detection.loss import assign, detection_losses
from vitrail.detection.model import grid

NOTHING = torch.zeros(0, 4)


def square(x, y, side):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def labels(boxes=NOTHING, landmarks=None, unsure=NOTHING):
    landmarks = torch.full((len(boxes), 5, 2), torch.nan) if landmarks is None else landmarks
    return {"boxes": boxes, "landmarks": landmarks, "unsure": unsure}


def perfect_rows(points, box, landmarks):
    """What a network would return that gives every point the one face, and is sure of it at the
    points that have it."""
    face = assign(points, grid((128, 128))[1], box[None], NOTHING).thing
    rows = torch.empty(1, len(points), 15)
    rows[..., 0] = torch.where(face >= 0, 20.0, -20.0)
    rows[..., 1:5], rows[..., 5:] = box, landmarks.flatten()
    return rows


@pytest.mark.parametrize("side", [6.0, 12.0, 33.0, 80.0, 300.0])
def test_every_face_has_a_point_wherever_it_lies(side):
    points, strides = grid((256, 256))
    for x, y in torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 256:
        targets = assign(points, strides, torch.tensor([square(x, y, side)]), NOTHING)
        assert (targets.thing == 0).any()


def test_small_faces_go_to_fine_strides_and_large_ones_to_coarse_strides():
    points, strides = grid((256, 256))
    boxes = torch.tensor([square(60, 60, 14), square(170, 150, 150)])
    face = assign(points, strides, boxes, NOTHING).thing
    assert strides[face == 0].unique().tolist() == [8]
    assert strides[face == 1].unique().tolist() == [16, 32]


def test_of_two_faces_a_point_learns_the_nearer_one():
    points, strides = grid((64, 64))
    boxes = torch.tensor([square(20, 20, 20), square(36, 20, 20)])
    face = assign(points, strides, boxes, NOTHING).thing
    assert face[(points == torch.tensor([20.0, 20.0])).all(dim=1)].tolist() == [0]
    assert face[(points == torch.tensor([36.0, 20.0])).all(dim=1)].tolist() == [1]


def test_points_of_unsure_boxes_count_only_for_a_face():
    points, strides = grid((64, 64))
    face, unsure = torch.tensor([square(20, 20, 16)]), torch.tensor([square(28, 20, 40)])
    targets = assign(points, strides, face, unsure)
    inside = ((points - torch.tensor([28.0, 20.0])).abs() <= 20).all(dim=1)
    assert targets.counts[~inside].all()
    assert torch.equal(targets.counts[inside], targets.thing[inside] >= 0)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_something():
    points, strides = grid((128, 128))
    box, landmarks = torch.tensor(square(60, 70, 50)), 50 + 20 * torch.rand(5, 2)
    rows = perfect_rows(points, box, landmarks)
    perfect = detection_losses(rows, points, strides, [labels(box[None], landmarks[None])])
    assert all(loss.item() < 1e-4 for loss in perfect.values())
    shifted = rows + 5
    wrong = detection_losses(shifted, points, strides, [labels(box[None], landmarks[None])])
    assert all(wrong[name] > perfect[name] for name in wrong)


def test_unknown_landmarks_cost_nothing():
    points, strides = grid((128, 128))
    box = torch.tensor(square(60, 70, 50))
    rows = perfect_rows(points, box, torch.zeros(5, 2))
    assert detection_losses(rows, points, strides, [labels(box[None])])["landmarks"] == 0


def test_a_batch_without_any_face_teaches_that_there_is_none():
    points, strides = grid((64, 64))
    rows = torch.zeros(2, len(points), 15, requires_grad=True)
    losses = detection_losses(rows, points, strides, [labels(), labels()])
    assert losses["box"] == 0 and losses["landmarks"] == 0
    sum(losses.values()).backward()
    assert (rows.grad[..., 0] > 0).all()


def test_a_kind_without_landmarks_has_no_loss_of_them():
    points, strides = grid((64, 64))
    rows = torch.zeros(1, len(points), 5)
    box = torch.tensor([square(30, 30, 20)])
    losses = detection_losses(rows, points, strides, [{"boxes": box, "unsure": NOTHING}])
    assert set(losses) == {"score", "box"}
