"""ENVI: a text header and a bare file of numbers, whose sizes are compared before one is read."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.files.cube import Cube, in_nanometres
from vitrail.errors import InputError
from vitrail.sources import require_file

MAGIC = b"ENVI"
# The first bytes of files that are no bare numbers, whatever header has their name.
OTHERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MATLAB", b"\x89HDF", b"\x93NUMPY")
MAX_HEADER = 20_000_000  # bytes
TYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
SUFFIXES = ("", ".img", ".dat", ".raw", ".bil", ".bip", ".bsq", ".cube", ".sli")
AXES = {"bsq": (1, 2, 0), "bil": (0, 2, 1), "bip": (0, 1, 2)}  # stored axes to rows, columns, bands
UNREAD = ("file compression", "major frame offsets", "minor frame offsets")  # unless 0
PER_BAND = ("data gain values", "data offset values")
WGS84 = ("wgs-84", "wgs84", "wgs 84")
Fields = dict[str, str]


def header_of(path: Path) -> Path | None:
    """The ENVI header of a file that is one or lies beside one; None where there is none, and for a
    file that is of another kind by its own first bytes."""
    start = _start(path)
    if start.lstrip(b"\xef\xbb\xbf").startswith(MAGIC):
        return path
    if start.startswith(OTHERS):
        return None
    beside = (path.with_suffix(".hdr"), path.with_suffix(".HDR"), Path(f"{path}.hdr"))
    return next((p for p in beside if p != path and path.is_file() and _is_header(p)), None)


def data_of(header: Path, fields: Fields) -> Path:
    """The file of numbers of a header: beside it under its name, with one of the usual endings.
    InputError where there is none, or where the header names one in another folder."""
    if named := fields.get("data file"):
        if Path(named).name != named or "\\" in named:
            problem = f"names a data file elsewhere ({named[:30]})"
            raise InputError(header, problem, "put it beside the header and remove that line")
        if not (header.parent / named).is_file():
            raise InputError(header, f"names {named[:40]}, which is not there", "put it beside it")
        return header.parent / named
    stem = header.with_suffix("")
    names = [Path(f"{stem}{suffix}") for suffix in (*SUFFIXES, *map(str.upper, SUFFIXES[1:]))]
    names += [stem.with_name(f"{stem.name}_img")]
    found = next((name for name in names if name != header and name.is_file()), None)
    if found is None:
        problem = "is a header without its data file"
        raise InputError(header, problem, f"put {stem.name}.img beside it")
    return found


def open_envi(path: Path, header: Path) -> Cube:
    """The cube of a header; ``path`` is what the user gave, header or data."""
    fields = read_header(header)
    data = path if path != header else data_of(header, fields)
    columns, rows, bands = (_whole(header, fields, key) for key in ("samples", "lines", "bands"))
    offset = _whole(header, fields, "header offset", 0)
    dtype, notes = _dtype(header, fields)
    interleave = fields.get("interleave", "bsq").lower()
    if interleave not in AXES:
        raise InputError(header, f"has the interleave {interleave[:20]}", "use bsq, bil or bip")
    if "interleave" not in fields:
        notes.append("the header names no interleave: read as bsq")
    for key in UNREAD:
        if fields.get(key, "0").strip("0, {}"):
            raise InputError(header, f"has {key}, which is not read", "save it plain")
    notes += [f"the header's {key} are not applied" for key in PER_BAND if key in fields]
    wanted = offset + rows * columns * bands * dtype.itemsize
    found = require_file(data).stat().st_size
    if found < wanted:
        problem = f"has {found} bytes where its header describes {wanted}"
        raise InputError(data, problem, "copy it again, or correct the header")
    damage = ()
    if found > wanted:
        damage = (f"{data.name} is {found - wanted} bytes longer than its header describes",)
    axes = AXES[interleave]
    sizes = (rows, columns, bands)
    stored = tuple(sizes[axes.index(n)] for n in range(3))
    crs, transform, more = _place(fields)

    def read(part: slice) -> np.ndarray:
        # Mapped anew each time, so that what was read leaves the memory again.
        return np.array(np.memmap(data, dtype, "r", offset, stored).transpose(axes)[part])

    return Cube(
        str(path),
        sizes,
        read,
        _wavelengths(fields, bands, notes),
        _bad(fields, bands, notes),
        _ignored(fields, notes),
        crs,
        transform,
        damage,
        (*notes, *more),
    )


def read_header(path: Path) -> Fields:
    """The header's fields, names in lower case; braces taken off. InputError where it is none."""
    if path.stat().st_size > MAX_HEADER:
        raise InputError(path, "is too long for an ENVI header", "give the right file")
    text = path.read_text("utf-8", "replace")
    fields = {}
    for match in re.finditer(r"^([^=\n;{}]+)=[ \t]*(\{[^}]*\}|[^\n]*)", text, re.MULTILINE):
        fields[" ".join(match[1].lower().split())] = match[2].strip().strip("{}").strip()
    return fields


