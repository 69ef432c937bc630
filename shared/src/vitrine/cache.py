"""Where things that can be made or fetched again are kept."""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """``$VITRINE_CACHE/name``, or ``~/.cache/vitrine/name``; it may not exist yet."""
    root = (
        os.environ.get("VITRINE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrine"
    )
    return Path(root) / name
