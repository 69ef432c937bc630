"""From probabilities to label maps, tidied, and to objects told apart: all on the file's own
grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medical_segment.plan import Plan
from medical_segment.preprocess import channels_back

THRESHOLD = 0.5
INTERIOR, BOUNDARY = 1, 2
MAX_OBJECTS = np.iinfo(np.uint16).max


def activate(logits: np.ndarray, plan: Plan) -> np.ndarray:
    """Logits (K, spatial…) to probabilities, in place: each voxel's sum to 1 (softmax), or each
    label by itself (sigmoid)."""
    if plan.activation == "sigmoid":
        logits *= 0.5
        np.tanh(logits, out=logits)  # which cannot overflow
        logits += 1
        logits *= 0.5
        return logits
    # In place, since a whole scan's probabilities are the largest thing in memory.
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def sureness(probabilities: np.ndarray, plan: Plan) -> tuple[float, int]:
    """Of the voxels (K, spatial…) where something was found: the sum of its probability, and their
    count."""
    exclusive = plan.activation == "softmax"
    likeliest = probabilities[1 if exclusive else 0 :].max(axis=0, initial=0)
    found = likeliest >= (np.maximum(probabilities[0], THRESHOLD / 2) if exclusive else THRESHOLD)
    return float(likeliest[found].sum(dtype=float)), int(found.sum())


def label_map(
    probabilities: np.ndarray, shape: Sequence[int], affine: np.ndarray, plan: Plan
) -> np.ndarray:
    """The plan's numbers on the stored grid (*shape), from probabilities (K, spatial…) on the
    network's."""
    channels = channels_back(probabilities, shape, affine, plan)
    if plan.activation == "sigmoid":
        return paint(np.stack([channel >= THRESHOLD for channel in channels]), plan)
    return numbered(most_likely(channels), plan)


def most_likely(channels: Iterator[np.ndarray]) -> np.ndarray:
    """int16 numbers of the likeliest channel (spatial…), the first of equals."""
    best = next(channels).copy()
    winner = np.zeros(best.shape, np.int16)
    for number, channel in enumerate(channels, start=1):
        winner[channel > best] = number
        np.maximum(best, channel, out=best)
    return winner


def numbered(winners: np.ndarray, plan: Plan) -> np.ndarray:
    """The plan's numbers, uint8 or uint16, in place of the channels' places."""
    return np.array(plan.values, _label_type(plan))[winners]


def paint(masks: np.ndarray, plan: Plan) -> np.ndarray:
    """The label map of overlapping regions (K, spatial…): later ones of ``plan.order`` over
    earlier."""
    labels = np.zeros(masks.shape[1:], _label_type(plan))
    for channel in plan.order:
        labels[masks[channel]] = plan.values[channel]
    return labels


def _label_type(plan: Plan) -> type[np.unsignedinteger]:
    return np.uint8 if max(plan.values) < 256 else np.uint16


def clean(mask: np.ndarray, *, largest: bool = False, fill: bool = False) -> np.ndarray:
    """A bool mask (spatial…): only its largest piece (touching by faces), then without holes in
    it."""
    if not (largest or fill):
        return mask
    from scipy import ndimage  # whose import takes longer than a small scan

    if largest and mask.any():
        labelled: Any = ndimage.label(mask)
        pieces, _ = labelled
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        mask = pieces == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(mask)) if fill else mask


def clean_labels(labels: np.ndarray, *, largest: bool = False, fill: bool = False) -> np.ndarray:
    """The same for each number above 0 of a label map; a filled hole takes nothing from other
    labels."""
    if not (largest or fill):
        return labels
    cleaned = np.zeros_like(labels)
    for value in np.unique(labels[labels > 0]):
        cleaned[clean(labels == value, largest=largest) & (cleaned == 0)] = value
    if fill:
        for value in np.unique(cleaned[cleaned > 0]):
            holes = clean(cleaned == value, fill=True) & (cleaned == 0)
            cleaned[holes] = value
    return cleaned


@dataclass(frozen=True)
class Thing:
    """One object: its number in the instance map, page, area in pixels, centre (row, column) and
    mean intensity."""

    number: int
    page: int
    area: int
    row: float
    column: float
    mean_intensity: float


def separate(labels: np.ndarray, min_area: int = 1) -> np.ndarray:
    """Label map (rows, columns) of background 0, interior 1 and boundary 2 -> int32 instances 1, 2,
    … and 0.

    Each connected interior is one object (touching by an edge); it then grows into the boundary
    around it, as far as that is connected to it. A boundary without an interior is not an object,
    nor is one of fewer than ``min_area`` pixels.
    """
    from scipy import ndimage
    from skimage.segmentation import watershed

    labelled: Any = ndimage.label(labels == INTERIOR)
    interiors, count = labelled
    if not count:
        return np.zeros(labels.shape, np.int32)
    # Each boundary pixel goes to the interior that is nearest along the mask.
    depth = ndimage.distance_transform_edt(interiors == 0)
    grown = watershed(depth, interiors, mask=np.isin(labels, (INTERIOR, BOUNDARY)))
    areas = np.bincount(grown.ravel())
    kept = np.flatnonzero(areas >= max(1, min_area))
    kept = kept[kept > 0]
    numbers = np.zeros(len(areas), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[grown]


def measure(instances: np.ndarray, image: np.ndarray, page: int = 0) -> list[Thing]:
    """Each object of (rows, columns), in the order of their numbers; ``image`` (C, rows, columns)
    as it was read."""
    numbers = np.unique(instances)
    numbers = numbers[numbers > 0]
    if not len(numbers):
        return []
    from scipy import ndimage

    grey = image.astype(np.float64).mean(axis=0)
    areas = ndimage.sum_labels(np.ones(instances.shape), instances, numbers)
    centres = ndimage.center_of_mass(np.ones(instances.shape), instances, numbers)
    means = ndimage.mean(grey, instances, numbers)
    return [
        Thing(int(number), page, int(area), round(row, 2), round(column, 2), round(float(mean), 3))
        for number, area, (row, column), mean in zip(numbers, areas, centres, means, strict=True)
    ]
