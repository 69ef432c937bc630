"""The folders beside the checkout, which a clone alone does not have, and the mark of what needs
them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("VITRAIL_DATA", Path(__file__).parents[5] / "shared" / "data"))
PARITY = DATA.parent / "parity"


def needs(*folders: Path) -> Callable[[Callable], Callable]:
    """Marks a test as one that reads these folders; it is skipped where one is missing."""
    missing = [str(folder) for folder in folders if not folder.is_dir()]

    def mark(test: Callable) -> Callable:
        skip = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not here")
        return pytest.mark.data(skip(test))

    return mark
