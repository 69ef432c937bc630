"""Where things that can be made or fetched again are kept."""

import os
from pathlib import Path

from vitrine.errors import MissingError


def cache_folder(name: str) -> Path:
    """``$VITRINE_CACHE/name``, or ``~/.cache/vitrine/name``; it may not exist yet. MissingError without a home."""
    return Path(os.environ.get("VITRINE_CACHE") or _user_cache() / "vitrine") / name


def _user_cache() -> Path:
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:  # as in containers that run under a number nobody has
        raise MissingError("cache", "this account has no home folder", "name a folder in VITRINE_CACHE") from error
