"""From the network's grid back to the file's: the inverse of ``preprocess.place``, and the label
map made there."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from medical_segment.plan import Plan
from medical_segment.preprocess import resize, turns

THRESHOLD = 0.5


def back(values: Tensor, shape: Sequence[int], affine: np.ndarray, plan: Plan) -> Tensor:
    """(C, spatial…) on the network's grid -> (C, *shape) on the stored one: resampled linearly,
    turned exactly."""
    axes = turns(affine, plan)
    order = [int(axis) for axis in axes[:, 0]]
    turned = [0] * len(order)
    for stored, axis in enumerate(order):
        turned[axis] = int(shape[stored])
    values = resize(values, turned).permute(0, *(axis + 1 for axis in order))
    return values.flip([stored + 1 for stored, direction in enumerate(axes[:, 1]) if direction < 0])


def channels_back(
    probabilities: Tensor, shape: Sequence[int], affine: np.ndarray, plan: Plan
) -> Iterator[Tensor]:
    """Each channel (spatial…) on the stored grid, one after the other: few are in memory at
    once."""
    for channel in probabilities:
        yield back(channel[None], shape, affine, plan)[0]


def most_likely(channels: Iterator[Tensor]) -> np.ndarray:
    """uint8 or uint16 numbers of the likeliest channel (spatial…), the first of equals."""
    best, winner = None, None
    for number, channel in enumerate(channels):
        if best is None:
            best, winner = channel.clone(), torch.zeros(channel.shape, dtype=torch.int16)
            continue
        better = channel > best
        winner[better] = number
        torch.maximum(best, channel, out=best)
    return winner.numpy()


def label_map(
    probabilities: Tensor, shape: Sequence[int], affine: np.ndarray, plan: Plan
) -> np.ndarray:
    """The plan's numbers on the stored grid (*shape), from probabilities (K, spatial…) on the
    network's."""
    channels = channels_back(probabilities, shape, affine, plan)
    if plan.activation == "sigmoid":
        return paint(np.stack([(channel >= THRESHOLD).numpy() for channel in channels]), plan)
    return numbered(most_likely(channels), plan)


def numbered(winners: np.ndarray, plan: Plan) -> np.ndarray:
    """The plan's numbers in place of the channels' places."""
    return np.array(plan.values, label_type(plan))[winners]


def paint(masks: np.ndarray, plan: Plan) -> np.ndarray:
    """The label map of overlapping regions (K, spatial…): later ones of ``plan.order`` over
    earlier."""
    labels = np.zeros(masks.shape[1:], label_type(plan))
    for channel in plan.order:
        labels[masks[channel]] = plan.values[channel]
    return labels


def label_type(plan: Plan) -> type[np.unsignedinteger]:
    return np.uint8 if max(plan.values) < 256 else np.uint16
