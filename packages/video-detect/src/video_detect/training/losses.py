"""Deformable DETR's losses: who is matched to whom, and what a match costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from video_detect.models.detector import Found

ALPHA, GAMMA = 0.25, 2.0
CLASS, L1, GIOU = 2.0, 5.0, 2.0
MANY = 5  # proposals that are matched to each object: each learns faster from several


@dataclass(frozen=True)
class Targets:
    """What a batch of images shows: ``boxes`` (B, m, 4), centre and size in 0..1, with ``labels``
    (B, m); each image has the first ``counts`` of its rows, the others are padding."""

    boxes: Tensor
    labels: Tensor
    counts: Sequence[int]

    @classmethod
    def of(cls, boxes: Tensor, labels: Tensor, counts: Sequence[int]) -> "Targets":
        """From those of all images, (n, 4) and (n,), one image after another."""
        padded = [
            pad_sequence(list(values.split(list(counts))), batch_first=True)
            for values in (boxes, labels)
        ]
        return cls(padded[0], padded[1], counts)

    def repeated(self, times: int) -> "Targets":
        """The batch ``times`` over, for as many layers."""
        return Targets(
            self.boxes.repeat(times, 1, 1), self.labels.repeat(times, 1), [*self.counts] * times
        )

    @property
    def present(self) -> Tensor:
        """(B, m): what is no padding."""
        counts = torch.tensor(self.counts, device=self.boxes.device)
        return torch.arange(self.boxes.shape[1], device=self.boxes.device) < counts[:, None]


Pairs = tuple[Tensor, Tensor, Tensor]  # image, query and target's row of each match


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
def costs(logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
    """(B, Q, m): what it would cost to match each query to each target."""
    labels = targets.labels[:, None].expand(-1, logits.shape[1], -1)
    chance = logits.float().sigmoid().gather(2, labels)
    negative = (1 - ALPHA) * chance**GAMMA * -(1 - chance + 1e-8).log()
    positive = ALPHA * (1 - chance) ** GAMMA * -(chance + 1e-8).log()
    distance = torch.cdist(boxes.float(), targets.boxes, p=1)
    overlap = giou(corners(boxes.float())[:, :, None], corners(targets.boxes)[:, None])
    return CLASS * (positive - negative) + L1 * distance - GIOU * overlap


def match(cost: Tensor, counts: Sequence[int]) -> Pairs:
    """Each target to one query of its own, at the least cost of all."""
    triples = []
    for image, (rows, count) in enumerate(zip(cost.cpu().numpy(), counts, strict=True)):
        queries, own = linear_sum_assignment(rows[:, :count])
        triples.append(np.stack((np.full(len(queries), image), queries, own)))
    image, query, target = torch.from_numpy(np.concatenate(triples, 1)).to(cost.device)
    return image, query, target


def match_many(cost: Tensor, targets: Targets, times: int = MANY) -> Pairs:
    """Each target to the ``times`` queries that cost least; one that several want goes to whom it
    costs least."""
    if not cost.shape[2]:
        return match(cost, targets.counts)
    cost = cost.masked_fill(~targets.present[:, None], torch.inf)
    nearest = cost.topk(min(times, cost.shape[1]), dim=1, largest=False).indices
    wanted = torch.zeros_like(cost, dtype=torch.bool).scatter_(1, nearest, value=True)
    least, owner = cost.masked_fill(~wanted, torch.inf).min(dim=2)  # B, Q
    image, query = least.isfinite().nonzero(as_tuple=True)
    return image, query, owner[image, query]


def matched_losses(
    logits: Tensor, boxes: Tensor, targets: Targets, pairs: Pairs
) -> dict[str, Tensor]:
    """``class`` (focal), ``l1`` and ``giou`` of (B, Q, …), per box of the targets."""
    image, query, target = pairs
    logits, boxes = logits.float(), boxes.float()
    wanted = torch.zeros_like(logits)
    wanted[image, query, targets.labels[image, target]] = 1
    chance = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    hit = chance * wanted + (1 - chance) * (1 - wanted)
    share = ALPHA * wanted + (1 - ALPHA) * (1 - wanted)
    own, theirs = boxes[image, query], targets.boxes[image, target]
    count = max(sum(targets.counts), 1)
    return {
        "class": (share * (1 - hit) ** GAMMA * entropy).sum() / count,
        "l1": F.l1_loss(own, theirs, reduction="sum") / count,
        "giou": (1 - giou(corners(own), corners(theirs))).sum() / count,
    }


def weighted(losses: Mapping[str, Tensor]) -> Tensor:
    return CLASS * losses["class"] + L1 * losses["l1"] + GIOU * losses["giou"]


def total_loss(found: Found, targets: Targets) -> Tensor:
    """All decoder layers alike, and the proposals where there are any, matched to many."""
    layers = targets.repeated(len(found.logits))
    logits, boxes = found.logits.flatten(0, 1), found.boxes.flatten(0, 1)
    pairs = match(costs(logits, boxes, layers), layers.counts)
    loss = weighted(matched_losses(logits, boxes, layers, pairs)) * len(found.logits)
    if found.proposal_logits is None or found.proposal_boxes is None:
        return loss
    logits, boxes = found.proposal_logits, found.proposal_boxes
    pairs = match_many(costs(logits, boxes, targets), targets)
    return loss + weighted(matched_losses(logits, boxes, targets, pairs))
