"""The catalogue of weights: what a system has, where it lies, and the one place that may use the
network."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from vitrail.cache import cache_folder
from vitrail.errors import InputError, MissingError, UsageError
from vitrail.sources import sha256
from vitrail.system import System
from vitrail.weights.header import read_metadata

CATALOGUE = "weights/catalogue.toml"


class Hub(BaseModel):
    """Where a published file lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    repo: str
    file: str


class Entry(BaseModel):
    """One weight file of a system: bundled (``file``) or on a hub (``hub``), with what is known of
    it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    architecture: str
    file: str | None = None
    hub: Hub | None = None
    sha256: str | None = None
    default: bool = False
    licence: str = ""
    trained_on: str = ""
    recipe: str | None = None
    config: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    measured_by: str = ""

    @model_validator(mode="after")
    def _lies_in_one_place(self) -> "Entry":
        if (self.file is None) == (self.hub is None):
            raise ValueError(f"{self.name} needs either a file or a hub")
        if self.file and not self.sha256:
            raise ValueError(f"{self.name} is bundled and needs its sha256")
        return self


@dataclass(frozen=True)
class Weights:
    """A weight file on this machine."""

    name: str
    path: Path
    sha256: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


def catalogue(system: System) -> list[Entry]:
    """All weights that ``system`` knows (none where it has no catalogue)."""
    path = system.folder / CATALOGUE
    if not path.is_file():
        return []
    try:
        return [
            Entry.model_validate(entry)
            for entry in tomllib.loads(path.read_text(encoding="utf-8"))["weights"]
        ]
    except (
        KeyError,
        TypeError,
        ValueError,
    ) as error:  # TOML's and pydantic's errors are ValueErrors
        reason = " ".join(str(error).split())
        raise InputError(
            path, f"is no catalogue of weights ({reason})", "install the package again"
        ) from error


def resolve(system: System, name: str | Path) -> Weights:
    """The weight file of a catalogued name, or of a path; InputError where a catalogued file is
    another than it was.

    Raises MissingError for a name that nobody knows and for a hub file that was not pulled.
    """
    entries = {entry.name: entry for entry in catalogue(system)}
    entry = entries.get(str(name))
    if entry is None:
        path = Path(name)
        if not _exists(path):
            known = f"known: {', '.join(entries)}" if entries else "give a file"
            raise MissingError(name, "neither weights of this name nor such a file", known)
        return _weights(path.name, path)
    path = hub_path(entry.hub) if entry.hub else system.folder / f"weights/{entry.file}"
    if not path.exists():
        remedy = (
            "install the package again"
            if entry.file
            else f"vitrail weights pull {system.name} {name}"
        )
        raise MissingError(name, "is not on this machine", remedy)
    weights = _weights(entry.name, path)
    _check_sum(entry, path, weights.sha256)
    return weights


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name; a null character in it
        return False


def _weights(name: str, path: Path) -> Weights:
    return Weights(name, path, sha256(path), read_metadata(path))


def _check_sum(entry: Entry, path: Path, found: str) -> None:
    if entry.sha256 and found != entry.sha256:
        remedy = "install the package again" if entry.file else "remove it and pull it again"
        raise InputError(path, "is not the catalogued file (its sha256 differs)", remedy)


def hub_path(hub: Hub) -> Path:
    """Where ``pull`` puts a hub's file."""
    return cache_folder("weights") / hub.repo.replace("/", "--") / hub.file


def pull(entry: Entry) -> Path:
    """Fetches a hub's file; MissingError without a network, InputError where another file than the
    catalogued came."""
    if entry.hub is None:
        raise UsageError(entry.name, "is bundled", "there is nothing to pull")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    path, folder = hub_path(entry.hub), cache_folder("weights") / entry.hub.repo.replace("/", "--")
    try:
        hf_hub_download(entry.hub.repo, entry.hub.file, local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MissingError(
            entry.name, f"could not be fetched ({type(error).__name__})", "check the network"
        ) from error
    try:
        _check_sum(entry, path, sha256(path))
    except InputError:
        path.unlink()
        raise
    return path
