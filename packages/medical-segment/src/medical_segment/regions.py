"""Brain tumour regions that overlap: which numbers of a label map make which region, by the
conventions in use.

The numbers differ between editions of the same challenge and cannot be told from a file, so they
are named, never guessed. All give the channels TC (core), WT (whole tumour) and ET (enhancing), in
SegFormer3D's order.
"""

from dataclasses import dataclass, replace

from medical_segment.plan import Plan
from vitrail.errors import UsageError


@dataclass(frozen=True)
class Convention:
    """``regions``: the numbers in a label map that each covers. ``values``: each region's own
    number when the regions are painted into a label map in ``order``, later over earlier."""

    regions: dict[str, tuple[int, ...]]
    values: tuple[int, ...]
    order: tuple[int, ...] = (1, 0, 2)


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
