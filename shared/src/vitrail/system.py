"""A package's manifest, and the discovery of every installed one."""

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from types import ModuleType

from vitrail.errors import MissingError, UsageError

GROUP = "vitrail.systems"


@dataclass(frozen=True)
class System:
    """What the core needs to know of a system before anything heavy is imported.

    The system's rooms (``pipeline``, ``training``, ``official``, …) are modules of ``package`` and
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
        return Path(import_module(self.package).__file__).parent

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


@cache
def systems() -> dict[str, System]:
    """Every installed system by name, in alphabetical order."""
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point.load() for point in found}


def find(name: str) -> System:
    """The installed system called ``name``; UsageError names the nearest one otherwise."""
    try:
        return systems()[name]
    except KeyError:
        near = difflib.get_close_matches(name, systems(), n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"installed: {', '.join(systems()) or 'none'}"
        )
        raise UsageError(name, "no system of this name is installed", hint) from None
