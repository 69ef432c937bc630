"""What a network takes and gives: written beside its weights, read by training, the job and the
export alike; and the conventions by which tumour regions are numbered."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from vitrail.errors import InputError, UsageError
from vitrail.weights.header import as_dataclass

MAX_SIDE, MAX_NUMBER = 4096, 1e9  # of a window in voxels, of an intensity; more is damage
AXES = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
NORMALISATIONS = ("zscore", "zscore-nonzero", "minmax", "minmax-slice", "ct", "rgb", "none")


@dataclass(frozen=True)
class Plan:
    """The world as one network sees it.

    ``channels``: the inputs' names, in order (modalities, or red, green, blue). ``dims``: 2 or 3.
    ``orientation``: the axes' order and direction in NIfTI's letters (``RAS``), None for images.
    ``spacing``: mm per voxel along these axes, None: as it comes. ``patch``: the size of the
    windows that the network was trained on. ``normalisation``: one name for all channels:
    ``zscore`` (each case and channel by its own mean and deviation), ``zscore-nonzero`` (of the
    non-zero voxels, zeros stay), ``minmax`` (to 0..1; ``minmax-slice``: each slice along the last
    stored axis by itself, as SegFormer3D's BraTS files were trained), ``ct`` (clip to
    ``intensity``'s first two numbers, subtract the third, divide by the fourth), ``rgb`` (divide by
    255) or ``none``.

    ``labels``: the names of the output channels, in order. ``activation``: ``softmax`` where they
    exclude one another (the first is the background) or ``sigmoid`` where they overlap. ``values``:
    each channel's number in the label map, by default 0, 1, … for softmax and 1, 2, … for sigmoid.
    ``order``: for sigmoid, the channels in the order in which they are painted into the label map,
    later over earlier. ``instances``: the labels are background, interior and boundary of many
    alike objects, which are to be counted apart.
    """

    channels: tuple[str, ...]
    labels: tuple[str, ...]
    patch: tuple[int, ...]
    dims: int = 3
    orientation: str | None = "RAS"
    spacing: tuple[float, ...] | None = None
    normalisation: str = "zscore"
    intensity: tuple[float, float, float, float] | None = None
    activation: str = "softmax"
    values: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    instances: bool = False

    def __post_init__(self):
        """Fills in ``values`` and ``order``; raises InputError for parts that contradict each
        other."""
        first = int(self.activation == "sigmoid")
        if not self.values:
            object.__setattr__(self, "values", tuple(range(first, first + len(self.labels))))
        if not self.order:
            object.__setattr__(self, "order", tuple(range(len(self.labels))))
        faults = {
            f"{self.dims} dimensions, not 2 or 3": self.dims not in (2, 3),
            f"a patch of {len(self.patch)} sides in {self.dims} dimensions": len(self.patch)
            != self.dims,
            "a spacing of another number of sides": self.spacing is not None
            and len(self.spacing) != self.dims,
            f"the unknown normalisation {self.normalisation}": self.normalisation
            not in NORMALISATIONS,
            "no four numbers for CT": self.normalisation == "ct" and len(self.intensity or ()) != 4,
            f"the unknown activation {self.activation}": self.activation
            not in ("softmax", "sigmoid"),
            "another number of values than labels": len(self.values) != len(self.labels),
            "an order that is not one of the labels": sorted(self.order)
            != list(range(len(self.labels))),
            "instances without background, interior, boundary": self.instances
            and len(self.labels) != 3,
        }
        for fault, found in faults.items():
            if found:
                raise InputError("plan", f"has {fault}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], subject: object = "plan") -> "Plan":
        """The inverse of ``to_dict``, also after JSON; InputError names ``subject``."""
        known = {field.name for field in fields(cls)}
        try:
            wrong = [
                name for name, fits in KINDS.items() if name in values and not fits(values[name])
            ]
            if wrong:
                raise TypeError(f"{wrong[0]} is {values[wrong[0]]!r:.30}")
            return as_dataclass(cls, {k: v for k, v in values.items() if k in known})
        except (AttributeError, TypeError) as error:
            raise InputError(
                subject, f"has no complete plan ({error})", "give 'vitrail train's file"
            ) from error


def _names(values: Any) -> bool:
    return _list(values) and bool(values) and all(isinstance(value, str) for value in values)


def _numbers(values: Any, least: float, most: float, kinds: type | tuple = int) -> bool:
    return _list(values) and all(
        isinstance(v, kinds) and not isinstance(v, bool) and least <= v <= most for v in values
    )


def _list(values: Any) -> bool:
    return isinstance(values, list | tuple)


def _orientation(value: Any) -> bool:
    return isinstance(value, str) and sorted(AXES.get(part, 3) for part in value) == [0, 1, 2]


KINDS: Mapping[str, Callable[[Any], bool]] = {  # of what a file's plan may hold
    "channels": _names,
    "labels": _names,
    "patch": lambda value: _numbers(value, 1, MAX_SIDE),
    "orientation": lambda value: value is None or _orientation(value),
    "spacing": lambda value: value is None or _numbers(value, 1e-6, 1e6, (int, float)),
    "intensity": lambda value: (
        value is None or _numbers(value, -MAX_NUMBER, MAX_NUMBER, (int, float))
    ),
    "values": lambda value: _numbers(value, 0, 65535),
    "order": lambda value: _numbers(value, 0, 65535),
    "instances": lambda value: isinstance(value, bool),
}


@dataclass(frozen=True)
class Convention:
    """Brain tumour regions that overlap: which numbers of a label map make which region.

    The numbers differ between editions of the same challenge and cannot be told from a file, so
    they are named, never guessed. ``regions``: the numbers in a label map that each covers.
    ``values``: each region's own number when the regions are painted into a label map in
    ``order``, later over earlier.
    """

    regions: dict[str, tuple[int, ...]]
    values: tuple[int, ...]
    order: tuple[int, ...] = (1, 0, 2)


# All give the channels TC (core), WT (whole tumour) and ET (enhancing), in SegFormer3D's order.
CONVENTIONS = {
    # 1 oedema, 2 non-enhancing, 3 enhancing (Medical Segmentation Decathlon, task 1)
    "decathlon": Convention({"TC": (2, 3), "WT": (1, 2, 3), "ET": (3,)}, (2, 1, 3)),
    # 1 necrotic and non-enhancing, 2 oedema, 4 enhancing (BraTS up to 2022)
    "brats": Convention({"TC": (1, 4), "WT": (1, 2, 4), "ET": (4,)}, (1, 2, 4)),
    # the same with 3 for enhancing (BraTS from 2023 on)
    "brats2023": Convention({"TC": (1, 3), "WT": (1, 2, 3), "ET": (3,)}, (1, 2, 3)),
}


def renumber(plan: Plan, convention: str) -> Plan:
    """``plan`` with the numbers of ``convention``; UsageError for a network that does not give its
    regions."""
    wanted = CONVENTIONS[convention]
    if plan.activation != "sigmoid" or set(plan.labels) != set(wanted.regions):
        names = ", ".join(wanted.regions)
        raise UsageError(
            f"--convention {convention}",
            f"is for networks with the regions {names}",
            "leave it out",
        )
    regions = list(wanted.regions)
    values = dict(zip(regions, wanted.values, strict=True))
    order = tuple(plan.labels.index(regions[place]) for place in wanted.order)
    return replace(plan, values=tuple(values[name] for name in plan.labels), order=order)
