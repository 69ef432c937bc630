"""What files are, by their first bytes; and whether images are the frames of one clip."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.errors import InputError
from vitrail.preprocess.image import FORMATS, count_pages, read_image
from vitrail.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES

LOOKED_AT = 8  # pairs of neighbours, so that a folder of thousands is told as quickly
THUMBNAIL = 32  # pixels
# The median correlation of neighbours' thumbnails; a clip's frames a second apart mostly had 0.92,
# with a moving camera 0.55; photographs of different people mostly 0.31 and less
ALIKE = 0.5
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


def are_frames_of_one_clip(images: Sequence[Path]) -> bool:
    """Whether images are of one size and each looks like the next, as frames do; photographs of
    different people do not. One that cannot be read says nothing."""
    if len(images) == 1:
        return count_pages(images[0]) == 1
    pairs = list(pairwise(images))
    chosen = np.linspace(0, len(pairs) - 1, min(LOOKED_AT, len(pairs))).astype(int)
    likeness = [alike for number in chosen if (alike := _likeness(*pairs[number])) is not None]
    sizes = {size for path in images if (size := _size(path))}
    still = all(count_pages(path) == 1 for path in {p for n in chosen for p in pairs[n]})
    return len(sizes) <= 1 and still and (not likeness or float(np.median(likeness)) >= ALIKE)


def _likeness(first: Path, second: Path) -> float | None:
    """The correlation of two images' thumbnails; None where one cannot be read."""
    try:
        one, other = _thumbnail(read_image(first)), _thumbnail(read_image(second))
    except InputError:
        return None
    if not (np.ptp(one) and np.ptp(other)):
        return float(np.array_equal(one, other))
    return float(np.corrcoef(one, other)[0, 1])


def _thumbnail(image: np.ndarray) -> np.ndarray:
    small = Image.fromarray(image).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float64).ravel()


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except Exception:  # whose reader says it better
        return None
