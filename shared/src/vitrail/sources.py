"""What the user names on the command line, turned into paths; and the fingerprint of a source."""

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from vitrail.companions import companions
from vitrail.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)

RESULT_FILE = "result.json"
_ROW = {"source", "sha256", "status", "model", "version"}  # keys that every row of ours has
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Source:
    """One unit of work: a name, under which it is reported, and the files that it consists of.

    One path for most; several for a pair, a case of four modalities, the slices of a scan. None for
    what is not on disk. ``fault`` is why the name stands for nothing that could be opened: the
    runner makes a failure of it, and the others are done.
    """

    name: str
    paths: tuple[Path, ...] = ()
    fault: InputError | None = field(default=None, compare=False, kw_only=True)

    @classmethod
    def of(cls, path: Path | str) -> "Source":
        """A source of one file or folder, named as it was given."""
        return cls(str(path), (Path(path),))

    @property
    def path(self) -> Path:
        """The only path; ValueError where there are several or none."""
        (path,) = self.paths
        return path

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the content, taken once, when it is first asked for.

        Of one path as ``sha256`` has it; of several, and of one with ``companions``, of their lines
        ``name NUL digest LF``.
        """
        self.require_found()
        files = self._files()
        self.__dict__["_state"] = _look(files)
        if len(files) == 1:
            return sha256(self.path)
        return _combined((path.name, sha256(path)) for path in files)

    def require_found(self) -> None:
        """Raises ``fault`` where there is one."""
        if self.fault:
            raise self.fault

    def require_unchanged(self) -> None:
        """InputError where a file is another than it was when its fingerprint was taken."""
        if self.__dict__.get("_state", None) not in (None, _look(self._files())):
            raise InputError(
                self.name, "was changed while it was read", "try again when it is complete"
            )

    def _files(self) -> list[Path]:
        """The paths, and behind them what is read along with them."""
        beside = [one for path in self.paths for one in companions(path)]
        return [*self.paths, *dict.fromkeys(one for one in beside if one not in self.paths)]


def _look(files: Sequence[Path]) -> tuple:
    """Sizes and times of change, which tell whether a file was written to."""
    try:
        stats = [path.stat() for path in files]
    except (OSError, ValueError):
        return ()
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


def expand_sources(arguments: Sequence[str]) -> list[Source]:
    """Paths, glob patterns (``**`` crosses folders) and ``file://`` URLs as sources of one path,
    each once, in the order given.

    A name that exists is taken as it stands, even where it looks like a pattern. A plain path that
    does not exist is kept, for its reader to report. A pattern that matches nothing and an address
    of another scheme than ``file`` become a source with a ``fault``.
    """
    return list(dict.fromkeys(s for argument in arguments for s in _sources(str(argument))))


def open_folders(sources: Iterable[Source], inside: Callable[[Path], list[Path]]) -> list[Source]:
    """The sources with each folder replaced by the paths that ``inside`` finds there, each once.

    A folder of which ``inside`` raises InputError stays, with that ``fault``.
    """
    found: list[Source] = []
    for source in sources:
        if source.fault or not os.path.isdir(source.path):
            found.append(source)
            continue
        try:
            found += map(Source.of, inside(source.path))
        except InputError as error:
            found.append(Source(source.name, fault=error))
        except OSError as error:
            found.append(Source(source.name, fault=unreadable(source.name, error)))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Tree:
    """What lies below a folder: ``folders`` with their files, ``results`` of ours that were not
    entered, and ``faults`` of folders that cannot be read."""

    folders: dict[Path, list[Path]]
    results: list[Path]
    faults: dict[Path, InputError]

    @property
    def files(self) -> list[Path]:
        """Of all folders, one folder after the other."""
        return [path for files in self.folders.values() for path in files]


def walk(top: Path) -> Tree:
    """All folders at and below ``top``, each once however many links lead to it, in natural order.

    Hidden files and folders are left out, and so are the results of earlier calls, which lie below
    what they were made of where somebody wrote ``cases -o cases/results``.
    """
    tree = Tree({}, [], {})
    _walk(top, tree, set())
    return tree


def _walk(folder: Path, tree: Tree, seen: set[str]) -> None:
    place = os.path.realpath(folder)
    if place in seen:
        return
    seen.add(place)
    if is_result(folder):
        tree.results.append(folder)
        return
    try:
        entries = natural_sorted(e for e in folder.iterdir() if not e.name.startswith("."))
    except OSError as error:
        tree.faults[folder] = unreadable(folder, error)
        return
    tree.folders[folder] = [entry for entry in entries if not entry.is_dir()]
    for entry in entries:
        if entry.is_dir():
            _walk(entry, tree, seen)


def is_result(folder: Path) -> bool:
    """Whether a command of this house wrote ``folder`` as its result for a source."""
    try:
        row = json.loads((folder / RESULT_FILE).read_text())
        return isinstance(row, dict) and row.keys() >= _ROW
    except (OSError, ValueError, RecursionError):
        return False


def unreadable(subject: object, error: OSError | ValueError) -> InputError:
    """What the operating system said about a path, in a sentence."""
    problem = (getattr(error, "strerror", None) or str(error)).lower()
    return InputError(subject, f"cannot be read: {problem}", "check the path and its permissions")


def _sources(argument: str) -> list[Source]:
    try:
        return [Source.of(path) for path in _expand(argument)]
    except InputError as error:
        return [Source(argument, fault=error)]


def _expand(argument: str) -> list[Path]:
    if url := _SCHEME.fullmatch(argument):
        return [_local_path(argument, *url.groups())]
    path = Path(argument)
    if not glob.has_magic(argument) or _exists(path):
        return [path]
    if matches := natural_sorted(Path(match) for match in glob.glob(argument, recursive=True)):
        return matches
    raise InputError(argument, "matches no file", "check the pattern")


def _local_path(argument: str, scheme: str, rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if scheme.lower() != "file" or host not in ("", "localhost"):
        raise InputError(argument, "is not on this machine", "download it and give the file")
    return Path(unquote(slash + path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long a name; a null character in it
        return False


def natural_sorted(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order a person counts: ``frame2`` before ``frame10``."""
    return sorted(paths, key=lambda path: [_natural_key(part) for part in path.parts])


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for part in _DIGITS.split(name)
        if part
    ]


def require_file(path: Path) -> Path:
    """``path`` if a reader can open it; InputError says why not (missing, folder, empty, not
    permitted)."""
    try:
        if path.is_dir():
            raise InputError(path, "is a folder", "give a file")
        if path.exists() and not path.is_file():
            raise InputError(path, "is not an ordinary file", "copy its content to one")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(path, "is empty", "copy it again from where it came")
    except FileNotFoundError:
        raise InputError(path, "does not exist", "check the path") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    return path


def image_files(folder: Path) -> list[Path]:
    """The images directly in ``folder``, naturally sorted (an empty list where there is none)."""
    return natural_sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file; of a folder, that of the lines ``name NUL digest LF`` of its pictures,
    sorted by name."""
    if path.is_dir():
        return _combined((image.name, sha256(image)) for image in sorted(image_files(path)))
    with require_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _combined(digests: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f"{name}\0{digest}\n" for name, digest in digests)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
