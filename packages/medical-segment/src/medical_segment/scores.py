"""How good a segmentation is: overlap and surfaces by MONAI, and how cells are counted.

Rules for labels that are not there. In neither: Dice and NSD are 1 (nothing was missed), HD95 is
undefined. In one of both: Dice and NSD are 0, HD95 is undefined. Undefined values are NaN; means
leave them out and say how many.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_edge_surface_distance
from torch import Tensor

TOLERANCE_MM = 1.0
IOU = 0.5
BORDER = 2


@dataclass(frozen=True)
class Overlap:
    """``dice`` and ``nsd`` in 0..1, ``hd95`` in mm or NaN."""

    dice: float
    hd95: float
    nsd: float


def dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Of two masks; 1 where both are empty."""
    both = int(predicted.sum()) + int(truth.sum())
    return 2 * int((predicted & truth).sum()) / both if both else 1.0


def overlap(
    predicted: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    tolerance: float = TOLERANCE_MM,
    surface: str = "elements",
) -> Overlap:
    """Dice, HD95 and normalised surface Dice of two masks (spatial…) whose voxels measure
    ``spacing`` mm.

    ``surface``: ``elements`` between voxels, weighted by their areas, as DeepMind's
    surface-distance counts; or the border ``voxels`` themselves, as MONAI does. The two give
    different numbers.
    """
    # A surface that is not there has no distance.
    if not (predicted.any() and truth.any()):
        same = float(predicted.any() == truth.any())
        return Overlap(same, float("nan"), same)
    masks = [torch.from_numpy(np.ascontiguousarray(mask)).bool() for mask in (predicted, truth)]
    with warnings.catch_warnings(action="ignore"):  # of MONAI's about its own deprecated arguments
        measure = _elements if surface == "elements" else _voxels
        hd95, nsd = measure(masks, list(spacing), tolerance)
    return Overlap(dice(predicted, truth), hd95, nsd)


def _elements(
    masks: Sequence[Tensor], spacing: list[float], tolerance: float
) -> tuple[float, float]:
    predicted, truth = masks
    edges, distances, areas = get_edge_surface_distance(
        predicted, truth, spacing=spacing, use_subvoxels=True, symmetric=True
    )
    sides = [
        _sorted(found, area[edge])
        for edge, found, area in zip(edges, distances, areas, strict=True)
    ]
    whole = sum(float(area.sum()) for _, area in sides)
    near = sum(float(area[distance <= tolerance].sum()) for distance, area in sides)
    return max(_percentile(*side, 0.95) for side in sides), near / whole


def _voxels(masks: Sequence[Tensor], spacing: list[float], tolerance: float) -> tuple[float, float]:
    predicted, truth = (mask[None, None] for mask in masks)
    hd95 = compute_hausdorff_distance(
        predicted, truth, include_background=True, percentile=95, spacing=spacing
    )
    nsd = compute_surface_dice(
        predicted, truth, [tolerance], include_background=True, spacing=spacing
    )
    return float(hd95), float(nsd)


def _sorted(distances: Tensor, areas: Tensor) -> tuple[Tensor, Tensor]:
    order = distances.argsort()
    return distances[order].double(), areas[order].double()


def _percentile(distances: Tensor, areas: Tensor, share: float) -> float:
    """The distance within which ``share`` of the area lies; both sorted by distance."""
    position = int(torch.searchsorted(areas.cumsum(0) / areas.sum(), share))
    return float(distances[min(position, len(distances) - 1)])


@dataclass(frozen=True)
class CellCount:
    """Objects that were found, missed, and made up at one IoU threshold."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else 0.0

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else 0.0

    @property
    def f1(self) -> float:
        """0 where nothing is found; 1 where nothing was to be found and nothing was."""
        counted = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / counted if counted else 1.0


def count_cells(
    predicted: np.ndarray,
    truth: np.ndarray,
    thresholds: Sequence[float] = (IOU,),
    border: int = BORDER,
) -> list[CellCount]:
    """Objects of two instance maps (rows, columns), paired one to one so that most pairs overlap by
    a threshold.

    Objects that touch the ``border`` pixels at the image's edges are left out of both, as in the
    NeurIPS cell challenge.
    """
    from scipy.optimize import linear_sum_assignment

    iou = _iou(inside(predicted, border), inside(truth, border))
    counts = []
    for threshold in thresholds:
        # Most pairs first; among those the best overlap.
        gain = (iou >= threshold) * (1 + iou / (iou.size + 1))
        rows, columns = linear_sum_assignment(-gain)
        tp = int((iou[rows, columns] >= threshold).sum())
        counts.append(CellCount(tp, iou.shape[1] - tp, iou.shape[0] - tp))
    return counts


def inside(instances: np.ndarray, border: int = BORDER) -> np.ndarray:
    """The instance map without the objects that touch its outer ``border`` pixels."""
    frame = np.ones(instances.shape, bool)
    frame[border:-border, border:-border] = False
    return np.where(np.isin(instances, np.unique(instances[frame])), 0, instances)


def _iou(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(objects in truth, objects predicted)."""
    _, one = np.unique(truth, return_inverse=True)
    _, other = np.unique(predicted, return_inverse=True)
    one, other = (
        part.ravel() + (0 if whole.min() == 0 else 1)
        for part, whole in ((one, truth), (other, predicted))
    )
    # Row and column 0 are the background, also where a map has none, so that they can be cut off.
    table = np.zeros((one.max() + 1, other.max() + 1), np.int64)
    np.add.at(table, (one, other), 1)
    union = table.sum(1, keepdims=True) + table.sum(0, keepdims=True) - table
    return (table / np.maximum(union, 1))[1:, 1:]
