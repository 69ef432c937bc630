"""Files that come with a request: kept in a folder of their own for as long as they are read."""

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import HTTPException, UploadFile

from vitrail.sources import Source


@contextmanager
def received(file: UploadFile, suffixes: Collection[str] | None = None) -> Iterator[Source]:
    """An upload as a source; of its name nothing but the ending is used, and nothing is left.

    HTTP status 415 where the ending is none of ``suffixes`` (None: of letters and digits).
    """
    suffix = _suffix(file.filename or "")
    if suffixes is not None and suffix not in suffixes:
        raise HTTPException(415, f"send one of {', '.join(sorted(suffixes))}")
    with tempfile.TemporaryDirectory(prefix="vitrail-") as folder:
        path = Path(folder) / f"upload{suffix}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        yield Source(f"upload{suffix}", (path,))


def _suffix(name: str) -> str:
    """The ending in lower case, ``.nii.gz`` as a whole; empty where it is not an ordinary one."""
    ending = re.search(r"\.[a-z0-9]{1,12}(\.gz)?$", name.lower())
    return ending[0] if ending else ""
