"""The label map of tumour regions under the numbers that the user wants."""

from dataclasses import replace

from medical_segment.plan import Plan
from medical_segment.regions import CONVENTIONS
from vitrail.errors import UsageError


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
