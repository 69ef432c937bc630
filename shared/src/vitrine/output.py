"""Results that are written whole or not at all: to a temporary sibling first, then renamed."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vitrine.errors import InputError


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file's path beside ``path``; it becomes ``path`` when the block ends well, and is removed otherwise.

    Raises InputError where the place cannot be written, is full, or ``path`` is a folder.
    """
    path = Path(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``; it becomes ``path`` when the block ends well, and is removed otherwise.

    An earlier result of that name is moved aside first and removed last, so that two are never mixed.
    """
    path = Path(path)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            _swap(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def result_names(sources: Sequence[Path]) -> dict[Path, str]:
    """The name of each source's result: its file name, or where those collide its path below the common folder."""
    names = {source: source.resolve().name or "result" for source in sources}
    counts = Counter(name.casefold() for name in names.values())
    clashing = [source for source in sources if counts[names[source].casefold()] > 1]
    if clashing:
        root = os.path.commonpath([source.resolve().parent for source in clashing])
        names |= {source: os.path.relpath(source.resolve(), root) for source in clashing}
    return names


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    if not path.is_dir():
        raise InputError(path, "is a file, and a result folder should go there", "choose another output folder")
    old = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.old.", dir=path.parent))
    try:
        path.rename(old / path.name)
        try:
            new.rename(path)
        except OSError:
            (old / path.name).rename(path)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns what the operating system says into one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(path, f"cannot be written: {reason}", "choose another output folder or make room") from error


def _umask() -> int:
    """The process's own mask, which mkstemp ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
