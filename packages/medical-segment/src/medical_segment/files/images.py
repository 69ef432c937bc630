"""Images from microscopes and endoscopes: PNG, TIFF with any number of pages, and what else
Pillow reads."""

import math
import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from PIL import Image

from medical_segment.files.volume import MAX_BYTES, MAX_VOXELS, Kind, Volume
from vitrail.errors import COPY_AGAIN, InputError, plain
from vitrail.preprocess.image import MAX_PIXELS, read_image
from vitrail.sources import require_file

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
CHANNEL_AXES, STACK_AXES, UNNAMED = "SC", "ZTQIPRA", "QI"
MAX_CHANNELS = 4  # that a last axis of unknown meaning is taken for
Found = tuple[np.ndarray, tuple[str, ...]]  # (C, [pages,] rows, columns), and remarks


def read_pages(path: Path) -> Volume:
    """An image as (C, rows, columns), or (C, pages, rows, columns) for a TIFF of several pages.

    Values keep their depth: 8 or 16 bits, or floating point. RGB has three channels, an alpha
    channel is left out. Raises InputError for what is damaged, cut short, too large, has more axes
    than pages and channels, or fewer pages than it promises.
    """
    with require_file(path).open("rb") as file:
        tiff = file.read(4) in TIFF_STARTS
    data, damage = _read_tiff(path) if tiff else _read_other(path)
    return Volume(data, np.eye(4), Kind.image, files=(path,), damage=damage)


def _read_other(path: Path) -> Found:
    deep, damage = _read_deep(path), list[str]()
    data = np.moveaxis(read_image(path, damage=damage), -1, 0) if deep is None else deep
    with Image.open(path) as image:
        frames = int(getattr(image, "n_frames", 1))
    if frames > 1:
        damage.append(f"is an animation of {frames} frames, of which the first was read")
    return data, tuple(damage)


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


def _read_tiff(path: Path) -> Found:
    """The first series of a TIFF, with a remark where it has others."""
    with plain(path, "is damaged or cut short", log="tifffile"), tifffile.TiffFile(path) as file:
        if not file.series:
            raise ValueError("no image in it")
        series = file.series[0]
        page = series.keyframe
        axes, shape = series.axes, series.shape
        _check_size(path, shape, series.dtype)
        _check_promise(path, file)
        others = len(file.series) - 1
        said = (f"holds {others} more images of another size or kind, left out",) if others else ()
        # Palettes and odd types are for Pillow, which turns them into colours.
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE or series.dtype.kind not in "uifb":
            return _read_by_pillow(path), said
        try:
            data = series.asarray()
        except (ValueError, KeyError) as error:
            if "imagecodecs" in str(error):
                return _read_by_pillow(path), said
            raise
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            raise InputError(path, "holds values that are not finite", "replace them")
        # Bright must be bright, as networks and people expect.
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and data.dtype.kind == "u":
            data = data.dtype.type((1 << page.bitspersample) - 1) - data
        data = data.astype(np.uint8) if data.dtype.kind == "b" else data
        arranged, guessed = _arranged(path, data, axes)
        return arranged, said + guessed


def _check_promise(path: Path, file: tifffile.TiffFile) -> None:
    """InputError where fewer pages are there than the writer's own description promises."""
    series = file.series[0]
    sizes = zip(series.axes, series.shape, strict=True)
    images = math.prod(size for axis, size in sizes if axis not in "YXS")
    # A description of many pages in a file of fewer: the reader fills the rest with zeros.
    there = images - sum(page is None for page in series.pages)
    promised = max(images, int((file.imagej_metadata or {}).get("images", 1)))
    if there < promised:
        raise InputError(path, f"promises {promised} pages, and has {there}", COPY_AGAIN)
    # The reader stops in silence where a page's link to the next one leads out of the file.
    if not file.is_ndpi and not _ends_well(path):
        raise InputError(path, "is cut short (its list of pages has no end)", COPY_AGAIN)


def _ends_well(path: Path) -> bool:
    """Whether the chain of a TIFF's pages, each of which says where the next one begins, lies in
    the file and comes to its end."""
    with path.open("rb") as file:
        start = file.read(16)
        order: Literal["little", "big"] = "little" if start[:2] == b"II" else "big"
        big = int.from_bytes(start[2:4], order) == 43  # BigTIFF: longer numbers throughout
        width, counted, tag = (8, 8, 20) if big else (4, 2, 12)
        place, seen = int.from_bytes(start[width : 2 * width], order), set()
        while place:
            if place in seen:
                return False
            seen.add(place)
            file.seek(place)
            count = file.read(counted)
            file.seek(int.from_bytes(count, order) * tag, os.SEEK_CUR)
            following = file.read(width)
            if len(following) < width:
                return False
            place = int.from_bytes(following, order)
    return True


def _read_by_pillow(path: Path) -> np.ndarray:
    """All pages of a palette or of a compression that tifffile leaves to another library."""
    with Image.open(path, formats=("TIFF",)) as image:
        frames, pages = int(getattr(image, "n_frames", 1)), []
        if frames == 1:
            return np.moveaxis(read_image(path), -1, 0)
        _check_size(path, (frames, 3, image.height, image.width), np.dtype(np.uint8))
        for number in range(frames):
            image.seek(number)
            grey = image.mode in ("L", "F") or image.mode.startswith("I")
            page = np.array(image if grey else image.convert("RGB"))
            pages.append(page if page.ndim == 3 else page[..., None])
    if len({(page.shape, page.dtype) for page in pages}) > 1:
        raise InputError(path, "has pages of different size or kind", "split it")
    return np.moveaxis(np.stack(pages), -1, 0)


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    values = float(np.prod(shape, dtype=float))
    if values > MAX_VOXELS or values * dtype.itemsize > MAX_BYTES:
        raise InputError(
            path, "is too large ({})".format(" x ".join(map(str, shape))), "cut it into pieces"
        )


def _arranged(path: Path, data: np.ndarray, axes: str) -> Found:
    """(C, rows, columns) or (C, pages, rows, columns) from tifffile's named axes."""
    kept = [
        (axis, size)
        for axis, size in zip(axes, data.shape, strict=True)
        if size > 1 or axis in "YX"
    ]
    data = data.reshape([size for _, size in kept])
    names, said = "".join(axis for axis, _ in kept), ()
    # A writer that does not name its axes may have put the channels last, as arrays have them.
    if len(names) == 3 and names[0] in UNNAMED and data.shape[2] <= MAX_CHANNELS < data.shape[1]:
        rows, columns, channels = data.shape
        names, wanted = "YXC", f"{channels} channels of {rows} x {columns}"
        said = (f"does not name its axes; taken as {wanted}, not as {rows} pages",)
    channels = [place for place, axis in enumerate(names) if axis in CHANNEL_AXES]
    stack = [place for place, axis in enumerate(names) if axis in STACK_AXES]
    if len(channels) > 1 or len(stack) > 1 or "Y" not in names or "X" not in names:
        raise InputError(
            path, f"has the axes {axes[:12]}, not pages or channels of an image", "split it"
        )
    order = [*channels, *stack, names.index("Y"), names.index("X")]
    data = data.transpose(order)
    if not channels:
        return data[None], said
    # Of samples a fourth one is transparency, which is not a measurement.
    return data[:3] if "S" in names and len(data) == 4 else data, said
