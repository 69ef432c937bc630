"""What a weights file says of itself, read without its tensors and without torch."""

import json
from pathlib import Path
from typing import Any

from vitrail.errors import InputError
from vitrail.sources import require_file

METADATA_KEY = "vitrail"
MAX_HEADER = 100_000_000  # bytes, as safetensors itself has it


def read_metadata(path: Path) -> dict[str, Any]:
    """What ``save`` wrote beside the tensors; empty for files of others. InputError where it is
    damaged."""
    if not is_safetensors(require_file(path)):
        return {}
    try:
        header = read_header(path)
        metadata = json.loads((header.get("__metadata__") or {}).get(METADATA_KEY, "{}"))
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            path, f"is damaged ({type(error).__name__})", "download or save it again"
        ) from error
    if not isinstance(metadata, dict):
        raise InputError(path, "its metadata is no table", "use a file that 'vitrail train' wrote")
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
