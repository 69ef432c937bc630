"""The catalogue of weights, and the one audited module that may unpickle or use the network."""

import json
import pickle
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vitrine.errors import InputError, MissingError
from vitrine.output import atomic_file
from vitrine.preprocess.sources import require_file, sha256
from vitrine.system import System

CATALOGUE = "weights/catalogue.toml"
METADATA_KEY = "vitrine"
EXPANSION_LIMIT = 4  # an honest checkpoint stores its tensors uncompressed
BLOCK = 1 << 24  # elements looked at together, so that a check needs no second copy of a large tensor


class Hub(BaseModel):
    """Where a published file lies."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    repo: str
    file: str


class Entry(BaseModel):
    """One weight file of a system: bundled (``file``) or on a hub (``hub``), with what is known of it."""

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
        return [Entry.model_validate(entry) for entry in tomllib.loads(path.read_text()).get("weights", [])]
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise InputError(path, f"is no catalogue of weights ({str(error).splitlines()[0]})") from error


def resolve(system: System, name: str | Path) -> Weights:
    """The weight file of a catalogued name, or of a path; InputError where a bundled file is not the catalogued one.

    Raises MissingError for a name that nobody knows and for a hub file that was not pulled.
    """
    entries = {entry.name: entry for entry in catalogue(system)}
    entry = entries.get(str(name))
    if entry is None:
        path = Path(name)
        if not path.exists():
            known = f"known: {', '.join(entries)}" if entries else "give a file"
            raise MissingError(name, "neither weights of this name nor such a file", known)
        return _weights(path.name, path)
    path = system.folder / "weights" / entry.file if entry.file else hub_path(entry)
    if not path.exists():
        raise MissingError(name, "is not on this machine", f"vitrine weights pull {system.name} {name}")
    weights = _weights(entry.name, path)
    if entry.sha256 and weights.sha256 != entry.sha256:
        raise InputError(path, "is not the catalogued file (its sha256 differs)", "install the package again")
    return weights


def _weights(name: str, path: Path) -> Weights:
    require_file(path)
    return Weights(name, path, sha256(path), read_metadata(path))


def hub_path(entry: Entry) -> Path:
    """Where ``pull`` puts a hub's file."""
    from vitrine.cache import cache_folder

    return cache_folder("weights") / entry.hub.repo.replace("/", "--") / Path(entry.hub.file).name


def pull(entry: Entry) -> Path:
    """Fetches a hub's file; MissingError without a network or the library ``huggingface_hub``."""
    if entry.hub is None:
        raise MissingError(entry.name, "is bundled, there is nothing to pull")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    target = hub_path(entry)
    try:
        hf_hub_download(entry.hub.repo, entry.hub.file, local_dir=target.parent)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MissingError(entry.name, f"could not be fetched ({type(error).__name__})", "check the network") from error
    return target


def read_metadata(path: Path) -> dict[str, Any]:
    """What ``save`` wrote beside the tensors; empty for files of others."""
    if not _is_safetensors(path):
        return {}
    with _plain_errors(path), safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))


def read_state(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a weight file and the metadata that ``save`` wrote (empty for files of others).

    Takes safetensors and PyTorch's zip checkpoints; a dict under ``state_dict`` is unwrapped. Nothing in the file is
    ever executed. Raises InputError for a file that is damaged, no checkpoint, much larger inside than outside, or that
    holds NaN or infinity.
    """
    path = require_file(Path(path))
    state = _read_safetensors(path) if _is_safetensors(path) else _read_checkpoint(path)
    for name, tensor in state.items():
        if not _is_finite(tensor):
            raise InputError(path, f"holds NaN or infinity in {name}", "use another checkpoint of this training")
    return state, read_metadata(path)


def load_into(
    module: nn.Module, state: Mapping[str, Tensor], *, subject: object = "weights", assign: bool = False
) -> None:
    """Loads every tensor, strictly; ``assign`` takes the tensors themselves in place of copies.

    Raises InputError with the first three names and the count of what is missing, unexpected or of another shape.
    """
    own = module.state_dict()
    troubles = [
        ("missing", [name for name in own if name not in state]),
        ("unexpected", [name for name in state if name not in own]),
        ("of another shape", [name for name in own if name in state and own[name].shape != state[name].shape]),
    ]
    said = [f"{len(names)} {kind} ({', '.join(names[:3])})" for kind, names in troubles if names]
    if said:
        raise InputError(subject, f"does not fit this network: {'; '.join(said)}")
    module.load_state_dict(state, assign=assign)
    if assign:
        module.float()


def save(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, Any], dtype: torch.dtype = torch.float16
) -> None:
    """Writes safetensors with ``metadata`` as JSON, floating-point tensors as ``dtype``; whole or not at all."""
    tensors = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in state.items()
    }
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def _is_safetensors(path: Path) -> bool:
    """By content, not by name: eight bytes of a length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with _plain_errors(path), safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    _refuse_what_is_no_zip(path)
    with _plain_errors(path):
        _refuse_bombs(path)
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(path, "holds no state dict of tensors", "save model.state_dict() and give that file")
    for name, tensor in content.items():
        if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise InputError(path, f"claims more values than it stores ({name})", "do not trust this file")
    return dict(content)


def _refuse_what_is_no_zip(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(200)
    if start.startswith(b"PK\x03\x04"):
        return
    if start.startswith(b"version https://git-lfs"):
        raise InputError(path, "is a git-lfs pointer, not the file itself", "fetch it with 'git lfs pull'")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(path, "is a web page, not weights", "download the file itself")
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise InputError(path, "is a bare pickle, which can run code", "save it as safetensors")
    raise InputError(path, "is no weight file", "give safetensors or a PyTorch checkpoint")


def _refuse_bombs(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        inside = sum(member.file_size for member in archive.infolist())
    if inside > EXPANSION_LIMIT * path.stat().st_size + (1 << 20):
        raise InputError(path, f"would unpack to {inside >> 20} MB", "do not trust this file")


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    flat = tensor.reshape(-1)
    return all(bool(block.isfinite().all()) for block in flat.split(BLOCK))


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Whatever a reader says of a damaged file becomes one sentence, without its advice to lower the guard."""
    try:
        yield
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        problem = "holds more than tensors, and such a pickle can run code"
        raise InputError(path, problem, "save it as safetensors") from error
    except Exception as error:  # damaged archives raise nearly every kind there is
        raise InputError(path, f"is damaged ({type(error).__name__})", "download or save it again") from error
