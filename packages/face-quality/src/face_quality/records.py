"""MXNet's recordio, the public form of MS1MV2 and other face sets, read without MXNet.

A file is a row of records: a magic number, a length whose three highest bits tell parts of a record
from whole ones, the content, zeros up to a multiple of four. A content begins with MXNet's image
header (a flag, a label, two ids); a flag above 0 counts labels that follow, of which the first is
the person. Records without a picture hold what InsightFace wrote about the set.
"""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vitrail.errors import InputError
from vitrail.say import warn

MAGIC = 0xCED7230A
HEADER = struct.Struct("<IfQQ")
LENGTH_BITS = 29
REMEDY = "give the .rec file of an aligned face set"


@dataclass(frozen=True)
class Record:
    """A picture in the file: whose it is, and where its bytes lie."""

    person: str
    start: int
    length: int


def records_of(path: Path) -> Iterator[Record]:
    """The pictures of a file in their order; InputError where it is none, damaged or cut short."""
    in_parts = 0
    with path.open("rb") as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        while at < size:
            file.seek(at)
            magic, word = struct.unpack("<II", _exactly(file.read(8), 8, path))
            if magic != MAGIC:
                raise InputError(path, f"is not recordio, or damaged at byte {at}", REMEDY)
            part, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
            if at + 8 + length > size:
                raise InputError(path, f"is cut short in the record at byte {at}", REMEDY)
            start, at = at + 8, at + 8 + length + -length % 4
            if part:  # its picture is not in one piece
                in_parts += part == 1
            elif length >= HEADER.size:
                flag, label, _, _ = HEADER.unpack(file.read(HEADER.size))
                before = HEADER.size + 4 * flag
                if flag and length >= before:
                    (label,) = struct.unpack("<f", file.read(4))
                if length > before and label >= 0:
                    yield Record(f"{label:.0f}", start + before, length - before)
    if in_parts:
        warn("face-quality", f"{path.name}: {in_parts} pictures stored in parts, left out")


def read_record(path: Path, start: int, length: int) -> np.ndarray:
    """The picture whose bytes lie there, uint8 RGB (H, W, 3); InputError where they are none."""
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(length)
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
            return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(path, f"holds a damaged picture at byte {start}", REMEDY) from error


def _exactly(content: bytes, count: int, path: Path) -> bytes:
    if len(content) < count:
        raise InputError(path, "is cut short in its last record", REMEDY)
    return content
