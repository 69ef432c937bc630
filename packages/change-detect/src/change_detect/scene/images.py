"""One date: a raster, or an image that is held in memory, under one interface."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from change_detect.scene.world import place
from vitrail.errors import InputError, plain
from vitrail.grids import Window
from vitrail.preprocess.jpeg import jpeg_damage
from vitrail.raster import Raster

TURNED = range(2, 9)  # EXIF orientations of an image that is not upright


class InMemory:
    """A masked array (bands, rows, columns) with a raster's manners; it lies nowhere."""

    crs = transform = nodata = alpha = None
    names: tuple[str, ...] = ()

    def __init__(self, path: Path, pixels: np.ma.MaskedArray, colours: Sequence[str] = ()):
        self.path, self.pixels, self.colours = path, pixels, tuple(colours)
        self.shape, self.bands = tuple(pixels.shape[1:]), len(pixels)
        self.dtype = pixels.dtype

    def read(self, window: Window | None = None) -> np.ma.MaskedArray:
        return self.pixels if window is None else self.pixels[(slice(None), *window)]

    def close(self) -> None:
        """Nothing is open."""


def open_date(path: Path, page: int = 0) -> tuple[Raster | InMemory, list[str]]:
    """A date as it is stored, and what is to be said of it.

    A photograph that its camera marked as turned is upright; of a palette the colours are meant,
    not their numbers. Both are held in memory. Raises InputError as ``Raster`` does.
    """
    raster, remarks = Raster(path, page), []
    try:
        if said := place(raster):
            remarks.append(said)
        if raster.dataset.driver == "JPEG":
            told = jpeg_damage(path.read_bytes(), "CMYK" if raster.bands == 4 else "RGB")
            remarks += [f"{path.name}: {sentence}" for sentence in told]
        turn = _orientation(path) if raster.dataset.driver in ("JPEG", "PNG", "WEBP") else 1
        if turn in TURNED:
            pixels = _upright(raster.read(), turn)
            remarks.append(f"{path.name} was turned upright, as its camera says")
            return _closing(raster, pixels), remarks
        if raster.colour_table:
            remarks.append(f"{path.name} has a palette, whose colours are compared")
            return _closing(raster, _coloured(raster), ("red", "green", "blue")), remarks
        return raster, remarks
    except BaseException:
        raster.close()
        raise


def _closing(
    raster: Raster, pixels: np.ma.MaskedArray, colours: Sequence[str] | None = None
) -> InMemory:
    raster.close()
    if is_placed(raster):
        what = "is turned" if colours is None else "has a palette"
        raise InputError(raster.path, f"{what} and has a place", "convert it to an upright GeoTIFF")
    return InMemory(raster.path, pixels, raster.colours if colours is None else colours)


def _coloured(raster: Raster) -> np.ma.MaskedArray:
    table = np.zeros((max(256, max(raster.colour_table) + 1), 4), np.uint8)
    for value, colour in raster.colour_table.items():
        table[value] = colour
    part = raster.read()
    colours = np.moveaxis(table[part.data[0].astype(int)], -1, 0)
    mask = np.ma.getmaskarray(part)[0] | (colours[3] == 0)
    return np.ma.MaskedArray(colours[:3], np.broadcast_to(mask, colours[:3].shape))


def _orientation(path: Path) -> int:
    from PIL import Image

    with plain(path, "is damaged or cut short"), Image.open(path) as image:
        try:
            return int(image.getexif().get(0x0112, 1))
        except Exception:  # an unreadable EXIF block says nothing about the pixels
            return 1


def _upright(part: np.ma.MaskedArray, orientation: int) -> np.ma.MaskedArray:
    """(bands, rows, columns) turned by one of EXIF's eight ways of holding a camera."""
    if orientation in (5, 6, 7, 8):
        part = part.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        part = part[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        part = part[:, ::-1]
    return part


Date = Raster | InMemory


def is_placed(date: Any) -> bool:
    """Whether a date lies somewhere, be it in a system that is not known."""
    return date.crs is not None or not (date.transform is None or date.transform.is_identity)


def describe(date: Any) -> dict[str, Any]:
    """What is compared and told of a date."""
    return {
        "size": [date.shape[1], date.shape[0]],
        "bands": date.bands,
        "dtype": date.dtype.name,
        "nodata": None if date.nodata is None or date.nodata != date.nodata else date.nodata,
        "crs": _name(date.crs),
    }


def _name(crs: Any) -> str | None:
    if crs is None:
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()[:80]
