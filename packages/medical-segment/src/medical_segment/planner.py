"""From a collection's cases to a plan and a network's shape: spacing, window, stages. Everything
can be overridden.

A small version of nnU-Net's rules (Isensee et al., Nature Methods 2021): the median spacing; a
window as large as the median case, within a budget of voxels; each axis is halved while it has at
least eight voxels, coarse axes later.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medical_segment.files.layouts import Collection
from medical_segment.files.reading import read_case
from medical_segment.plan import Plan

ANISOTROPIC = 3.0  # from this ratio of an axis' spacing to the others' on, it counts as coarse
MAX_VOXELS = {2: 512**2, 3: 128**3}  # of the largest window
MIN_SIDE = 4  # voxels of an axis at the bottleneck
MAX_STAGES = 6
WIDTH, MAX_WIDTH = 32, {2: 512, 3: 320}
CT = ("ct", "computed tomography")
MAX_READ = 20  # cases that are looked at


@dataclass(frozen=True)
class Findings:
    """Of the cases that were looked at: shapes and spacings in the plan's order of axes,
    intensities inside labels."""

    shapes: np.ndarray
    spacings: np.ndarray
    intensity: tuple[float, float, float, float] | None = None


def look_at(collection: Collection, orientation: str | None) -> Findings:
    """Shapes, spacings and, for CT, the 0.5 and 99.5 percentiles, mean and deviation of the
    labelled voxels."""
    from medical_segment.data import read_label
    from medical_segment.preprocess import turns

    # Evenly through the list: neighbours often come from one scanner.
    chosen = collection.cases[:: max(1, math.ceil(len(collection.cases) / MAX_READ))]
    shapes, spacings, values = [], [], []
    for case in chosen:
        volume = read_case(case.images[0] if len(case.images) == 1 else list(case.images))
        axes = turns(volume.affine, orientation, collection.dims)[:, 0].astype(int)
        order = np.argsort(axes)
        shapes.append(np.array(volume.shape)[order])
        spacings.append(np.array(volume.spacing)[order])
        if _is_ct(collection):
            inside = volume.data[0][read_label(case.label, volume.shape) > 0]
            values.append(inside[:: max(1, inside.size // 10_000)])
    return Findings(np.array(shapes), np.array(spacings), _statistics(values))


def _statistics(values: Sequence[np.ndarray]) -> tuple[float, float, float, float] | None:
    together = np.concatenate([*values, np.empty(0)]).astype(float)
    if not together.size:
        return None
    low, high = np.percentile(together, (0.5, 99.5))
    return float(low), float(high), float(together.mean()), float(max(together.std(), 1e-8))


def _is_ct(collection: Collection) -> bool:
    return len(collection.channels) == 1 and collection.channels[0].lower() in CT


def make_plan(collection: Collection, overrides: Mapping[str, Any]) -> Plan:
    """The plan for a collection; ``overrides`` (patch, spacing, normalisation, orientation,
    intensity) win."""
    orientation = overrides.get("orientation", "RAS" if collection.dims == 3 else None)
    settled = {"spacing", "patch", "normalisation"} <= overrides.keys() and overrides[
        "normalisation"
    ] != "ct"
    found = None if settled else look_at(collection, orientation)
    choices: dict[str, Any] = {"orientation": orientation}
    if found is not None:
        spacing = _spacing(found) if collection.dims == 3 else None
        choices |= {
            "spacing": spacing,
            "patch": _patch(found, overrides.get("spacing", spacing)),
            "normalisation": "ct" if found.intensity else "zscore",
            "intensity": found.intensity,
        }
    return Plan(
        channels=collection.channels,
        labels=collection.labels,
        dims=collection.dims,
        activation="sigmoid" if collection.regions else "softmax",
        values=collection.values,
        order=collection.order,
        instances=collection.instances,
        **(choices | dict(overrides)),
    )


def _spacing(found: Findings) -> tuple[float, ...]:
    """The median of each axis; of a coarse axis that differs between cases the finer end, so that
    little is lost."""
    median = np.median(found.spacings, axis=0)
    for axis in range(len(median)):
        others = np.delete(median, axis)
        if median[axis] >= ANISOTROPIC * others.max():
            median[axis] = max(np.percentile(found.spacings[:, axis], 10), others.max())
    return tuple(round(float(value), 4) for value in median)


def _patch(found: Findings, spacing: Sequence[float] | None) -> tuple[int, ...]:
    """The median case at the network's spacing, a multiple of what its axes are divided by, within
    the budget."""
    sides = np.median(found.shapes * found.spacings, axis=0) / (
        spacing or np.median(found.spacings, axis=0)
    )
    budget = MAX_VOXELS[len(sides)]
    while np.prod(sides) > budget:
        sides[np.argmax(sides)] *= 0.9
    multiples = [2 ** _halvings(side) for side in sides]
    return tuple(
        max(m, math.ceil(side / m - 0.25) * m) for side, m in zip(sides, multiples, strict=True)
    )


def _halvings(side: float) -> int:
    return max(0, min(MAX_STAGES - 1, int(math.log2(max(1.0, side) / MIN_SIDE))))


def shape_network(architecture: str, plan: Plan) -> dict[str, Any]:
    """Options of ``architecture`` that go with a plan; what a recipe's ``model.config`` says
    wins."""
    common = {"in_channels": len(plan.channels), "num_classes": len(plan.labels)}
    if architecture == "segformer3d":
        return common | _segformer(plan)
    if architecture == "unet":
        return common | {"dims": plan.dims}
    strides = _strides(plan)
    widest = MAX_WIDTH[plan.dims]
    return common | {
        "dims": plan.dims,
        "patch_size": list(plan.patch),
        "features": [min(WIDTH * 2**stage, widest) for stage in range(len(strides))],
        "strides": strides,
        "kernels": _kernels(plan, strides),
    }


def _strides(plan: Plan) -> list[list[int]]:
    """Of each stage and axis: 2 while the axis is long enough and not yet coarse beside the
    others."""
    sides, spacing = list(plan.patch), list(plan.spacing or (1.0,) * plan.dims)
    strides = [[1] * plan.dims]
    while len(strides) < MAX_STAGES:
        fine = [
            s
            for s, side in zip(spacing, sides, strict=True)
            if side >= 2 * MIN_SIDE and side % 2 == 0
        ]
        if not fine:
            break
        step = [
            2 if side >= 2 * MIN_SIDE and side % 2 == 0 and s < 2 * min(fine) else 1
            for side, s in zip(sides, spacing, strict=True)
        ]
        sides = [side // s for side, s in zip(sides, step, strict=True)]
        spacing = [old * s for old, s in zip(spacing, step, strict=True)]
        strides.append(step)
    return strides


def _kernels(plan: Plan, strides: Sequence[Sequence[int]]) -> list[list[int]]:
    """3, but 1 along an axis as long as it is coarse beside the others."""
    spacing = list(plan.spacing or (1.0,) * plan.dims)
    kernels = []
    for step in strides:
        spacing = [old * s for old, s in zip(spacing, step, strict=True)]
        kernels.append([1 if s >= 2 * min(spacing) else 3 for s in spacing])
    return kernels


def _segformer(plan: Plan) -> dict[str, Any]:
    """The released sizes, with a first stride that suits the window: 2 for axes that are short or
    coarse."""
    spacing = plan.spacing or (1.0,) * plan.dims
    short = [
        side < 64 or s >= 2 * min(spacing) for side, s in zip(plan.patch, spacing, strict=True)
    ]
    first = [2 if axis else 4 for axis in short]
    kernel = [3 if axis else 7 for axis in short]
    return {"patch_stride": [first, 2, 2, 2], "patch_kernel": [kernel, 3, 3, 3]}
