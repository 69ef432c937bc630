"""Which points answer for which face, and what a wrong answer costs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, complete_box_iou_loss

SIZES_IN_STRIDES = (
    2.5,
    10.0,
)  # a stride answers for faces of so many strides; the outer ones take the rest
REACH = 1.5  # how far from a face's centre, in strides, the points lie that answer for it


@dataclass(frozen=True)
class Targets:
    """For each of N points: the number of its face, -1 for none; and whether its score is held
    against it."""

    face: Tensor  # N, int64
    counts: Tensor  # N, bool


def assign(points: Tensor, strides: Tensor, boxes: Tensor, unsure: Tensor) -> Targets:
    """Points (N, 2) with strides (N, 1) to faces with ``boxes`` (n, 4): the points near a face's
    centre, at the strides that suit its size, the nearest face first. Points in ``unsure`` boxes
    (m, 4) count only if they have a face.
    """
    free = _within(points, unsure).any(dim=1)  # N
    if not len(boxes):
        return Targets(torch.full((len(points),), -1), ~free)
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
    nearest, face = distance.min(dim=1)
    face = face.masked_fill(nearest.isinf(), -1)
    return Targets(face, ~free | (face >= 0))


def _within(points: Tensor, boxes: Tensor) -> Tensor:
    """Whether each point (N, 2) lies in each box (m, 4): (N, m)."""
    return ((points[:, None] >= boxes[:, :2]) & (points[:, None] <= boxes[:, 2:])).all(dim=2)


def detection_losses(
    rows: Tensor, points: Tensor, strides: Tensor, labels: list[dict[str, Tensor]]
) -> dict[str, Tensor]:
    """The three losses of a batch.

    ``rows`` (B, N, 15) is what the network returns; each image's ``labels`` are ``boxes`` (n, 4),
    ``landmarks`` (n, 5, 2) with NaN where they are not known, and ``unsure`` (m, 4), all in pixels.
    The score learns the IoU of its own box (Li et al. 2020, quality focal loss); boxes learn by
    complete IoU (Zheng et al. 2020).
    """
    quality = torch.zeros_like(rows[..., 0])
    counts = torch.ones_like(quality, dtype=torch.bool)
    boxes, wanted_boxes, landmarks, wanted_landmarks = [], [], [], []
    for number, label in enumerate(labels):
        targets = assign(points, strides, label["boxes"], label["unsure"])
        counts[number] = targets.counts
        at = targets.face >= 0
        face = targets.face[at]
        boxes.append(rows[number, at, 1:5])
        wanted_boxes.append(label["boxes"][face])
        landmarks.append(rows[number, at, 5:].unflatten(1, (5, 2)))
        wanted_landmarks.append(label["landmarks"][face])
        if len(face):
            quality[number, at] = box_iou(boxes[-1].detach(), wanted_boxes[-1]).diagonal()
    wanted = torch.cat(wanted_boxes)
    positive = max(len(wanted), 1)
    return {
        "score": _quality_focal(rows[..., 0], quality)[counts].sum() / positive,
        "box": complete_box_iou_loss(torch.cat(boxes), wanted, reduction="sum") / positive,
        "landmarks": _landmark_loss(torch.cat(landmarks), torch.cat(wanted_landmarks), wanted),
    }


def _quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    error = (quality - logits.sigmoid()).abs()
    return error**2 * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")


def _landmark_loss(landmarks: Tensor, wanted: Tensor, boxes: Tensor) -> Tensor:
    """Smooth L1 of the error in units of the face's size; 0 where no landmark is known."""
    known = wanted.isfinite().all(dim=(1, 2)) if len(wanted) else torch.zeros(0, dtype=torch.bool)
    if not known.any():
        return landmarks.sum() * 0
    size = (boxes[known, 2:] - boxes[known, :2]).prod(dim=1).sqrt()[:, None, None]
    return F.smooth_l1_loss(landmarks[known] / size, wanted[known] / size, beta=0.02)
