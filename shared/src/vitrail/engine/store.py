"""Where decisions and converted networks are kept, and for what exactly they hold."""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from vitrail.cache import cache_folder
from vitrail.engine.devices import cpu, threads
from vitrail.engine.network import Network
from vitrail.engine.output import Arrays
from vitrail.errors import MissingError

MAX_AGE = 60 * 24 * 3600  # s since an entry was last in use: older ones are of other versions
LIBRARIES = ("vitrail", "torch", "openvino", "onnxruntime")


def store_for(network: Network, batch: Arrays, device: str) -> Path | None:
    """The cache folder of this network with these weights and this code, for this shape of input on
    this machine; None for a network without a weights file, and without a home folder."""
    if network.weights is None:
        return None
    try:
        folder = cache_folder("engines")
    except MissingError:
        return None
    shapes = [[list(part.shape[1:]), str(part.dtype)] for part in batch]
    code = [_code(module) for module in ("vitrail.backbones", *network.code)]
    machine = [device, cpu(), threads()]
    facts = [network.name, network.weights.sha256, code, shapes, machine, _versions()]
    store = folder / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    with suppress(OSError):
        os.utime(store)  # in use
    return store


def remove_old(store: Path) -> None:
    """Removes the entries beside this one that nobody has used for ``MAX_AGE``."""
    oldest = time.time() - MAX_AGE
    with suppress(OSError):
        for entry in store.parent.iterdir():
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry, ignore_errors=True)


def version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _versions() -> list[str | None]:
    return [version(name) for name in LIBRARIES]


def _code(module: str) -> str:
    """The sha256 of a module's source, or of all files of a package; it is not imported."""
    spec = find_spec(module)
    assert spec and spec.origin, f"{module} is not a module of files"
    places = spec.submodule_search_locations
    files = sorted(Path(places[0]).rglob("*.py")) if places else [Path(spec.origin)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
