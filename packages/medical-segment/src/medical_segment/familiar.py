"""Whether a case is like those that its network learned from; where it is not, the result says so.

A network answers for any scan, and gives no sign of its own where it was made for others. So what
training cases are like is written beside the weights: of each figure the lowest and the highest.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medical_segment import system
from medical_segment.files.volume import Volume
from medical_segment.plan import Plan
from medical_segment.preprocess import turns
from vitrail.weights.catalogue import Weights

if TYPE_CHECKING:
    from medical_segment.result import Result

Figures = Mapping[str, Sequence[float]]
Ranges = Mapping[str, Sequence[Sequence[float]]]  # lowest and highest of each number

# How far beyond the training cases a figure may lie: a factor, or a share of their range.
FACTORS = {"spacing": 1.25, "extent": 1.5, "found": 1.5, "object": 1.5}
SHARE = 0.5
SAMPLE = 500_000  # voxels that intensities are judged by
TAILS = (0.5, 99.5)  # percentiles, beyond which a few voxels of metal or flow lie
ABSOLUTE = ("ct", "rgb", "none")  # normalisations that leave intensities their meaning


def seen_by(weights: Weights) -> Ranges:
    """What the training cases of a weights file were like; empty where that is not known."""
    if "seen" in weights.metadata:
        return weights.metadata["seen"]
    known = json.loads((system.folder / "weights/seen.json").read_text("utf-8"))
    return known.get(weights.sha256, {})


def ranges(cases: Iterable[Figures]) -> dict[str, list[list[float]]]:
    """The lowest and highest of each number over cases; a figure that a case lacks is left out."""
    known = list(cases)
    names = [name for name in known[0] if all(name in case for case in known)] if known else []
    found = {}
    for name in names:
        values = np.array([case[name] for case in known])
        ends = np.stack([values.min(axis=0), values.max(axis=0)], axis=1)
        found[name] = ends.round(4).tolist()
    return found


def figures(result: "Result") -> dict[str, list[float]]:
    """What a case and its result are like: voxel size and extent in mm along the network's axes,
    the spread of intensities, sizes of what was found, and how sure the network is of it."""
    volume, plan = result.volume, result.plan
    found: dict[str, list[float]] = {}
    if volume.has_millimetres and plan.orientation and len(volume.shape) == 3:
        order = np.argsort(turns(volume.affine, plan.orientation)[:, 0])
        spacing = np.array(volume.spacing)[order]
        found["spacing"] = spacing.tolist()
        found["extent"] = (spacing * np.array(volume.shape)[order]).tolist()
    found["intensity"] = _intensities(volume, plan)
    if plan.instances:
        if result.things:
            found["object"] = [float(np.median([thing.area for thing in result.things]))]
    elif (voxel := volume.voxel_ml) is not None:
        found["found"] = [structure.voxels * voxel for structure in result.structures]
    if result.confidence is not None:
        found["confidence"] = [result.confidence]
    return found


def _intensities(volume: Volume, plan: Plan) -> list[float]:
    """Of each channel its skewness and how much neighbours differ, both of which know no unit; mean
    and deviation too where intensities have a meaning."""
    numbers: list[float] = []
    for channel in volume.data:
        step = max(1, channel.size // SAMPLE)
        values = channel.ravel()[::step].astype(np.float64)
        low, high = np.percentile(values, TAILS)
        values = values.clip(low, high)
        mean, std = float(values.mean()), float(values.std()) or 1.0
        rough = [
            float(np.abs(np.diff(channel.astype(np.float32).clip(low, high), axis=axis)).mean())
            for axis in range(channel.ndim)
            if channel.shape[axis] > 1
        ]
        numbers += [float((((values - mean) / std) ** 3).mean()), max(rough, default=0.0) / std]
        numbers += [mean, std] if plan.normalisation in ABSOLUTE else []
    return numbers


def unlike(result: "Result", seen: Ranges) -> tuple[str, ...]:
    """A sentence for each way in which a case and its result are unlike those of the training."""
    own = figures(result)
    if not seen:
        return ()
    said = []
    if "found" in seen and result.instances is None:
        said += _sizes(result, seen["found"])
    elif "object" in seen and "object" not in own:
        said.append("no object was found, and each training case has some")
    for name, words in WORDS.items():
        if name in seen and name in own and _outside(name, own[name], seen[name]):
            said.append(words(own[name], seen[name]))
    return tuple(said)


def _outside(name: str, own: Sequence[float], seen: Sequence[Sequence[float]]) -> bool:
    if len(own) != len(seen):
        return True
    values, (low, high) = np.array(own), np.array(seen).T
    if name in FACTORS:
        return bool(((values < low / FACTORS[name]) | (values > high * FACTORS[name])).any())
    room = SHARE * (high - low) + 0.01 * np.maximum(np.abs(low), np.abs(high))
    too_much = (values > high + room) & (name != "confidence")
    return bool(((values < low - room) | too_much).any())


def _sizes(result: "Result", seen: Sequence[Sequence[float]]) -> list[str]:
    said = []
    for structure, (low, high) in zip(result.structures, seen, strict=True):
        ml = structure.ml
        if ml is not None and not low / FACTORS["found"] <= ml <= high * FACTORS["found"]:
            usual = f"{low:.3g} to {high:.3g} ml"
            said.append(f"{ml:.3g} ml of {structure.name} found; training cases hold {usual}")
    return said


def _millimetres(own: Sequence[float], seen: Sequence[Sequence[float]]) -> str:
    usual = " x ".join(
        f"{low:.3g}" if low == high else f"{low:.3g}-{high:.3g}" for low, high in seen
    )
    return f"{' x '.join(f'{n:.3g}' for n in own)} mm; training cases have {usual} mm"


WORDS: dict[str, Any] = {
    "spacing": lambda own, seen: f"its voxels measure {_millimetres(own, seen)}",
    "extent": lambda own, seen: f"it covers {_millimetres(own, seen)}",
    "intensity": lambda own, seen: (
        "its intensities are spread unlike those of the training cases (another contrast?)"
    ),
    "object": lambda own, seen: (
        f"its objects measure {own[0]:.0f} pixels, those of the training cases "
        f"{seen[0][0]:.0f} to {seen[0][1]:.0f}"
    ),
    "confidence": lambda own, seen: (
        f"the network is unsure of what it found (probability {own[0]:.2f}; "
        f"{seen[0][0]:.2f} to {seen[0][1]:.2f} in training cases)"
    ),
}
