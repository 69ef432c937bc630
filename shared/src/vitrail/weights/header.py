"""What a weights file says of itself, read without its tensors and without torch."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vitrail.errors import InputError, UsageError, plain
from vitrail.sources import require_file

METADATA_KEY = "vitrail"
TRAINED = "use a file that 'vitrail train' wrote"
Kind = TypeVar("Kind")
MAX_HEADER = 100_000_000  # bytes, as safetensors itself has it


def read_metadata(path: Path) -> dict[str, Any]:
    """What ``save`` wrote beside the tensors; empty for files of others. InputError where it is
    damaged."""
    if not is_safetensors(require_file(path)):
        return {}
    with plain(path, "is damaged", "download or save it again"):
        header = read_header(path)
        metadata = json.loads((header.get("__metadata__") or {}).get(METADATA_KEY, "{}"))
    if not isinstance(metadata, dict):
        raise InputError(path, "its metadata is no table", TRAINED)
    return metadata


def read_header(path: Path) -> dict[str, Any]:
    """The JSON in front of the tensors; ValueError where it is none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(MAX_HEADER, path.stat().st_size):
            raise ValueError("a header longer than the file")
        header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is no table")
    return header


def is_safetensors(path: Path) -> bool:
    """By content, not by name: eight bytes of a length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:9] == b"{"


def as_dataclass(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """A frozen dataclass from a table of metadata; JSON's lists become the tuples that it has."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


@contextmanager
def complete(path: Path, system: str) -> Iterator[None]:
    """Around what takes a system's facts out of a file's metadata: what is missing or of another
    kind becomes one InputError."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, UsageError) as error:
        raise InputError(path, f"lacks what {system} needs ({error})", TRAINED) from error
