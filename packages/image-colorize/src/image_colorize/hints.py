"""Hints: which colour at which place; and the files that hold them, one format for page, command,
batch, video and Python."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from PIL import Image

from vitrail.errors import InputError, plain
from vitrail.preprocess.image import FORMATS, check_size, read_image
from vitrail.sources import require_file

VERSION = 1
MAX_HINTS = 10_000
MAX_BYTES = 8 << 20
MAX_SECONDS = 1e6
OFFICIAL_SIDE = 224  # pixels that rows and columns of the release's files count
SUFFIX = ".hints.json"
COLOURFUL = 8  # 8-bit levels between channels, below which a reference has no colours
REMEDY = 'write {"version": 1, "hints": [{"x": 0.5, "y": 0.5, "rgb": [180, 70, 60]}]}'
_PAIR = re.compile(r"\s*(\d{1,6})[ \t,]+(\d{1,6})\s*")


@dataclass(frozen=True)
class Hint:
    """A colour, 8-bit sRGB, at a place in 0..1 from the upper left corner of the upright image.
    ``time`` in seconds places it in a film."""

    x: float
    y: float
    rgb: tuple[int, int, int]
    id: int | None = None
    time: float | None = None

    def to_dict(self) -> dict[str, Any]:
        place = {"x": self.x, "y": self.y, "rgb": list(self.rgb)}
        named = {"id": self.id, "time": self.time}
        return place | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class HintFile:
    """Hints, and the image for which they were made, where the file says it."""

    hints: tuple[Hint, ...]
    sha256: str | None = None
    width: int | None = None
    height: int | None = None

    def to_json(self) -> str:
        image = {"sha256": self.sha256, "width": self.width, "height": self.height}
        known = {name: value for name, value in image.items() if value is not None}
        content: dict[str, Any] = {"version": VERSION} | ({"image": known} if known else {})
        return json.dumps(content | {"hints": [hint.to_dict() for hint in self.hints]}, indent=1)


def read_hints(path: Path | str, colours: Path | str | None = None) -> HintFile:
    """A hint file: ours (JSON); the release's lines ``row col``, with their colours from the image
    ``colours``; or a sparse image whose pixels that are not transparent are the hints.

    InputError names the file, the hint's number and the reason.
    """
    path = require_file(Path(path))
    data = path.read_bytes()
    if len(data) > MAX_BYTES and not _is_image(data):
        raise InputError(path, "is too large for a hint file", f"keep to {MAX_HINTS} hints")
    if data.lstrip()[:1] in (b"{", b"["):
        return parse_hints(data, path)
    if _is_image(data):
        return HintFile(tuple(_sparse(path)))
    return HintFile(tuple(_official(data, path, colours)))


def parse_hints(data: bytes | str, subject: object) -> HintFile:
    """A hint file's JSON; errors name ``subject``."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(subject, "is not a hint file: no valid JSON", REMEDY) from error
    if not isinstance(content, dict):
        raise InputError(subject, "is not a hint file", REMEDY)
    if content.get("version") != VERSION:
        problem = f"has the version {content.get('version')!r:.20}, which is not known"
        raise InputError(subject, problem, f"this program reads version {VERSION}")
    entries = content.get("hints")
    if not isinstance(entries, list):
        raise InputError(subject, "holds no list of hints", REMEDY)
    image = content.get("image")
    image = image if isinstance(image, dict) else {}
    found = parse_entries(entries, subject)
    return HintFile(found, *(image.get(name) for name in ("sha256", "width", "height")))


def parse_entries(entries: Sequence[Any], subject: object) -> tuple[Hint, ...]:
    """Hints as JSON has them; InputError names the first that is none, by its number from 1."""
    if len(entries) > MAX_HINTS:
        raise InputError(subject, f"holds {len(entries)} hints", f"keep to {MAX_HINTS}")
    return tuple(_hint(entry, number, subject) for number, entry in enumerate(entries, start=1))


