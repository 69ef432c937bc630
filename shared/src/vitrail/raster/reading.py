"""A raster on disk, read window by window."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.errors import InputError
from vitrail.grids import Window
from vitrail.raster.area import pixel_area
from vitrail.raster.gdal import BARE, closed_gdal, driver_of, gdal_errors, load_rasterio
from vitrail.sources import require_file

MAX_PIXELS = 2**36  # more than any scene; a header that says so lies
MAX_BLOCK = 512_000_000  # bytes that GDAL must unpack for one pixel

_DATA_SUFFIXES = ("", ".img", ".dat", ".bil", ".bip", ".bsq", ".raw")
_AGAIN = "copy it again from where it came"


class Raster:
    """An open raster: GeoTIFF, ENVI (its data or its header file), JPEG 2000, PNG, JPEG, WebP, BMP.

    ``shape`` is (rows, columns), ``bands`` how many there are without an alpha band, ``dtype`` that
    of the pixels, ``crs`` and ``transform`` rasterio's (``crs`` None where there is none),
    ``colours`` each band's interpretation (``red``, ``gray``, ``palette``, ``undefined`` …),
    ``names`` each band's description or "", ``nodata`` the value of the first band or None,
    ``colour_table`` {value: (red, green, blue, alpha)} of a palette and ``class_names``
    {value: name}, both empty elsewhere. ``remarks`` say in sentences what the raster lacks.
    ``dataset`` is rasterio's own, for warping, and ``indexes`` the numbers of its bands without
    that of alpha, which is ``alpha`` or None.

    A TIFF of several pages has a raster on each, as ``count_pages`` tells; ``page`` chooses one.
    World files and other sidecars are not read. Raises InputError for what is not such a raster,
    is damaged, or would not fit in memory one block at a time; MissingError without rasterio.
    """

    def __init__(self, path: Path, page: int = 0):
        self.path = require_file(Path(path))
        self.dataset = dataset = _opened(self.path, page)
        try:
            self._check()
            colours = [band.name for band in dataset.colorinterp]
            self.alpha = colours.index("alpha") + 1 if "alpha" in colours else None
            self.indexes = [n for n in dataset.indexes if n != self.alpha]
            self._own_mask = (
                dataset.driver == "GTiff"
                and self.alpha is None
                and "per_dataset" in {flag.name for flag in dataset.mask_flag_enums[0]}
            )
            self.shape, self.bands = (dataset.height, dataset.width), len(self.indexes)
            self.dtype = np.dtype(dataset.dtypes[0])
            self.crs, self.transform = dataset.crs or None, dataset.transform
            self.colours = tuple(colours[n - 1] for n in self.indexes)
            self.names = tuple(dataset.descriptions[n - 1] or "" for n in self.indexes)
            self.nodata = dataset.nodatavals[0]
            self.colour_table = dataset.colormap(1) if "palette" in self.colours[:1] else {}
            self.class_names = _class_names(dataset.tags(1).get("class_names", ""))
        except gdal_errors() as error:  # what its tags say may be read only now, and be wrong
            dataset.close()
            raise InputError(self.path, "is damaged in what it says of itself", _AGAIN) from error
        except BaseException:
            dataset.close()
            raise

    def __enter__(self) -> "Raster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.dataset.close()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is missing, for a result's ``damage``."""
        if self.crs is None:
            return ("it has no coordinate reference system: areas are in pixels",)
        return ()

    def read(self, window: Window | None = None) -> np.ma.MaskedArray:
        """(bands, rows, columns) of a window (two slices inside ``shape``), or of everything.

        Masked is what a band's nodata value, the alpha band (0) or the file's own mask says, and
        what is not a finite number. Raises InputError where the pixels are damaged.
        """
        window = window or tuple(slice(0, side) for side in self.shape)
        for part, side in zip(window, self.shape, strict=True):
            if not 0 <= part.start < part.stop <= side or part.step not in (None, 1):
                raise ValueError(f"the window {window} in a raster of {self.shape}")
        pixels = self._pixels(self.indexes, window)
        mask = np.zeros(pixels.shape, bool)
        if pixels.dtype.kind == "f":
            np.logical_not(np.isfinite(pixels), out=mask)
        for band, index in enumerate(self.indexes):
            nodata = self.dataset.nodatavals[index - 1]
            if nodata is not None:  # NaN is masked already
                mask[band] |= pixels[band] == nodata
        if self.alpha is not None:
            mask |= self._pixels([self.alpha], window) == 0
        elif self._own_mask:
            mask |= self._pixels([1], window, masks=True) == 0
        return np.ma.MaskedArray(pixels, mask)

    def pixel_area(self, rows: slice | None = None) -> np.ndarray | None:
        """Square metres that a pixel covers, per row (of ``rows``); None where it is unknown."""
        first, last, _ = (rows or slice(None)).indices(self.shape[0])
        return pixel_area(self.crs, self.transform, np.arange(first, last))

    def _pixels(self, indexes: list[int], window: Window, masks: bool = False) -> np.ndarray:
        rows, columns = window
        box = ((rows.start, rows.stop), (columns.start, columns.stop))
        try:
            with closed_gdal():
                return (self.dataset.read_masks if masks else self.dataset.read)(
                    indexes, window=box
                )
        except gdal_errors() as error:
            where = f"is damaged or cut off in rows {rows.start} to {rows.stop - 1}"
            raise InputError(self.path, where, _AGAIN) from error

    def _check(self) -> None:
        dataset = self.dataset
        if not dataset.count:
            raise InputError(self.path, "holds no band of pixels", "give one of its subdatasets")
        if dataset.width * dataset.height > MAX_PIXELS:
            size = f"{dataset.width} x {dataset.height}"
            raise InputError(self.path, f"would have {size} pixels", "cut it into parts")
        kinds = sorted(set(dataset.dtypes))
        if len(kinds) > 1 or kinds[0].startswith("complex") or np.dtype(kinds[0]).kind not in "uif":
            problem = f"holds pixels of {' and '.join(kinds)}"
            raise InputError(self.path, problem, "give real numbers of one kind")
        together = dataset.count if dataset.profile.get("interleave") == "pixel" else 1
        item = np.dtype(dataset.dtypes[0]).itemsize
        rows, columns = dataset.block_shapes[0]
        if rows * columns * together * item > MAX_BLOCK:
            block = f"{columns} x {rows}"
            raise InputError(
                self.path, f"packs {block} pixels in one block", "store it in tiles of 256 x 256"
            )
        size = dataset.width * dataset.height * dataset.count * item
        if dataset.driver == BARE and Path(dataset.name).stat().st_size < size:
            raise InputError(self.path, "is shorter than its header says", _AGAIN)


