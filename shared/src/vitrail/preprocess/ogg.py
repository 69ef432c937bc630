"""The pages of an OGG file: how long its links are, and which of them are broken.

RFC 3533 for pages; the length of a link is the last granule position of its sound track.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<4sBBqIIIB")
_BEGINS, _ENDS = 2, 4  # flags of a page
_STEP = 1 << 16
_MAX_LEAD = 60  # seconds; a stream whose first page is later was joined while it ran
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Page(NamedTuple):
    whole: bool
    flags: int
    granule: int
    serial: int
    number: int
    content: bytes


@dataclass
class Link:
    """One sound track from its first page to its last; ``granule`` counts samples of ``rate``."""

    serial: int
    rate: int
    skipped: int
    first: int | None = None
    granule: int = 0
    number: int = 0
    ended: bool = False

    @property
    def start(self) -> int:
        if self.first is not None and self.first > _MAX_LEAD * self.rate:
            return self.first
        return self.skipped

    @property
    def seconds(self) -> float:
        return max(0, self.granule - self.start) / self.rate


@dataclass(frozen=True)
class Pages:
    """The sound of an OGG file: its ``links`` in order, and where pages are broken or missing, in
    seconds."""

    links: tuple[Link, ...]
    broken: tuple[float, ...]

    @property
    def plain(self) -> bool:
        """Whether libsndfile reads all of it: it hears one link, and gives up at a broken page."""
        return len(self.links) == 1 and not self.broken

    @property
    def seconds(self) -> float:
        return sum(link.seconds for link in self.links)

    def remarks(self, seconds: float) -> Iterator[str]:
        """What is wrong, given the ``seconds`` that could be heard."""
        if self.broken:
            count = len(self.broken)
            places = f"{count} places" if count > 1 else "a place"
            yield f"pages are broken or missing at {places}, first at {self.broken[0]:.1f} s"
        if seconds < self.seconds - 0.1:
            yield f"the sound ends at {seconds:.1f} s of {self.seconds:.1f} s declared"
        elif not self.links[-1].ended:
            yield f"the sound was cut off: it ends at {seconds:.1f} s without a last page"


def read_pages(path: Path) -> Pages | None:
    """Goes over all pages; None where the file is no OGG or holds no sound track that is known."""
    links: list[Link] = []
    broken: list[float] = []
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return None
        file.seek(0)
        for page in _pages(file):
            done = sum(link.seconds for link in links)
            if page is None or not page.whole:
                broken.append(done)
            if page is None:
                continue
            last = links[-1] if links else None
            if page.flags & _BEGINS:
                track = _track(page)
                if track and (last is None or last.ended or last.first is not None):
                    links.append(track)
            elif last and page.serial == last.serial:
                if page.number > last.number + 1 and not (broken and broken[-1] == done):
                    broken.append(done)
                last.number = page.number
                if page.granule > 0 and (
                    page.whole or page.granule - last.granule < 600 * last.rate
                ):
                    last.first = page.granule if last.first is None else last.first
                    last.granule = max(last.granule, page.granule)
                last.ended |= bool(page.whole and page.flags & _ENDS)
    return Pages(tuple(links), tuple(broken)) if links else None


def _pages(file: BinaryIO) -> Iterator[_Page | None]:
    """Each page; None for what lies between two that is no page."""
    while head := file.read(_HEADER.size):
        place = file.tell() - len(head)
        if len(head) < _HEADER.size or not head.startswith(b"OggS"):
            yield None
            if not _find(file, place + 1):
                return
            continue
        _, _, flags, granule, serial, number, crc, count = _HEADER.unpack(head)
        sizes = file.read(count)
        content = file.read(sum(sizes))
        bare = head[:22] + bytes(4) + head[26:]
        whole = len(content) == sum(sizes) and _checksum(bare + sizes + content) == crc
        yield _Page(whole, flags, granule, serial, number, content)
        if not whole and not _find(file, place + 4):  # its lengths may be wrong too
            return


def _find(file: BinaryIO, place: int) -> bool:
    """Goes to the next page behind ``place``."""
    while True:
        file.seek(place)
        data = file.read(_STEP)
        if (found := data.find(b"OggS")) >= 0:
            file.seek(place + found)
            return True
        if len(data) < _STEP:
            return False
        place += _STEP - 3


def _checksum(data: bytes) -> int:
    """OGG's CRC-32, which runs from the highest bit on: zlib's of the mirrored bytes, mirrored."""
    value = zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED), "big")


def _track(page: _Page) -> Link | None:
    """The sound track that a first page opens."""
    content = page.content
    try:
        if content.startswith(b"\x01vorbis"):
            rate, skipped = struct.unpack_from("<I", content, 12)[0], 0
        elif content.startswith(b"OpusHead"):
            rate, skipped = 48_000, struct.unpack_from("<H", content, 10)[0]
        elif content.startswith(b"Speex   "):
            rate, skipped = struct.unpack_from("<I", content, 36)[0], 0
        elif content.startswith(b"\x7fFLAC"):
            rate, skipped = int.from_bytes(content[27:30], "big") >> 4, 0
        else:
            return None
    except struct.error:
        return None
    return Link(page.serial, rate, skipped, number=page.number) if rate else None
