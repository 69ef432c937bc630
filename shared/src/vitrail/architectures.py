"""A system's networks by name, each with the frozen dataclass of its options."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from torch import nn

from vitrail.errors import UsageError

Architecture = TypeVar("Architecture", bound=nn.Module)


def build(
    architectures: Mapping[str, tuple[Callable[..., Architecture], type]],
    name: str,
    options: Mapping[str, Any],
) -> Architecture:
    """The network ``name`` with fresh weights; options left out are the defaults of its dataclass.

    Raises UsageError for an architecture or an option that does not exist.
    """
    if name not in architectures:
        raise UsageError(name, "no such architecture", f"use one of {', '.join(architectures)}")
    network, config = architectures[name]
    known = [option.name for option in fields(config)]
    if unknown := sorted(options.keys() - set(known)):
        raise UsageError(name, f"has no option {unknown[0]}", f"its options: {', '.join(known)}")
    return network(config(**options))
