"""Images from microscopes and endoscopes: PNG, TIFF with any number of pages, and what else
Pillow reads."""

import warnings
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from medical_segment.files.volume import MAX_VOXELS, Kind, Volume
from vitrail.errors import InputError, plain
from vitrail.preprocess.image import MAX_PIXELS, read_image
from vitrail.sources import require_file

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BOMB_RATIO, BOMB_VALUES = 2000, 1 << 25
CHANNEL_AXES, STACK_AXES = "SC", "ZTQIPRA"


def read_pages(path: Path) -> Volume:
    """An image as (C, rows, columns), or (C, pages, rows, columns) for a TIFF of several pages.

    Values keep their depth: 8 or 16 bits, or floating point. RGB has three channels, an alpha
    channel is left out. Raises InputError for what is damaged, cut short, too large or has more
    axes than pages and channels.
    """
    with require_file(path).open("rb") as file:
        tiff = file.read(4) in TIFF_STARTS
    data = _read_tiff(path) if tiff else _read_deep(path)
    if data is None:
        data = np.moveaxis(read_image(path), -1, 0)
    return Volume(data, np.eye(4), Kind.image, files=(path,))


def _read_deep(path: Path) -> np.ndarray | None:
    """An image of more than 8 bits as (1, rows, columns); None for the others."""
    with warnings.catch_warnings(action="ignore"):
        try:
            with Image.open(path, formats=("PNG", "PPM")) as image:
                if not image.mode.startswith("I") or image.width * image.height > MAX_PIXELS:
                    return None
                return np.array(image)[None]
        except Exception:  # the reader of ordinary images says what is wrong
            return None


def _read_tiff(path: Path) -> np.ndarray | None:
    """The first series of a TIFF; None where only the reader of ordinary images can unpack it."""
    with plain(path, "is damaged or cut short", log="tifffile"), tifffile.TiffFile(path) as file:
        if not file.series:
            raise ValueError("no image in it")
        series = file.series[0]
        page = series.keyframe
        axes, shape = series.axes, series.shape
        _check_size(path, shape, series.dtype)
        # Palettes and odd types are for Pillow, which turns them into colours.
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE or series.dtype.kind not in "uifb":
            return None
        try:
            data = series.asarray()
        except (ValueError, KeyError) as error:
            if "imagecodecs" in str(error):
                return _left_to_others(path, len(file.pages))
            raise
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise InputError(path, "holds values that are not finite", "replace them")
        # Bright must be bright, as networks and people expect.
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and data.dtype.kind == "u":
            data = np.iinfo(data.dtype).max - data
        return _arranged(path, data.astype(np.uint8) if data.dtype.kind == "b" else data, axes)


def _left_to_others(path: Path, pages: int) -> None:
    if pages > 1:
        raise InputError(
            path, "is compressed in a way that needs the library imagecodecs", "install imagecodecs"
        )


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    values = float(np.prod(shape, dtype=float))
    if values > MAX_VOXELS:
        raise InputError(
            path, "is too large ({})".format(" x ".join(map(str, shape))), "cut it into pieces"
        )
    if values > BOMB_VALUES and values * dtype.itemsize > BOMB_RATIO * path.stat().st_size:
        raise InputError(path, "would unpack to far more than it holds", "do not trust this file")


def _arranged(path: Path, data: np.ndarray, axes: str) -> np.ndarray:
    """(C, rows, columns) or (C, pages, rows, columns) from tifffile's named axes."""
    kept = [
        (axis, size)
        for axis, size in zip(axes, data.shape, strict=True)
        if size > 1 or axis in "YX"
    ]
    data = data.reshape([size for _, size in kept])
    names = "".join(axis for axis, _ in kept)
    channels = [place for place, axis in enumerate(names) if axis in CHANNEL_AXES]
    stack = [place for place, axis in enumerate(names) if axis in STACK_AXES]
    if len(channels) > 1 or len(stack) > 1 or "Y" not in names or "X" not in names:
        raise InputError(
            path, f"has the axes {axes[:12]}, not pages or channels of an image", "split it"
        )
    order = [*channels, *stack, names.index("Y"), names.index("X")]
    data = data.transpose(order)
    if not channels:
        return data[None]
    # Of samples a fourth one is transparency, which is not a measurement.
    return data[:3] if "S" in names and len(data) == 4 else data
