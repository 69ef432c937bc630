"""Results that are written whole or not at all: to a temporary sibling first, then renamed."""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from vitrail.errors import InputError

HASH_LENGTH = 12


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary file's path beside ``path``; it becomes ``path`` when the block ends well, and is
    removed otherwise.

    Raises InputError where the place cannot be written, is full, or ``path`` is a folder.
    """
    with _room_for(path) as temporary:
        temporary.touch(exist_ok=False)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path``; it becomes ``path`` when the block ends well, and is
    removed otherwise.

    An earlier result of that name is moved aside first and removed last, so that two are never
    mixed. Raises InputError where the place cannot be written, is full, or ``path`` is a file.
    """
    with _room_for(path) as temporary:
        temporary.mkdir()
        try:
            yield temporary
            _swap(temporary, Path(path))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def passing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` for what is moved away before the block ends, which takes
    the folder with it. Raises as ``atomic_folder``."""
    with _room_for(path) as temporary:
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def result_names(
    sources: Sequence[Path], owned: Callable[[int, str], bool | None] = lambda number, name: None
) -> list[str]:
    """A name for each source's result that no other has: its file name, in front of it the folders
    where names collide, behind it a hash of its path where they still do.

    ``owned(number, name)`` tells whose the result is that already lies under ``name``: that of
    source ``number`` (True), another's (False), or none (None). A source keeps the name that it
    has, and never takes another's. Compared without case, since some file systems do not know it.
    A link has its own name, not its target's.
    """
    choices = _choices([Path(os.path.abspath(source)) for source in sources])
    names: dict[int, str] = {}
    taken: set[str] = set()
    for held in (True, None):
        for number, wanted in enumerate(choices):
            if number in names:
                continue
            free = (
                name
                for name in wanted
                if name.casefold() not in taken and owned(number, name) is held
            )
            if name := next(free, None if held else wanted[-1]):
                names[number] = name
                taken.add(name.casefold())
    return [names[number] for number in range(len(choices))]


def _choices(files: Sequence[Path]) -> list[list[str]]:
    """Names for each file, the wanted one first and the one that nobody else can have last."""
    counts = Counter(file.name.casefold() for file in files)
    clashing = [file.parent for file in files if counts[file.name.casefold()] > 1]
    root = Path(os.path.commonpath(clashing)) if clashing else Path()
    choices = []
    for file in files:
        name = file.name or "result"
        parent = f"{file.parent.name}-{name}" if file.parent.name else name
        digest = hashlib.sha256(os.fsencode(file)).hexdigest()[:HASH_LENGTH]
        clashes = counts[file.name.casefold()] > 1
        first = "-".join(file.relative_to(root).parts) or name if clashes else name
        choices.append([first, parent, name, f"{name}-{digest}"])
    return choices


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    if not path.is_dir():
        raise InputError(
            path, "is a file, and a result folder should go there", "choose another output folder"
        )
    old = _sibling(path)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def _sibling(path: Path) -> Path:
    """A new hidden name beside ``path``, on the same file system."""
    return path.parent / f".{path.name[:40]}.{uuid4().hex[:12]}"


@contextmanager
def _room_for(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``, which is made if need be and goes again where
    nothing came of it.

    Turns what the operating system says into one sentence about ``path``.
    """
    path = Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield _sibling(path)
        finally:
            for folder in made:
                with suppress(OSError):  # not empty, since all went well
                    folder.rmdir()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            path, f"cannot be written: {reason}", "choose another output folder or make room"
        ) from error
