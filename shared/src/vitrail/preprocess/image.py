"""Pictures from files, and pictures as a network takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vitrail.errors import InputError, plain
from vitrail.preprocess.jpeg import jpeg_damage
from vitrail.sources import IMAGE_SUFFIXES, require_file

__all__ = [
    "FORMATS",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "IMAGE_SUFFIXES",
    "JPEGS",
    "MAX_PIXELS",
    "ORIENTATION",
    "check_size",
    "count_pages",
    "normalise",
    "read_image",
    "too_large",
]

MAX_PIXELS = 64_000_000
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Only raster formats that Pillow decodes itself; its EPS reader, for one, would start another
# program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
JPEGS = ("JPEG", "MPO")  # the second holds several, of which the first is the picture
Image.init()  # Pillow registers TIFF and WebP only then
ORIENTATION = 0x0112


def read_image(path: str | Path, page: int = 0, *, damage: list[str] | None = None) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3): upright by its EXIF tag, transparency over white; of
    several frames or pages that of number ``page``.

    ``damage``, where it is given, gets a sentence on what had to be guessed of a JPEG, for which
    the file is decoded once more.
    InputError for what is missing, empty, a folder, no picture, cut short, damaged, or above
    ``MAX_PIXELS``.
    """
    path = require_file(Path(path))
    with plain(path, "is damaged or cut short"):
        try:
            with Image.open(path, formats=FORMATS) as image:
                check_size(path, image)
                if image.format == "PNG":
                    _check_sums(path)
                image.seek(page)
                pixels = np.array(_to_rgb(path, _upright(image)))
                if damage is not None and image.format in JPEGS:
                    damage += jpeg_damage(path.read_bytes(), image.mode)
                return pixels
        except UnidentifiedImageError as error:
            kinds = "JPEG, PNG, WebP, TIFF, BMP, GIF or PPM"
            raise InputError(path, f"is not an image in {kinds} format", "convert it") from error
        except Image.DecompressionBombError as error:
            raise too_large(path) from error


def _check_sums(path: Path) -> None:
    """SyntaxError where a checksum of a PNG does not fit: reading its pixels does not look."""
    with Image.open(path, formats=["PNG"]) as image:
        image.verify()


def count_pages(path: Path) -> int:
    """How many frames an animation has, or pages a TIFF; 1 of what cannot be read. What a phone
    keeps beside a photograph (depth, gain) counts as none."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # whose reader says it better
        return 1


def check_size(path: object, image: Image.Image) -> None:
    """InputError for an image above ``MAX_PIXELS``."""
    if image.width * image.height > MAX_PIXELS:
        raise too_large(path, f" ({image.width} x {image.height})")


def too_large(path: object, size: str = "") -> InputError:
    return InputError(
        path, f"is too large{size}", f"scale it to at most {MAX_PIXELS // 1_000_000} megapixels"
    )


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        turned = image.getexif().get(ORIENTATION, 1) in range(2, 9)
    except Exception:  # an unreadable EXIF block says nothing about the pixels, which are whole
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _to_rgb(path: Path, image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_16_bit(path, np.asarray(image)).convert("RGB")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bit(path: Path, values: np.ndarray) -> Image.Image:
    """Grey values of 0..65535 as 8-bit grey; a picture of another range has no agreed black and
    white."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise InputError(path, "holds measurements, not grey levels", "convert it to 8 or 16 bits")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def normalise(
    images: np.ndarray, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> np.ndarray:
    """uint8 (N, H, W, 3) or (H, W, 3) to float32 (N, 3, H, W) or (3, H, W): ``(x / 255 - mean) /
    std``."""
    batch = np.moveaxis(images, -1, -3).astype(np.float32, order="C")
    batch /= 255
    batch -= np.array(mean, np.float32).reshape(-1, 1, 1)
    batch /= np.array(std, np.float32).reshape(-1, 1, 1)
    return batch
