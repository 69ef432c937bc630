"""Files that mean something only together: a header and its data, the parts of a shapefile."""

import re
from collections.abc import Iterator
from pathlib import Path

_SHAPES = (".shx", ".dbf", ".prj", ".cpg")
_NUMBERS = ("", ".img", ".dat", ".raw", ".bil", ".bip", ".bsq", ".cube", ".sli")
_MAX_HEADER = 1_000_000  # bytes
# What names the file of numbers in a header of ENVI, MetaImage and NRRD
_ENVI = re.compile(r"^\s*data file\s*=\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_META = re.compile(r"^\s*ElementDataFile\s*=\s*(.+?)\s*$", re.MULTILINE)
_NRRD = re.compile(r"^data ?file:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE)
_PLACED = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".jp2")  # by a world file
_ANALYZE = (b"\x5c\x01\0\0", b"\0\0\x01\x5c")  # the length of such a header


def companions(path: Path) -> list[Path]:
    """The files beside ``path`` without which it cannot be read, or can only be read otherwise, in
    the order of their names; none for most files and for a folder.

    They are those of ENVI (header and data, whichever is named), Analyze and NIfTI pairs, MetaImage
    and NRRD with their data apart, shapefiles, and the world file of an image.
    """
    try:
        return sorted({one for one in _beside(path) if one != path and one.is_file()})
    except (OSError, ValueError):  # whose reader says it better
        return []


def world_file(path: Path) -> Path | None:
    """The file beside an image that says where it lies: ``.pgw``, ``.pngw`` or ``.wld`` for
    ``.png``, and so on; None where there is none, and for what takes no such file."""
    suffix = path.suffix.lower()
    if suffix not in _PLACED:
        return None
    names = (f".{suffix[1]}{suffix[-1]}w", f"{suffix}w", ".wld")
    return next((one for one in _variants(path, names) if one.is_file()), None)


def _beside(path: Path) -> Iterator[Path]:
    suffix = path.suffix.lower()
    if world := world_file(path):
        yield world
    if suffix == ".shp":
        yield from _variants(path, _SHAPES)
    elif suffix == ".mhd":
        yield from _listed(path, _META)
    elif suffix == ".nhdr":
        yield from _listed(path, _NRRD)
    elif suffix == ".hdr":
        if _is_envi(path):
            yield from _listed(path, _ENVI)
            yield from _variants(path, _NUMBERS)
            yield path.with_name(f"{path.stem}_img")
        elif _is_analyze(path):
            yield from _variants(path, (".img",))
    else:
        known = _is_either if suffix == ".img" else _is_envi
        for header in {*_variants(path, (".hdr",)), path.with_name(f"{path.name}.hdr")}:
            if header.is_file() and known(header):
                yield header


def _variants(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for suffix in suffixes:
        yield from (path.with_suffix(suffix), path.with_suffix(suffix.upper()))


def _listed(header: Path, named: re.Pattern[str]) -> Iterator[Path]:
    """The files that a header names on its line, or behind the word LIST line by line; none in
    another folder, which no reader of ours follows."""
    text = _start(header, _MAX_HEADER).decode("utf-8", "replace")
    if found := named.search(text):
        is_list = found[1].upper().startswith("LIST")
        names = text[found.end() :].splitlines() if is_list else [found[1]]
        plain = [name.strip() for name in names if Path(name.strip()).name == name.strip()]
        yield from (header.parent / name for name in plain if name)


def _is_envi(path: Path) -> bool:
    return _start(path, 8).removeprefix(b"\xef\xbb\xbf").startswith(b"ENVI")


def _is_analyze(path: Path) -> bool:
    return _start(path, 4) in _ANALYZE


def _is_either(path: Path) -> bool:
    return _is_envi(path) or _is_analyze(path)


def _start(path: Path, length: int) -> bytes:
    with path.open("rb") as file:
        return file.read(length)
