"""Which points answer for which thing (a face, a person), and what a wrong answer costs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, complete_box_iou_loss

SIZES_IN_STRIDES = (
    2.5,
    10.0,
)  # a stride answers for things of so many strides; the outer ones take the rest
REACH = 1.5  # how far from a thing's centre, in strides, the points lie that answer for it


@dataclass(frozen=True)
class Targets:
    """For each of N points: the number of its thing, -1 for none; and whether its score is held
    against it."""

    thing: Tensor  # N, int64
    counts: Tensor  # N, bool


def assign(points: Tensor, strides: Tensor, boxes: Tensor, unsure: Tensor) -> Targets:
    """Points (N, 2) with strides (N, 1) to things with ``boxes`` (n, 4): the points near a thing's
    centre, at the strides that suit its size, the nearest thing first. Points in ``unsure`` boxes
    (m, 4) count only if they have one.
    """
    free = _within(points, unsure).any(dim=1)  # N
    if not len(boxes):
        return Targets(torch.full_like(free, -1, dtype=torch.int64), ~free)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    size = sides.prod(dim=1).sqrt()  # n
    away = (points[:, None] - centres).abs()  # N, n, 2
    # A point at least: half a stride is the largest distance of a centre from the grid.
    reach = torch.minimum(REACH * strides[:, None], sides / 2).maximum(strides[:, None] / 2 + 1e-3)
    relative = size / strides  # N, n
    finest, coarsest = strides == strides.min(), strides == strides.max()
    suits = ((relative >= SIZES_IN_STRIDES[0]) | finest) & (
        (relative <= SIZES_IN_STRIDES[1]) | coarsest
    )
    distance = (away.norm(dim=2) / size).masked_fill(
        ~(suits & (away <= reach).all(dim=2)), torch.inf
    )
    nearest, thing = distance.min(dim=1)
    thing = thing.masked_fill(nearest.isinf(), -1)
    return Targets(thing, ~free | (thing >= 0))


def _within(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether each point (N, 2) lies in each box (m, 4): (N, m)."""
    return ((points[:, None] >= boxes[:, :2]) & (points[:, None] <= boxes[:, 2:])).all(dim=2)


def detection_losses(
    rows: Tensor, points: Tensor, strides: Tensor, labels: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """The losses of a batch: ``score``, ``box``, and ``landmarks`` where the network has any.

    ``rows`` (B, N, 5 + 2 L) is what the network returns; each image's ``labels`` are ``boxes``
    (n, 4), ``unsure`` (m, 4), and with L > 0 ``landmarks`` (n, L, 2), NaN where they are not known,
    all in pixels. The score learns the IoU of its own box (Li et al. 2020, quality focal loss);
    boxes learn by complete IoU (Zheng et al. 2020).
    """
    quality = torch.zeros_like(rows[..., 0])
    counts = torch.ones_like(quality, dtype=torch.bool)
    points_of_each = (rows.shape[2] - 5) // 2
    boxes, wanted_boxes, landmarks, wanted_landmarks = [], [], [], []
    for number, label in enumerate(labels):
        targets = assign(points, strides, label["boxes"], label["unsure"])
        counts[number] = targets.counts
        at = targets.thing >= 0
        thing = targets.thing[at]
        boxes.append(rows[number, at, 1:5])
        wanted_boxes.append(label["boxes"][thing])
        if points_of_each:
            landmarks.append(rows[number, at, 5:].unflatten(1, (points_of_each, 2)))
            wanted_landmarks.append(label["landmarks"][thing])
        if len(thing):
            quality[number, at] = box_iou(boxes[-1].detach(), wanted_boxes[-1]).diagonal()
    wanted = torch.cat(wanted_boxes)
    positive = max(len(wanted), 1)
    losses = {
        "score": _quality_focal(rows[..., 0], quality)[counts].sum() / positive,
        "box": complete_box_iou_loss(torch.cat(boxes), wanted, reduction="sum") / positive,
    }
    if points_of_each:
        known = torch.cat(wanted_landmarks)
        losses["landmarks"] = _landmark_loss(torch.cat(landmarks), known, wanted)
    return losses


def _quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    error = (quality - logits.sigmoid()).abs()
    return error**2 * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def _landmark_loss(landmarks: Tensor, wanted: Tensor, boxes: Tensor) -> Tensor:
    """Smooth L1 of the error in units of the thing's size; 0 where no landmark is known."""
    known = wanted.isfinite().all(dim=(1, 2)) if len(wanted) else torch.zeros(0, dtype=torch.bool)
    if not known.any():
        return landmarks.sum() * 0
    size = (boxes[known, 2:] - boxes[known, :2]).prod(dim=1).sqrt()[:, None, None]
    return F.smooth_l1_loss(landmarks[known] / size, wanted[known] / size, beta=0.02)
