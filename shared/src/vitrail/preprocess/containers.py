"""What a sound file's own header says of its length, where libsndfile quietly trusts the file's."""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

MIN_REST = 4096  # bytes behind the declared sound; fewer are padding or another program's tag
_ENDLESS = range(0xFFFF_FF00, 0x1_0000_0000)  # lengths that a pipe writes, which cannot go back
_TAGS = (b"ID3", b"TAG", b"APET")  # appended to files of any kind
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True)
class Body:
    """The bytes of sound: ``declared`` by the header (None: it leaves that open, as it may), and
    ``present`` from their beginning to the end of the file.

    ``mend`` are header bytes, by their place, with which libsndfile reads to the end of the file;
    empty where the header may be believed.
    """

    declared: int | None
    present: int
    mend: Mapping[int, bytes] = field(default_factory=dict)

    def remarks(self, seconds: float) -> Iterator[str]:
        """What is wrong with the length, given the ``seconds`` that could be heard."""
        if self.declared is None:
            return
        declared = seconds * self.declared / max(1, self.present)
        if self.declared in _ENDLESS:
            yield f"the header does not say how long the sound is; {seconds:.1f} s were heard"
        elif self.mend and self.declared < self.present:
            yield f"the header declares {declared:.1f} s of sound; all {seconds:.1f} s were heard"
        elif declared > seconds + 0.1:
            yield f"the sound ends at {seconds:.1f} s of {declared:.1f} s declared"


class Mended(io.FileIO):
    """A file, read as if some of its bytes were others."""

    def __init__(self, path: Path, mend: Mapping[int, bytes]):
        super().__init__(path)
        self._mend = mend

    def readinto(self, buffer) -> int:  # what libsndfile calls through soundfile
        start = self.tell()
        count = super().readinto(buffer) or 0
        view = memoryview(buffer).cast("B")
        for offset, value in self._mend.items():
            for place, byte in enumerate(value, offset - start):
                if 0 <= place < count:
                    view[place] = byte
        return count


def read_body(path: Path) -> Body | None:
    """Where the sound of a WAV, RF64, Wave64, AIFF, AU or CAF file lies; None for all else and
    where no sound is found."""
    size = path.stat().st_size
    with path.open("rb") as file:
        readers = {
            b"RIFF": _read_riff,
            b"RIFX": _read_riff,
            b"RF64": _read_riff,
            b"riff": _read_w64,
            b"FORM": _read_aiff,
            b".snd": _read_au,
            b"dns.": _read_au,
            b"caff": _read_caf,
        }
        reader = readers.get(file.read(4))
        try:
            return reader(file, size) if reader else None
        except struct.error:  # the header itself is cut
            return None


def _read_riff(file: BinaryIO, size: int) -> Body | None:
    file.seek(0)
    name, form = struct.unpack("4s4x4s", file.read(12))
    if form != b"WAVE":
        return None
    order = ">" if name == b"RIFX" else "<"
    large = None  # where RF64 keeps its lengths of eight bytes
    for name, position, length in _chunks(file, size, 12, order + "4sI"):
        if name == b"ds64":
            large = position
        if name != b"data":
            continue
        if large and length == 0xFFFF_FFFF:
            (length,) = _unpack(file, large + 8, "<Q")
            mend = {large: struct.pack("<QQ", size - 8, size - position), large + 16: bytes(8)}
        else:  # the lengths of a file that was never closed, which libsndfile reads to its end
            mend = {4: struct.pack(order + "I", 8), position - 4: bytes(4)}
        return _body(file, size, position, length, mend)
    return None


def _read_w64(file: BinaryIO, size: int) -> Body | None:
    position = 40
    while position + 24 <= size:
        name, length = _unpack(file, position, "<16sQ")
        if name == _W64_DATA:
            mend = {16: struct.pack("<Q", size), position + 16: struct.pack("<Q", size - position)}
            return _body(file, size, position + 24, max(0, length - 24), mend)
        position += max(24, length + -length % 8)
    return None


def _read_aiff(file: BinaryIO, size: int) -> Body | None:
    common = None
    for name, position, length in _chunks(file, size, 12, ">4sI"):
        if name == b"COMM":
            common = position
        if name == b"SSND" and common:
            start = position + 8
            rest = min(size - position, 0xFFFF_FFFF)
            mend = {4: struct.pack(">I", min(size - 8, 0xFFFF_FFFF))}
            mend[position - 4] = struct.pack(">I", rest)
            return _body(file, size, start, max(0, length - 8), mend)
    return None


def _read_au(file: BinaryIO, size: int) -> Body | None:
    file.seek(0)
    order = ">" if file.read(4) == b".snd" else "<"
    start, length = _unpack(file, 4, order + "II")
    if length == 0xFFFF_FFFF:  # the format's own word for "to the end"
        return Body(None, size - start)
    return _body(file, size, start, length, {8: b"\xff" * 4})


def _read_caf(file: BinaryIO, size: int) -> Body | None:
    for name, position, length in _chunks(file, size, 8, ">4sq"):
        if name == b"data":
            start = position + 4
            if length == -1:
                return Body(None, size - start)
            mend = {position - 8: struct.pack(">q", size - position)}
            body = _body(file, size, start, max(0, length - 4), mend)
            # libsndfile refuses a cut CAF file, while it reads other cut ones as far as they go
            return replace(body, mend=mend) if length > size - position else body
    return None


def _body(file: BinaryIO, size: int, start: int, declared: int, mend: dict[int, bytes]) -> Body:
    present = size - start
    behind = start + declared + declared % 2
    open_end = declared + MIN_REST <= present and not _is_chunk(file, size, behind)
    return Body(declared, present, mend if open_end else {})


def _is_chunk(file: BinaryIO, size: int, position: int) -> bool:
    """Whether what follows the sound is something else than sound."""
    file.seek(position)
    head = file.read(8)
    if head.startswith(_TAGS):
        return True
    named = all(byte in b" _" or chr(byte).isalnum() for byte in head[:4] if byte < 128)
    lengths = struct.unpack("<I", head[4:])[0], struct.unpack(">I", head[4:])[0]
    return named and head[:4].isascii() and min(lengths) <= size - position


def _chunks(
    file: BinaryIO, size: int, position: int, layout: str
) -> Iterator[tuple[bytes, int, int]]:
    """Name, place of the content and length of each chunk, up to the end of the file."""
    head = struct.calcsize(layout)
    while position + head <= size:
        name, length = _unpack(file, position, layout)
        yield name, position + head, length
        position += head + max(0, length) + (length % 2 if head == 8 else 0)


def _unpack(file: BinaryIO, position: int, layout: str) -> tuple[Any, ...]:
    file.seek(position)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
