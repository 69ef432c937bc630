"""A network by name, which is built only where PyTorch must compute or convert it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitrail.engine.output import Output, largest_error, typical_error
from vitrail.errors import InputError
from vitrail.weights.catalogue import Weights

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """What a system's ``networks`` room hands out.

    ``build`` makes the module in evaluation mode with its weights; it is called at most once, and
    never where a converted network lies in the cache. ``example`` is a batch of two valid inputs
    (2, ...), or a tuple of them for several inputs, from which exports learn the shapes. ``code``
    names the modules that hold the architecture: a converted network is used again only while they
    are the same. ``weights`` is None for a network that has no file; nothing is kept of it.
    ``ranks`` says that its outputs are the best of many candidates, so that engines are compared by
    their typical error (``output.typical_error``).
    """

    name: str
    build: "Callable[[], nn.Module]"
    example: np.ndarray | tuple[np.ndarray, ...]
    weights: Weights | None
    code: tuple[str, ...] = ()
    ranks: bool = False

    @cached_property
    def module(self) -> "nn.Module":
        try:
            return self.build().eval()
        except InputError as error:  # the source that meets it first is not to blame: name the file
            problem = f"the weights in {Path(error.subject).name}: {error.problem}"
            raise InputError(error.subject, problem, error.remedy) from error

    def error(self, output: Output, reference: Output, *, relative: bool = False) -> float:
        """How far one engine's answer is from another's."""
        measure = typical_error if self.ranks else largest_error
        return measure(output, reference, relative=relative)

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        """``example`` as the engine takes it: one array per input."""
        return self.example if isinstance(self.example, tuple) else (self.example,)
