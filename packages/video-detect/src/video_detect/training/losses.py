"""Deformable DETR's losses: who is matched to whom, and what a match costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from video_detect.models.detector import Found

ALPHA, GAMMA = 0.25, 2.0
CLASS, L1, GIOU = 2.0, 5.0, 2.0
MANY = 5  # proposals that are matched to each object: each learns faster from several


@dataclass(frozen=True)
class Target:
    """``boxes`` (n, 4), centre and size in 0..1, with ``labels`` (n,)."""

    boxes: Tensor
    labels: Tensor

    def repeated(self, times: int) -> "Target":
        return Target(self.boxes.repeat(times, 1), self.labels.repeat(times))


def corners(boxes: Tensor) -> Tensor:
    """Centre and size to corners."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), -1)


def giou(one: Tensor, other: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019) of corner boxes, broadcast."""
    shared = (torch.minimum(one[..., 2:], other[..., 2:])
              - torch.maximum(one[..., :2], other[..., :2])).clamp(min=0).prod(-1)  # fmt: skip
    union = _area(one) + _area(other) - shared
    around = torch.cat((torch.minimum(one[..., :2], other[..., :2]),
                        torch.maximum(one[..., 2:], other[..., 2:])), -1)  # fmt: skip
    hull = _area(around).clamp(min=1e-7)
    return shared / union.clamp(min=1e-7) - (hull - union) / hull


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, target: Target) -> tuple[Tensor, Tensor]:
    """Indices of queries and of the target's boxes that belong together, at the least cost."""
    chance = logits.sigmoid()[:, target.labels]
    negative = (1 - ALPHA) * chance**GAMMA * -(1 - chance + 1e-8).log()
    positive = ALPHA * (1 - chance) ** GAMMA * -(chance + 1e-8).log()
    distance = torch.cdist(boxes, target.boxes, p=1)
    overlap = giou(corners(boxes)[:, None], corners(target.boxes)[None])
    cost = CLASS * (positive - negative) + L1 * distance - GIOU * overlap
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.as_tensor(rows), torch.as_tensor(columns)


def layer_losses(
    logits: Tensor, boxes: Tensor, targets: Sequence[Target], times: int = 1
) -> dict[str, Tensor]:
    """``class``, ``l1`` and ``giou`` of one layer, (B, Q, …), per box of the targets; with
    ``times`` each box is matched that often."""
    targets = [target.repeated(times) for target in targets]
    pairs = [match(*one) for one in zip(logits, boxes, targets, strict=True)]
    wanted = torch.zeros_like(logits)
    for number, ((rows, columns), target) in enumerate(zip(pairs, targets, strict=True)):
        wanted[number, rows, target.labels[columns]] = 1
    count = max(sum(len(target.boxes) for target in targets), 1)
    chance = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    hit = chance * wanted + (1 - chance) * (1 - wanted)
    share = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    own = torch.cat([boxes[n, rows] for n, (rows, _) in enumerate(pairs)])
    theirs = torch.cat(
        [target.boxes[columns] for (_, columns), target in zip(pairs, targets, strict=True)]
    )
    return {
        "class": (share * (1 - hit) ** GAMMA * entropy).sum() / count,
        "l1": F.l1_loss(own, theirs, reduction="sum") / count,
        "giou": (1 - giou(corners(own), corners(theirs))).sum() / count,
    }


def total_loss(found: Found, targets: Sequence[Target]) -> Tensor:
    """All decoder layers alike, and the proposals where there are any, matched to many."""
    losses = [
        layer_losses(*layer, targets) for layer in zip(found.logits, found.boxes, strict=True)
    ]
    if found.proposal_logits is not None and found.proposal_boxes is not None:
        losses.append(layer_losses(found.proposal_logits, found.proposal_boxes, targets, MANY))
    weights = {"class": CLASS, "l1": L1, "giou": GIOU}
    return torch.stack([weights[name] * part for one in losses for name, part in one.items()]).sum()
