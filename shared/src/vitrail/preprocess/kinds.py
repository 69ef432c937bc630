"""What files are: images or videos, by their first bytes."""

from enum import StrEnum
from pathlib import Path

from vitrail.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES

_TS_PACKET = 188

_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")
_VIDEOS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV",
    b"\x00\x00\x01\xba",  # MPEG
    b"\x00\x00\x01\xb3",
    b"0&\xb2u",  # ASF
    b"\x06\x0e+4",  # MXF
    b"YUV4MPEG2",
    b"\x1f\x07\x00",  # DV
    b"\x00\x00\x00\x01g",  # H.264
    b"\x00\x00\x00\x01\x40",  # H.265
)


class Kind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"


def kind_of(path: Path) -> Kind | None:
    """What a file is: by its bytes, and only where they tell nothing by its name; None where
    neither speaks of an image or a video."""
    try:
        with path.open("rb") as file:
            head = file.read(_TS_PACKET + 1)
    except (OSError, ValueError):  # whose reader says it better
        head = b""
    if head.startswith(_IMAGES) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP"):
        return Kind.IMAGE
    riff = (head[:4], head[8:12]) == (b"RIFF", b"AVI ")
    transport = head[:1] == b"G" and head[_TS_PACKET:] == b"G"
    film = head[4:8] == b"ftyp" and head[8:11] not in (b"M4A", b"M4B")  # which are sound
    if head.startswith(_VIDEOS) or riff or transport or film:
        return Kind.VIDEO
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return Kind.IMAGE
    return Kind.VIDEO if suffix in VIDEO_SUFFIXES else None
