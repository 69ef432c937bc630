"""What a job is: one generator per source, which asks networks for rows and returns a result."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vitrail.errors import MAX_LINE, MAX_SUBJECT, VitrailError, one_line
from vitrail.sources import Source

Item = np.ndarray | tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Ask:
    """Items for one network; what the ``yield`` gives back are its rows, in the order of the items.

    An item has no batch axis. For a network of several inputs it is a tuple, and where a network
    has several outputs, a row is one. Rows are views into a batch: copy what is to be kept long.
    """

    network: str
    items: Sequence[Item]


@dataclass(frozen=True)
class Tell:
    """Something worth hearing before the source is done, as from live input; the job goes on at
    once."""

    value: Any


Steps = Generator[Ask | Tell, Any, Any]


class Engine(Protocol):
    """A network where it runs.

    Takes a batch (B, ...) for each of its inputs, and gives B rows: an array, a sequence of B
    things, or a tuple of these where it has several outputs. ``name`` says how it computes,
    ``weights`` is the sha256 of its file.
    """

    @property
    def name(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def weights(self) -> str: ...

    def __call__(self, *batch: np.ndarray) -> Any: ...


class Result(Protocol):
    """What came of one source: data only; a module ``writing`` turns it into files."""

    @property
    def damage(self) -> Sequence[str]:
        """What is wrong with the source, a sentence each."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The domain's own part of the row, as JSON values."""
        ...

    def cells(self) -> dict[str, str]:
        """The result as one row of the table for people."""
        ...


class Job(Protocol):
    """One system's work. ``options`` are JSON values: all that changes numbers beside the
    weights."""

    networks: Mapping[str, Engine]

    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...

    def process(self, source: Source) -> Steps:
        """The whole way of one source, from opening it to its result.

        Each error ends this source alone; ``with`` blocks are left wherever it ends.
        """
        ...


@dataclass(frozen=True)
class Failure:
    """A source that could not be done, and why, without its name."""

    source: str
    reason: str
    error: Exception


def failure(source: Source, error: Exception) -> Failure:
    """What ``error`` means for ``source``, in a sentence."""
    if isinstance(error, VitrailError):
        return Failure(source.name, error.reason, error)
    problem = f"unexpected {type(error).__name__}: {error}; --debug shows where"
    return Failure(source.name, one_line(problem, MAX_LINE - MAX_SUBJECT), error)
