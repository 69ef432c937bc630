"""A package's manifest, and the discovery of every installed one."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from vitrail.errors import MissingError, UsageError, one_line

if TYPE_CHECKING:
    from vitrail.engine import Network
    from vitrail.job import Job
    from vitrail.report import Chart, Table
    from vitrail.testing.parity import Comparison
    from vitrail.training.recipe import Recipe

GROUP = "vitrail.systems"


@dataclass(frozen=True)
class System:
    """What the core needs to know of a system before anything heavy is imported.

    The system's rooms (``job``, ``networks``, ``training``, …) are modules of ``package`` and
    are imported by ``room`` only when a verb needs them. ``job`` is the verb that turns sources
    into results, if the command has verbs.
    """

    name: str
    title: str
    summary: str
    package: str
    distribution: str
    command: str | None = None
    job: tuple[str, ...] = ()
    paper: str = ""

    @property
    def version(self) -> str:
        return version(self.distribution)

    @property
    def folder(self) -> Path:
        """Where the package's files lie (found without importing its rooms)."""
        return Path(import_module(self.package).__path__[0])

    def room(self, name: str) -> ModuleType:
        """Imports the module ``name`` of this system; MissingError where it, or a library that it
        needs, is absent."""
        module = f"{self.package}.{name}"
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name == module:
                raise MissingError(self.name, f"has no {name}", "see 'vitrail list'") from error
            raise MissingError(
                self.name,
                f"{name} needs the library {error.name}",
                f"install {self.distribution}[train] or {error.name}",
            ) from error


class PackageRoom(Protocol):
    """What ``import <package>`` brings: the manifest, and the whole system in one call."""

    system: System

    def load(self, weights: str | None = None, **options: Any) -> "Job": ...


class NetworksRoom(Protocol):
    """``<package>.networks``: bundled weights by default, or named ones, ready to run."""

    def load_networks(self, weights: Sequence[str] = ()) -> "Sequence[Network]": ...


class EvaluationRoom(Protocol):
    """``<package>.evaluation``: the tables and charts that the model card quotes."""

    def evaluate(
        self, recipe: "Recipe", weights: str | None = None
    ) -> "Sequence[Table | Chart]": ...


class TrainingRoom(Protocol):
    """``<package>.training``: the system's own part of a recipe, and what is learned by it."""

    Recipe: "type[Recipe]"
    Task: type


class ParityRoom(Protocol):
    """``<package>.parity``: every golden of this slug's format in a folder."""

    def check(self, folder: Path) -> "Sequence[Comparison]": ...


def systems() -> dict[str, System]:
    """Every installed system that can be imported, by name, in alphabetical order."""
    return {name: system for name, system in _found().items() if isinstance(system, System)}


def broken() -> dict[str, str]:
    """The installed systems that cannot be imported, each with the reason."""
    return {name: reason for name, reason in _found().items() if isinstance(reason, str)}


@cache
def _found() -> Mapping[str, System | str]:
    found: dict[str, System | str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:  # whatever is wrong with one, the others must work
            reason = f"{type(error).__name__}: {error}"
            found[point.name] = one_line(f"{point.value} does not import ({reason})", 120)
    return found


def find(name: str) -> System:
    """The installed system called ``name``; UsageError names the nearest one otherwise."""
    known = systems()
    if name in known:
        return known[name]
    if name in broken():
        raise MissingError(name, broken()[name], "install it again")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"installed: {', '.join(known) or 'none'}"
    raise UsageError(name, "no system of this name is installed", hint)