def classes_of(header: Path) -> tuple[dict[int, str], dict[int, tuple[int, int, int]]]:
    """Names and colours of an ENVI classification by class id; 0 is what has no class, and what
    is empty, "-" or cannot be read is left out."""
    fields = read_header(header)
    # Not ``listed``: an empty name counts.
    names = [" ".join(part.split()) for part in fields.get("class names", "").split(",")]
    parts = [_number(text) for text in listed(fields.get("class lookup", ""))]
    tones = [parts[n : n + 3] for n in range(0, len(parts) - 2, 3)]
    colours = {}
    for value, tone in enumerate(tones):
        red, green, blue = (int(p) if p is not None and 0 <= p < 256 else -1 for p in tone)
        if value and min(red, green, blue) >= 0:
            colours[value] = (red, green, blue)
    return {value: name for value, name in enumerate(names) if value and name.strip("-")}, colours


def listed(text: str) -> list[str]:
    return [part.strip() for part in text.replace("\n", " ").split(",") if part.strip()]


def _is_header(path: Path) -> bool:
    return _start(path).lstrip(b"\xef\xbb\xbf").startswith(MAGIC)


def _start(path: Path) -> bytes:
    """The first bytes; none of what cannot be read, as its reader will say."""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except (OSError, ValueError):
        return b""


def _whole(header: Path, fields: Fields, key: str, default: int | None = None) -> int:
    if key not in fields and default is not None:
        return default
    try:
        value = int(fields[key])
    except KeyError:
        raise InputError(header, f"says no {key}", "add the line to the header") from None
    except ValueError:
        value = -1
    if not (0 if default == 0 else 1) <= value < 2**31:
        raise InputError(header, f"says {key} = {fields[key][:30]}", "correct the header")
    return value


def _dtype(header: Path, fields: Fields) -> tuple[np.dtype, list[str]]:
    code, notes = _whole(header, fields, "data type"), []
    if code not in TYPES:
        raise InputError(header, f"has the data type {code}", "use real numbers")
    order = fields.get("byte order", "")
    if order not in ("0", "1"):
        if code != 1:
            notes.append("the header names no byte order: read as little-endian")
        order = "0"
    return np.dtype(("<", ">")[int(order)] + TYPES[code]), notes


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _ignored(fields: Fields, notes: list[str]) -> float | None:
    text = fields.get("data ignore value")
    value = _number(text)
    if text and value is None:
        notes.append(f"the header's data ignore value {text[:20]} is no number: not used")
    return value


def _wavelengths(fields: Fields, bands: int, notes: list[str]) -> tuple[float, ...] | None:
    values = [_number(text) for text in listed(fields.get("wavelength", ""))]
    if not values:
        return None
    numbers = [value for value in values if value is not None]
    if len(numbers) != bands:
        notes.append(f"the header has {len(numbers)} wavelengths for {bands} bands: not used")
        return None
    return in_nanometres(numbers, fields.get("wavelength units", ""), notes)


def _bad(fields: Fields, bands: int, notes: list[str]) -> tuple[int, ...]:
    """Bands that ``bbl`` gives a 0, which some write as 0.0."""
    values = [_number(text) for text in listed(fields.get("bbl", ""))]
    if values and len(values) != bands:
        notes.append(f"the header's bbl has {len(values)} entries for {bands} bands: not used")
        return ()
    if None in values:
        notes.append(f"the header's bbl has {values.count(None)} entries that are no number: kept")
    return tuple(number for number, value in enumerate(values) if value == 0)


def _place(fields: Fields) -> tuple[Any, Any, list[str]]:
    """Coordinate system and transform of ``map info``: name, a tied pixel (counted from 1), its
    easting and northing, the pixel's width and height, then what the projection needs."""
    info = listed(fields.get("map info", ""))
    if len(info) < 7:
        said = ["the header's map info is too short: not used"] if info else []
        return None, None, said
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.transform import Affine

    try:
        column, row, east, north, width, height = map(float, info[1:7])
        turned = next((t for t in info[7:] if t.lower().startswith("rotation")), "rotation=0")
        angle = float(turned.partition("=")[2])
    except ValueError:
        return None, None, ["the header's map info cannot be read: not used"]
    transform = Affine.identity()
    for step in (
        Affine.translation(east, north),
        Affine.rotation(angle),
        Affine.scale(width, -height),
        Affine.translation(1 - column, 1 - row),
    ):
        transform @= step
    try:
        if wkt := fields.get("coordinate system string"):
            return CRS.from_wkt(wkt), transform, []
        name = info[0].lower()
        if name == "utm" and len(info) > 8:
            south = info[8].lower().startswith("s")
            crs = CRS.from_epsg((32700 if south else 32600) + int(info[7]))
            return crs, transform, _datum(info[9:])
        if name.startswith("geographic"):
            return CRS.from_epsg(4326), transform, _datum(info[7:])
    except (CRSError, ValueError):
        pass
    return None, transform, [f"the header's map system {info[0][:30]} is not known: left out"]


def _datum(words: list[str]) -> list[str]:
    """A remark where map info, which has no whole coordinate system beside it, names no WGS 84."""
    named = next((word for word in words if "=" not in word), "")
    if named.lower() in WGS84:
        return []
    return [f"the header's datum {named[:20] or '(none)'} is taken for WGS 84"]
