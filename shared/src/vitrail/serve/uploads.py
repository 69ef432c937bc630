"""Files that come with a request: kept in a folder of their own for as long as they are read."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import HTTPException, UploadFile

from vitrail.sources import Source


@contextmanager
def received(file: UploadFile, suffixes: Collection[str]) -> Iterator[Source]:
    """An upload as a source; of its name nothing but a known ending is used, and nothing is left.

    HTTP status 415 where the ending is none of ``suffixes``.
    """
    suffix = Path(file.filename or "").suffix.lower()
    if suffix not in suffixes:
        raise HTTPException(415, f"send one of {', '.join(sorted(suffixes))}")
    with tempfile.TemporaryDirectory(prefix="vitrail-") as folder:
        path = Path(folder) / f"upload{suffix}"
        with path.open("wb") as copy:
            shutil.copyfileobj(file.file, copy)
        yield Source(f"upload{suffix}", (path,))
