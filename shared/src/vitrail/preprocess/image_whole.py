"""Images as their owners keep them: read with all that a changed copy must bring back (size, bit
depth, alpha, EXIF, resolution), and written with it.

Needs the extra ``images`` for 16 bits in colour.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from vitrail.errors import InputError, plain
from vitrail.preprocess.image import FORMATS, JPEGS, ORIENTATION, check_size, too_large
from vitrail.preprocess.jpeg import jpeg_damage
from vitrail.sources import require_file

SRGB_DATE = slice(24, 36)  # of a profile's header: when it was made, which must not change a file
QUALITY = 95
DEEP_FORMATS = ("PNG", "TIFF")  # that keep 16 bits a channel
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"}
EXIF_IFD, COLOR_SPACE, SRGB_SPACE = 0x8769, 0xA001, 1
GPS_IFD, THUMBNAIL_IFD = 0x8825, 1
TEXTS = (270, 271, 272, 305, 306, 315, 33432)  # from description and maker to copyright
PNG_HEADER = 33  # bytes of signature and IHDR
WIDE = 257  # an 8-bit level in 16 bits


@dataclass(frozen=True)
class WholeImage:
    """``levels`` (H, W) or (H, W, 3) and ``alpha`` (H, W) or None, both uint8 or both uint16,
    upright; levels are sRGB's, whatever profile the file came with. ``exif`` is the file's own
    without orientation and thumbnail, ``dpi`` its resolution, ``remarks`` what was passed over.
    """

    levels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "PNG"
    exif: bytes = b""
    dpi: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self.levels.shape[0], self.levels.shape[1]

    @property
    def top(self) -> int:
        """The level of white."""
        return np.iinfo(self.levels.dtype).max


def read_whole(path: str | Path) -> WholeImage:
    """An image file; the first of several frames.

    InputError for what is missing, empty, a folder, no image, cut short, damaged, of measurements
    in place of levels, or above ``MAX_PIXELS``.
    """
    path = require_file(Path(path))
    return parse_whole(path.read_bytes(), path)


def parse_whole(data: bytes, subject: object) -> WholeImage:
    """As ``read_whole``, from a file's bytes; errors name ``subject``."""
    with plain(subject, "is damaged or cut short"):
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                check_size(subject, image)
                image.load()  # a file that is cut short ends here, before another decoder sees it
                return _whole(data, image, subject)
        except UnidentifiedImageError as error:
            kinds = "JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"
            raise InputError(subject, f"is not an image in {kinds} format", "convert it") from error
        except Image.DecompressionBombError as error:
            raise too_large(subject) from error


def _whole(data: bytes, image: Image.Image, subject: object) -> WholeImage:
    is_jpeg = image.format in JPEGS
    remarks = jpeg_damage(data, image.mode) if is_jpeg else []
    if not is_jpeg and (frames := getattr(image, "n_frames", 1)) > 1:
        remarks.append(f"it holds {frames} frames or pages, of which the first was read")
    exif, turn = _exif(image, remarks)
    profile = image.info.get("icc_profile") or b""
    levels, alpha = _pixels(data, image, subject, remarks)
    levels = _to_srgb(levels, image, profile, remarks)
    return WholeImage(
        upright(levels, turn),
        None if alpha is None else upright(alpha, turn),
        "JPEG" if is_jpeg else str(image.format),
        exif,
        _dpi(image),
        tuple(remarks),
    )


