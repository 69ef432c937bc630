"""Where things that can be made or fetched again are kept."""

import os
from pathlib import Path

from vitrail.errors import MissingError


def cache_folder(name: str) -> Path:
    """``$VITRAIL_CACHE/name``, or ``~/.cache/vitrail/name``; it may not exist yet. MissingError
    without a home."""
    return Path(os.environ.get("VITRAIL_CACHE") or _user_cache() / "vitrail") / name


def _user_cache() -> Path:
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:  # as in containers that run under a number nobody has
        raise MissingError(
            "cache", "this account has no home folder", "name a folder in VITRAIL_CACHE"
        ) from error
