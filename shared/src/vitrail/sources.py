"""What the user names on the command line, turned into paths; and the fingerprint of a source."""

import glob
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

from vitrail.errors import InputError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_DIGITS = re.compile(r"(\d+)")


def expand_sources(arguments: Sequence[str]) -> list[Path]:
    """Paths, glob patterns (``**`` crosses folders) and ``file://`` URLs as paths, each once, in
    the order given.

    A name that exists is taken as it stands, even where it looks like a pattern. A plain path that
    does not exist is kept, for its reader to report. InputError where a pattern matches nothing or
    the scheme is another than ``file``.
    """
    return list(dict.fromkeys(path for argument in arguments for path in _expand(str(argument))))


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
        problem = getattr(error, "strerror", None) or str(error)
        raise InputError(
            path, f"cannot be read: {problem.lower()}", "check the path and its permissions"
        ) from error
    return path


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly in ``folder``, naturally sorted (an empty list where there is none)."""
    return natural_sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    )


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file; of a folder, that of the lines ``name NUL digest LF`` of its pictures,
    sorted by name."""
    if path.is_dir():
        lines = (f"{picture.name}\0{sha256(picture)}\n" for picture in sorted(picture_files(path)))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    with require_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