def _pixels(
    data: bytes, image: Image.Image, subject: object, remarks: list[str]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Levels and alpha as they are stored; CMYK and palettes stay Pillow's, for the profile."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _grey_16(image, subject), None
    if _has_16_bit_colour(data, image):
        found = _decode_16(data, image)
        if found is not None:
            return found
        remarks.append("its 16 bits a channel could not be read, 8 of them were")
    if image.has_transparency_data:
        grey = image.mode in ("LA", "La")
        both = np.asarray(image.convert("LA" if grey else "RGBA"))
        return (both[..., 0] if grey else both[..., :3]).copy(), both[..., -1].copy()
    if image.mode in ("1", "L"):
        return np.array(image.convert("L")), None
    return np.array(image if image.mode in ("RGB", "CMYK") else image.convert("RGB")), None


def _grey_16(image: Image.Image, subject: object) -> np.ndarray:
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        problem = "holds measurements, not grey levels"
        raise InputError(subject, problem, "convert it to 8 or 16 bits")
    return values.astype(np.uint16)


def _has_16_bit_colour(data: bytes, image: Image.Image) -> bool:
    """Whether Pillow has thrown half of the bits away."""
    if image.format == "PNG":
        return data[24:25] == b"\x10"  # the header's bit depth
    tags = getattr(image, "tag_v2", {})
    return image.format == "TIFF" and set(tags.get(258, ())) == {16}  # BitsPerSample


def _decode_16(data: bytes, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None] | None:
    """16-bit levels and alpha; None where OpenCV sees other ones than Pillow."""
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != image.size[::-1]:
        return None
    if values.ndim == 2:
        return values, None
    colours = np.ascontiguousarray(values[..., 2::-1])
    seen = np.asarray(image.convert("RGB"))
    if np.abs(colours[::8, ::8].astype(int) // WIDE - seen[::8, ::8]).max() > 2:
        return None
    return colours, values[..., 3].copy() if values.shape[2] == 4 else None


def _exif(image: Image.Image, remarks: list[str]) -> tuple[bytes, int]:
    """The EXIF block without orientation and thumbnail, and the orientation, 1 to 8."""
    try:
        exif = image.getexif()
        turn = exif.get(ORIENTATION, 1)
        if image.format == "TIFF":
            exif = _of_tiff(exif)
        exif.pop(ORIENTATION, None)
        exif.get_ifd(THUMBNAIL_IFD).clear()  # of the image as it was
        if EXIF_IFD in exif:
            exif.get_ifd(EXIF_IFD)[COLOR_SPACE] = SRGB_SPACE
        return exif.tobytes() if len(exif) else b"", turn if turn in range(1, 9) else 1
    except Exception:  # an unreadable block says nothing about the pixels, which are whole
        remarks.append("its EXIF block cannot be read and was left out")
        return b"", 1


def _of_tiff(tags: Image.Exif) -> Image.Exif:
    """What a TIFF's tags tell people; the others are the structure of that one file."""
    kept = Image.Exif()
    for tag in TEXTS:
        if tag in tags:
            kept[tag] = tags[tag]
    for tag in (EXIF_IFD, GPS_IFD):
        if tag in tags:
            kept[tag] = tags.get_ifd(tag)
    return kept


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 <= across <= 1e5 and 1 <= down <= 1e5 else None


def _to_srgb(
    levels: np.ndarray, image: Image.Image, profile: bytes, remarks: list[str]
) -> np.ndarray:
    """Levels in the colour space of ``profile`` as sRGB's."""
    kind = "CMYK" if levels.ndim == 3 and levels.shape[2] == 4 else "RGB"
    kind = "L" if levels.ndim == 2 else kind
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                return _through(source, levels, kind)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            remarks.append("its colour profile cannot be used and was passed over")
    return np.array(image.convert("RGB")) if kind == "CMYK" else levels


def _through(source: Any, levels: np.ndarray, kind: str) -> np.ndarray:
    target = ImageCms.createProfile("sRGB")

    def convert(values: np.ndarray) -> np.ndarray:
        into = "L" if kind == "L" else "RGB"
        made = ImageCms.profileToProfile(
            Image.fromarray(values, kind), source, target, outputMode="RGB"
        )
        assert made is not None
        return np.array(made)[..., 1] if into == "L" else np.array(made)

    if levels.dtype == np.uint8:
        return convert(levels)
    if kind == "L":
        curve = convert(np.arange(256, dtype=np.uint8)[None])[0].astype(np.float32) * WIDE
        table = np.interp(np.arange(65536), np.arange(256) * WIDE, curve)
        return np.rint(table).astype(np.uint16)[levels]
    # The management is 8-bit; what lies between two of its levels is carried over.
    coarse = ((levels.astype(np.uint32) + 128) // WIDE).astype(np.uint8)
    rest = levels.astype(np.int32) - coarse.astype(np.int32) * WIDE
    made = convert(coarse).astype(np.int32) * WIDE + rest
    return np.clip(made, 0, 65535).astype(np.uint16)


def upright(values: np.ndarray, turn: int) -> np.ndarray:
    """(H, W, ...) turned as an EXIF orientation of 1 to 8 says."""
    if turn in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if turn in (2, 3, 6, 7):
        values = values[:, ::-1]
    if turn in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def losses(image: WholeImage, format: str) -> list[str]:
    """What ``encode_whole`` in this format loses of an image, a sentence each."""
    deep, found = image.levels.dtype == np.uint16, list[str]()
    if deep and format not in DEEP_FORMATS:
        found.append(f"{format} has no 16 bits a channel, 8 were written")
    if image.alpha is not None and format == "JPEG":
        found.append("JPEG has no transparency, white was put behind")
    if image.dpi and format == "WEBP":
        found.append("WEBP has no resolution, that of the source was left out")
    if deep and format == "TIFF" and {EXIF_IFD, GPS_IFD} & set(_tags(image.exif)):
        found.append("of the EXIF block a TIFF of 16 bits keeps texts alone")
    return found


def encode_whole(image: WholeImage, format: str) -> bytes:
    """A file of ``format`` (of ``SUFFIXES``) with the image's levels (H, W, 3) as sRGB; ``losses``
    tells what it cannot keep."""
    levels, alpha = image.levels, image.alpha
    if levels.dtype == np.uint16 and format not in DEEP_FORMATS:
        levels, alpha = (_narrow(levels), None if alpha is None else _narrow(alpha))
    if alpha is not None and format == "JPEG":
        share = alpha[..., None] / np.float32(255)
        levels, alpha = np.rint(levels * share + 255 * (1 - share)).astype(np.uint8), None
    if levels.dtype == np.uint16:
        return _encode_16(levels, alpha, image, format)
    stacked = levels if alpha is None else np.dstack([levels, alpha])
    return _encode_8(stacked, image, format)


def _narrow(values: np.ndarray) -> np.ndarray:
    return ((values.astype(np.uint32) + 128) // WIDE).astype(np.uint8)


def _encode_8(values: np.ndarray, image: WholeImage, format: str) -> bytes:
    options: dict[str, Any] = {"icc_profile": srgb_profile()}
    if image.exif:
        options["exif"] = image.exif
    if image.dpi:
        options["dpi"] = image.dpi
    if format == "JPEG":
        options |= {"quality": QUALITY, "subsampling": 0}
    elif format == "WEBP":
        options |= {"quality": QUALITY, "exact": True}
        options.pop("dpi", None)
    elif format == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format, **options)
    return buffer.getvalue()


def _encode_16(
    levels: np.ndarray, alpha: np.ndarray | None, image: WholeImage, format: str
) -> bytes:
    if format == "TIFF":
        import tifffile

        buffer = io.BytesIO()
        stacked = levels if alpha is None else np.dstack([levels, alpha])
        tifffile.imwrite(
            buffer,
            stacked,
            photometric="rgb",
            extrasamples=None if alpha is None else ["unassalpha"],
            compression="zlib",
            iccprofile=srgb_profile(),
            resolution=image.dpi,
            resolutionunit="INCH" if image.dpi else None,
            metadata=None,
            extratags=_texts(image.exif),
        )
        return buffer.getvalue()
    import cv2

    stacked = levels[..., ::-1] if alpha is None else np.dstack([levels[..., ::-1], alpha])
    blocks = {cv2.IMAGE_METADATA_ICCP: srgb_profile()}
    if image.exif:
        blocks[cv2.IMAGE_METADATA_EXIF] = image.exif.removeprefix(b"Exif\0\0")
    done, data = cv2.imencodeWithMetadata(
        ".png",
        np.ascontiguousarray(stacked),
        list(blocks),
        [np.frombuffer(block, np.uint8) for block in blocks.values()],
    )
    assert done
    return _with_resolution(data.tobytes(), image.dpi)


def _with_resolution(png: bytes, dpi: tuple[float, float] | None) -> bytes:
    """A PNG with the chunk pHYs, in pixels a metre, behind its header."""
    if dpi is None:
        return png
    across, down = (round(value / 0.0254) for value in dpi)
    chunk = b"pHYs" + struct.pack(">IIB", across, down, 1)
    whole = struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:PNG_HEADER] + whole + png[PNG_HEADER:]


def _texts(block: bytes) -> list[tuple[int, str, int, str, bool]]:
    """What an EXIF block tells people, as tifffile takes it."""
    exif = _tags(block)
    return [(tag, "s", 0, str(exif[tag]), True) for tag in TEXTS if tag in exif]


def _tags(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif


def srgb_profile() -> bytes:
    """An ICC profile of sRGB, always the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[SRGB_DATE] = bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # the first day of 2000
    return bytes(profile)
