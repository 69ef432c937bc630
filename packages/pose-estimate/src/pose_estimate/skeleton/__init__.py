"""Which joints a pose has, in which order, and how one order becomes another."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import InputError, UsageError, plain
from vitrail.sources import require_file

TABLE = Path(__file__).with_name("skeletons.toml")
UNIFIED = "unified"
USUAL_SIGMA = 0.08  # of a joint of which nothing is known: about the mean of COCO's
MAX_FILE = 1_000_000  # bytes of a skeleton file
LEFT, RIGHT = "left", "right"


@dataclass(frozen=True)
class Skeleton:
    """``labels`` name the joints in order, in the data set's own words; ``joints`` are their
    unified names, empty where there is none. ``sigmas`` are OKS's, relative to the square root of a
    person's area; ``edges`` are pairs of numbers to draw lines between."""

    name: str
    labels: tuple[str, ...]
    joints: tuple[str, ...]
    sigmas: tuple[float, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self):
        """Raises UsageError for a table that does not go together."""
        count = len(self.labels)
        far = [
            pair for pair in self.edges if len(pair) != 2 or not all(0 <= n < count for n in pair)
        ]
        faults = {
            "has no joints": not count,
            "names a joint twice": len(set(self.labels)) < count,
            f"has {count} joints but {len(self.sigmas)} sigmas": len(self.sigmas) != count,
            "has a sigma that is not above 0": not all(sigma > 0 for sigma in self.sigmas),
            f"has an edge to a joint that it lacks: {far[:1]}": far,
        }
        for fault, found in faults.items():
            if found:
                raise UsageError(f"skeleton {self.name}", fault)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Left and right joints by number, which change places in a mirrored image."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return tuple(
            (number, numbers[other])
            for label, number in numbers.items()
            if LEFT in label and (other := label.replace(LEFT, RIGHT)) in numbers
        )

    @property
    def colours(self) -> tuple[int, ...]:
        """A number of the palette for each joint, by its side."""
        table = _read_table()[UNIFIED]["colours"]
        sides = (
            next((side for side in (LEFT, RIGHT) if side in label), "middle")
            for label in self.labels
        )
        return tuple(table[side] for side in sides)

    def to_dict(self) -> dict[str, Any]:
        """As a weights file keeps it, and ``Skeleton.of`` takes it again."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "labels": list(self.labels),
            "sigmas": list(self.sigmas),
            "edges": [list(edge) for edge in self.edges],
        }

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> "Skeleton":
        """From a table of plain values. Only ``joints`` are needed; ``edges`` are pairs of names or
        numbers. Raises UsageError where it does not go together."""
        name = str(table.get("name", "custom"))
        try:
            joints = tuple(map(str, table["joints"]))
            labels = tuple(map(str, table.get("labels", joints)))
            sigmas = table.get("sigmas") or [_sigma(joint) for joint in joints]
            edges = table.get("edges")
            pairs = _usual_edges(joints) if edges is None else [_numbers(e, labels) for e in edges]
            sizes = tuple(map(float, sigmas))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"skeleton {name}", f"lacks or misstates {error}") from None
        if len(labels) != len(joints):
            raise UsageError(f"skeleton {name}", f"{len(labels)} labels for {len(joints)} joints")
        return cls(name, labels, joints, sizes, tuple(pairs))


@cache
def skeletons() -> dict[str, Skeleton]:
    """Every skeleton of the table, by name."""
    return {name: Skeleton.of({"name": name, **entry}) for name, entry in _read_table().items()}


def skeleton(name: str) -> Skeleton:
    """The skeleton of that name; UsageError names the nearest otherwise."""
    known = skeletons()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise UsageError(name, "is no skeleton", hint)


def read_skeleton(path: Path) -> Skeleton:
    """A skeleton from the user's own small TOML file: ``joints``, and if need be ``labels``,
    ``sigmas`` and ``edges`` (pairs of joint names).

    Raises InputError for a file that cannot be read as one.
    """
    if require_file(path).stat().st_size > MAX_FILE:
        raise InputError(path, "is too large for a skeleton", "give a TOML file of joint names")
    with plain(path, "is no TOML file", 'write joints = ["left_hand", ...]'):
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    try:
        return Skeleton.of({"name": path.stem, **table})
    except UsageError as error:
        raise InputError(path, error.problem, "see the README for an example") from None


def by_labels(labels: Sequence[str]) -> Skeleton:
    """The skeleton that a data set's own list of joint names tells: one of the table in any order,
    or a new one with those names.

    A new one has the unified meaning of the joints whose names are known.
    """
    plain_labels = [_plain(label) for label in labels]
    for one in skeletons().values():  # two sets may have the same joints in another order
        if list(one.labels) == plain_labels:
            return one
    for one in skeletons().values():
        named = dict(zip(one.labels, range(len(one)), strict=True))
        if set(plain_labels) == set(named) and len(plain_labels) == len(named):
            order = [named[label] for label in plain_labels]
            return Skeleton.of(
                {
                    "name": one.name,
                    "joints": [one.joints[number] for number in order],
                    "labels": plain_labels,
                    "sigmas": [one.sigmas[number] for number in order],
                }
            )
    return Skeleton.of(
        {"joints": [_unified_name(label) for label in plain_labels], "labels": plain_labels}
    )


def converter(source: Skeleton, target: Skeleton) -> np.ndarray:
    """For each joint of ``target`` its number in ``source``, or -1: int64 (K,).

    Raises UsageError where they share no joint.
    """
    places = {joint: number for number, joint in enumerate(source.joints) if joint}
    order = np.array([places.get(joint, -1) if joint else -1 for joint in target.joints])
    if (order < 0).all():
        joints = ", ".join(source.labels)
        raise UsageError(f"skeleton {source.name}", f"has no joint of {target.name}", joints)
    return order


def converted(poses: np.ndarray, source: Skeleton, target: Skeleton) -> np.ndarray:
    """Poses (..., K, 2 or 3) in the order of another skeleton; joints that ``source`` lacks are 0
    in all columns, as data sets write what is not labelled."""
    if source == target:
        return poses
    order = converter(source, target)
    taken = poses[..., np.maximum(order, 0), :].copy()
    taken[..., order < 0, :] = 0
    return taken


@cache
def _read_table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


def _sigma(joint: str) -> float:
    table = _read_table()[UNIFIED]
    known = dict(zip(table["joints"], table["sigmas"], strict=True))
    return known.get(joint, USUAL_SIGMA)


def _usual_edges(joints: Sequence[str]) -> list[tuple[int, int]]:
    """The unified lines of which both ends are there, without those that a nearer joint makes
    needless."""
    numbers = {joint: number for number, joint in enumerate(joints) if joint}
    edges = [edge for edge in _read_table()[UNIFIED]["edges"] if set(edge) <= numbers.keys()]
    if "neck" in numbers:
        edges = [
            edge for edge in edges if not {"left_ear", "right_ear"} & {edge[0]} or "eye" in edge[1]
        ]
    return [(numbers[one], numbers[other]) for one, other in edges]


def _numbers(edge: Sequence[Any], labels: Sequence[str]) -> tuple[int, int]:
    one, other = (end if isinstance(end, int) else labels.index(str(end)) for end in edge)
    return one, other


def _plain(label: str) -> str:
    return "_".join(str(label).lower().split())


def _unified_name(label: str) -> str:
    return label if label in _read_table()[UNIFIED]["joints"] else ""