def valid_pixels(part: np.ma.MaskedArray) -> np.ndarray:
    """(rows, columns) bool of what ``Raster.read`` gave: where a band at least holds data and none
    holds a number that is not finite."""
    valid = ~np.all(np.ma.getmaskarray(part), axis=0)
    return valid & np.isfinite(part.data).all(axis=0) if part.dtype.kind == "f" else valid


def count_pages(path: Path) -> int:
    """How many rasters a TIFF holds, overviews and masks left out; 1 for every other file.

    Raises as ``Raster`` does.
    """
    path = require_file(Path(path))
    if driver_of(path) != "GTiff":
        return 1
    with closed_gdal(), _opened(path, 0) as dataset:
        return max(1, len(dataset.subdatasets))


def _opened(path: Path, page: int) -> Any:
    rasterio = load_rasterio()
    data = _data_file(path)
    driver = driver_of(data)
    problem = "is not a GeoTIFF, ENVI, JPEG 2000 or image file"
    if driver is None:
        raise InputError(path, problem, "convert it to GeoTIFF")
    try:
        with warnings.catch_warnings(), closed_gdal(sidecars=driver == BARE):
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            dataset = rasterio.open(data, driver=driver, sharing=False)
            if not page:
                return dataset
            with dataset:
                names = dataset.subdatasets
            if page >= len(names):
                raise InputError(path, f"has {len(names)} pages", "name one of them")
            return rasterio.open(names[page], driver=driver, sharing=False)
    except gdal_errors() as error:
        raise InputError(path, f"{problem} that can be read", _AGAIN) from error


def _data_file(path: Path) -> Path:
    """The absolute path of the pixels, which GDAL takes for nothing but a path."""
    path = path.resolve()
    if path.suffix.lower() != ".hdr":
        return path
    names = [path.with_suffix(suffix) for suffix in _DATA_SUFFIXES]
    found = next((name for name in names if name.is_file()), None)
    if found is None:
        raise InputError(path, "is a header without its pixels", f"put {names[1].name} beside it")
    return require_file(found)


def _class_names(text: str) -> dict[int, str]:
    try:
        return {int(value): str(name) for value, name in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError):  # none, or somebody else's tag
        return {}
