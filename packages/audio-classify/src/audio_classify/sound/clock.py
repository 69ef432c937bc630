"""When a recording was made: what its own chunks say, else its name."""

import re
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO

MAX_TEXT = 1 << 16  # bytes of a chunk that are looked at
ORIGINATION = 320  # bytes of a `bext` chunk before its date and time (EBU Tech 3285)
YEARS = range(2000, 2101)  # a recorder whose clock was never set says 1970
_NAME = re.compile(r"(?<!\d)((?:19|20)\d{6})[_T-]?(\d{6})(?!\d)")
_UNIX_NAME = re.compile(r"[0-9A-F]{8}")
_AUDIOMOTH = re.compile(
    rb"Recorded at (\d\d:\d\d:\d\d)(?:\.\d+)? (\d\d/\d\d/\d{4}) \(UTC(?:([+-]\d+)(?::(\d\d))?)?\)"
)
_GUANO = re.compile(rb"^Timestamp:\s*(\S+(?: \S+)?)\s*$", re.MULTILINE)
_DATE = re.compile(rb"(\d{4})[-_:/ .](\d\d)[-_:/ .](\d\d)(\d\d)[-_:/ .](\d\d)[-_:/ .](\d\d)")


def recorded_at(path: Path) -> datetime | None:
    """The moment of a file's first sample: by its GUANO chunk, AudioMoth's comment, `bext`, or a
    name like 20240518_043000 or AudioMoth's old hexadecimal seconds. With a time zone where it
    tells one; None where nothing tells a time of this century."""
    chunks = _chunks(path)
    readers = (("guan", _guano), ("LIST", _audiomoth), ("bext", _bext))
    for name, read in readers:
        with suppress(ValueError, OverflowError):
            found = read(chunks.get(name, b""))
            if found and found.year in YEARS:
                return found
    with suppress(ValueError, OverflowError):
        found = _name(path.stem)
        if found and found.year in YEARS:
            return found
    return None


def _guano(data: bytes) -> datetime | None:
    match = _GUANO.search(data)
    return datetime.fromisoformat(match[1].decode("ascii", "replace")) if match else None


def _audiomoth(data: bytes) -> datetime | None:
    match = _AUDIOMOTH.search(data)
    if not match:
        return None
    found = datetime.strptime(f"{match[1].decode()} {match[2].decode()}", "%H:%M:%S %d/%m/%Y")
    hours, minutes = int(match[3] or 0), int(match[4] or 0)
    offset = timedelta(
        hours=hours, minutes=-minutes if (match[3] or b"").startswith(b"-") else minutes
    )
    return found.replace(tzinfo=timezone(offset) if offset else UTC)


def _bext(data: bytes) -> datetime | None:
    match = _DATE.match(data[ORIGINATION:])
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    return datetime(year, month, day, hour, minute, second)


def _name(stem: str) -> datetime | None:
    if _UNIX_NAME.fullmatch(stem) and not stem.isdigit():
        return datetime.fromtimestamp(int(stem, 16), UTC)
    match = _NAME.search(stem)
    return datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S") if match else None


def _chunks(path: Path) -> dict[str, bytes]:
    """The chunks of a WAV or RF64 that may tell a time, wherever they lie."""
    found: dict[str, bytes] = {}
    with path.open("rb") as file:
        if not _is_wave(file):
            return found
        large, position = None, 12
        while len(head := _read(file, position, 8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name == b"ds64":
                large = struct.unpack("<Q", _read(file, position + 16, 8).ljust(8, b"\0"))[0]
            if name == b"data" and length == 0xFFFF_FFFF and large is not None:
                length = large
            key = name.decode("ascii", "replace")
            if key in ("guan", "LIST", "bext"):
                found[key] = found.get(key, b"") + _read(file, position + 8, min(length, MAX_TEXT))
            position += 8 + length + length % 2
    return found


def _is_wave(file: BinaryIO) -> bool:
    head = file.read(12)
    return head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
