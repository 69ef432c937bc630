"""A system's networks by name, each with the frozen dataclass of its options."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from torch import nn

from vitrail.errors import UsageError, one_line

Architecture = TypeVar("Architecture", bound=nn.Module)
MAX_SIZE = 1 << 16  # of any option
BUILDING = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def build(
    architectures: Mapping[str, tuple[Callable[..., Architecture], type]],
    name: str,
    options: Mapping[str, Any],
) -> Architecture:
    """The network ``name`` with fresh weights; options left out are the defaults of its dataclass.

    Raises UsageError for an architecture or an option that does not exist, and for values of which
    no network can be made, as a damaged weights file may hold them.
    """
    if name not in architectures:
        raise UsageError(name, "no such architecture", f"use one of {', '.join(architectures)}")
    if not isinstance(options, Mapping):
        raise UsageError(name, "has no table of options")
    network, config = architectures[name]
    known = [option.name for option in fields(config)]
    if unknown := sorted(options.keys() - set(known)):
        raise UsageError(name, f"has no option {unknown[0]}", f"its options: {', '.join(known)}")
    for option, value in options.items():
        if _largest(value) > MAX_SIZE:
            raise UsageError(name, f"{option} is above {MAX_SIZE}", "no network is so large")
    try:
        return network(config(**options))
    except BUILDING as error:
        problem = f"no network can be made of its options ({error or type(error).__name__})"
        raise UsageError(name, one_line(problem, 150)) from error


def _largest(value: Any) -> float:
    """The largest size in an option, its sign aside."""
    if isinstance(value, list | tuple):
        return max(map(_largest, value), default=0)
    return abs(value) if isinstance(value, int | float) else 0