def _hint(entry: Any, number: int, subject: object) -> Hint:
    def refuse(problem: str, remedy: str = "") -> InputError:
        return InputError(subject, f"hint {number} {problem}", remedy)

    if not isinstance(entry, Mapping):
        raise refuse("is not a mapping", REMEDY)
    for name in ("x", "y"):
        value = entry.get(name)
        if not _is_number(value) or not math.isfinite(value):
            raise refuse(f"has no number {name}", "x and y are 0..1 of the image's size")
        if not 0 <= value <= 1:
            raise refuse(f"lies outside: {name} is {value:.6g}", "x and y are 0..1")
    rgb = entry.get("rgb")
    if not (isinstance(rgb, list | tuple) and len(rgb) == 3 and all(map(_is_level, rgb))):
        raise refuse("has no colour", "rgb is three whole numbers of 0..255")
    time = entry.get("time")
    if time is not None and not (_is_number(time) and 0 <= time <= MAX_SECONDS):
        raise refuse("has no valid time", "time is in seconds from the film's beginning")
    ident = entry.get("id")
    if ident is not None and not (isinstance(ident, int) and not isinstance(ident, bool)):
        raise refuse("has an id that is not a whole number")
    red, green, blue = (int(level) for level in rgb)
    return Hint(float(entry["x"]), float(entry["y"]), (red, green, blue), ident, time)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_level(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 255 and float(value).is_integer()


def _is_image(data: bytes) -> bool:
    return data[:8] == b"\x89PNG\r\n\x1a\n" or data[:4] in (b"RIFF", b"II*\0", b"MM\0*")


def _sparse(path: Path) -> Iterable[Hint]:
    """Each pixel with colour in it of an image that is transparent elsewhere."""
    with plain(path, "is damaged or cut short"), Image.open(path, formats=FORMATS) as image:
        check_size(path, image)
        if not image.has_transparency_data:
            problem = "is an image without transparency, not a hint image"
            raise InputError(path, problem, "make it transparent where there is no hint")
        values = np.asarray(image.convert("RGBA"))
    rows, columns = np.nonzero(values[..., 3] > 127)
    if len(rows) > MAX_HINTS:
        raise InputError(path, f"holds {len(rows)} hints", f"keep to {MAX_HINTS}")
    height, width = values.shape[:2]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        red, green, blue = values[row, column, :3].tolist()
        yield Hint((column + 0.5) / width, (row + 0.5) / height, (red, green, blue))


def _official(data: bytes, path: Path, colours: Path | str | None) -> Iterable[Hint]:
    """Lines ``row col``: the upper left pixels of 2x2 cells at 224x224."""
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    if len(lines) > MAX_HINTS:
        raise InputError(path, f"holds {len(lines)} hints", f"keep to {MAX_HINTS}")
    pairs = [_PAIR.fullmatch(line) for line in lines]
    for number, pair in enumerate(pairs, start=1):
        if pair is None:
            raise InputError(path, f"line {number} is not a hint", "write JSON, or 'row col' lines")
        if max(int(pair[1]), int(pair[2])) >= OFFICIAL_SIDE:
            raise InputError(path, f"hint {number} lies outside", "rows and columns are 0..223")
    if colours is None:
        problem = "says where the hints are, but not their colours"
        raise InputError(path, problem, "name an image that has them with --colours")
    image = read_image(colours)
    if int((image.max(-1).astype(int) - image.min(-1)).max()) < COLOURFUL:
        raise InputError(colours, "has no colours to take hints from", "give a colour image")
    small = np.asarray(
        Image.fromarray(image).resize((OFFICIAL_SIDE, OFFICIAL_SIDE), Image.Resampling.BILINEAR)
    )
    for pair in pairs:
        assert pair is not None
        row, column = (int(part) // 2 * 2 for part in pair.groups())
        cell = small[row : row + 2, column : column + 2].reshape(-1, 3).mean(0)
        red, green, blue = np.rint(cell).astype(int).tolist()
        place = (column + 1) / OFFICIAL_SIDE, (row + 1) / OFFICIAL_SIDE
        yield Hint(*place, (red, green, blue))


def numbered(hints: Sequence[Hint]) -> tuple[Hint, ...]:
    """The hints with an id each that no other has, theirs where they have one."""
    taken = {hint.id for hint in hints}
    free = (number for number in range(1, len(hints) + len(taken) + 2) if number not in taken)
    return tuple(hint if hint.id is not None else replace(hint, id=next(free)) for hint in hints)


def beside(image: Path) -> Path | None:
    """The hint file that lies beside an image: ``NAME.hints.json``, with or without its ending."""
    for name in (image.name + SUFFIX, image.stem + SUFFIX):
        if (found := image.with_name(name)).is_file():
            return found
    return None
