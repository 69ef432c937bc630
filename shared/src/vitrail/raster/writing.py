"""A raster written from the top, strip by strip, whole or not at all."""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from vitrail.errors import InputError, one_line
from vitrail.output import atomic_file
from vitrail.raster.gdal import closed_gdal, gdal_errors, load_rasterio

TILE = 256  # pixels, both ways
MAX_LISTED = 1024  # values that may have a class name
MAX_NAME = 200  # characters

Colour = tuple[int, int, int] | tuple[int, int, int, int]


class RasterWriter:
    """Takes the rows of a raster in their order; made by ``create_raster``.

    Rows wait until they fill a row of tiles: a compressed tile that is written twice leaves a hole
    in the file.
    """

    def __init__(self, dataset: Any):
        self._dataset = dataset
        self._sides = (dataset.count, dataset.width)
        self._waiting: list[np.ndarray] = []
        self.rows = 0

    def write(self, strip: np.ndarray) -> None:
        """The next rows: (bands, rows, columns), or (rows, columns) of a single band."""
        strip = np.asarray(strip)
        strip = strip[None] if strip.ndim == 2 else strip
        if strip.ndim != 3 or not strip.size or (strip.shape[0], strip.shape[2]) != self._sides:
            raise ValueError(f"a strip of the shape {strip.shape} for {self._sides} bands, columns")
        strip = _fitting(strip, np.dtype(self._dataset.dtypes[0]))
        self.rows += strip.shape[1]
        if self.rows > self._dataset.height:
            raise ValueError(f"row {self.rows} of {self._dataset.height}")
        self._waiting.append(strip)
        complete = self.rows == self._dataset.height
        waiting = sum(part.shape[1] for part in self._waiting)
        if complete or waiting >= TILE:
            self._flush(waiting if complete else waiting - self.rows % TILE)

    def _flush(self, count: int) -> None:
        rows = np.concatenate(self._waiting, axis=1)
        top = self.rows - rows.shape[1]
        self._waiting = [rows[:, count:]]
        with closed_gdal():
            window = ((top, top + count), (0, self._dataset.width))
            self._dataset.write(rows[:, :count], window=window)


@contextmanager
def create_raster(
    path: Path,
    shape: tuple[int, int],
    dtype: str | np.dtype | type,
    *,
    bands: int = 1,
    crs: Any = None,
    transform: Any = None,
    nodata: float | None = None,
    colour_table: Mapping[int, Colour] | None = None,
    class_names: Mapping[int, str] | None = None,
    names: Sequence[str] = (),
) -> Iterator[RasterWriter]:
    """A tiled, compressed GeoTIFF of ``shape`` (rows, columns) with overviews, BigTIFF where it
    needs to be; it takes the name ``path`` when the block ends well and all rows were written.

    ``crs`` and ``transform`` are those of the raster that was read. ``colour_table`` and
    ``class_names`` belong to a single band of uint8 or uint16; the names stand in the band's
    metadata and, for geographic information systems, in ``<path>.aux.xml`` beside it. ``names``
    describe the bands. Overviews hold means, or the nearest pixel where values are classes.
    Raises InputError where the place cannot be written or is full.
    """
    rasterio, dtype = load_rasterio(), np.dtype(dtype)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": shape[0],
        "width": shape[1],
        "count": bands,
        "dtype": dtype.name,
        "crs": crs,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "interleave": "band",
        "compress": "deflate",
        "predictor": 3 if dtype.kind == "f" else 2,
        "bigtiff": "IF_SAFER",
    }
    if transform is not None and not transform.is_identity:
        profile["transform"] = transform
    sidecar = Path(f"{path}.aux.xml")
    try:
        with atomic_file(path) as temporary:
            with closed_gdal():
                dataset = _silent(rasterio, temporary, "w", **profile)
            try:
                writer = RasterWriter(dataset)
                _describe(dataset, colour_table, class_names, names)
                yield writer
                if writer.rows != shape[0]:
                    raise ValueError(f"{writer.rows} of {shape[0]} rows were written")
            finally:
                with closed_gdal():
                    dataset.close()
            _add_overviews(rasterio, temporary, shape, bool(colour_table or class_names))
            if class_names:
                with atomic_file(sidecar) as beside:
                    beside.write_text(_sidecar(class_names), "utf-8")
            else:
                sidecar.unlink(missing_ok=True)  # the names of an earlier raster of this name
    except gdal_errors() as error:
        raise InputError(
            path, "cannot be written to the end", "choose another output folder or make room"
        ) from error


def _fitting(strip: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The same numbers as ``dtype``; fractions and numbers out of its range are refused."""
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        if strip.dtype.kind not in "uib" or strip.min() < limits.min or strip.max() > limits.max:
            raise ValueError(f"{strip.dtype} {strip.min()} to {strip.max()} in a raster of {dtype}")
    return strip.astype(dtype)


def _describe(
    dataset: Any,
    colour_table: Mapping[int, Colour] | None,
    class_names: Mapping[int, str] | None,
    names: Sequence[str],
) -> None:
    with closed_gdal():
        if colour_table:
            dataset.write_colormap(1, dict(colour_table))
        if class_names:
            text = json.dumps({str(value): name for value, name in class_names.items()})
            dataset.update_tags(1, class_names=text)
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)


def _add_overviews(rasterio: Any, path: Path, shape: tuple[int, int], classes: bool) -> None:
    factors = [2**n for n in range(1, 16) if max(shape) / 2**n >= TILE / 2]
    if not factors or max(shape) <= TILE:
        return
    kind = rasterio.enums.Resampling.nearest if classes else rasterio.enums.Resampling.average
    with closed_gdal():
        dataset = _silent(rasterio, path, "r+")
        try:
            dataset.build_overviews(factors, kind)
        finally:
            dataset.close()


def _silent(rasterio: Any, path: Path, mode: str, **profile: Any) -> Any:
    """Opens without the warning that a raster has no place on the earth; a reader has said so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(path, mode, **profile)


def _sidecar(class_names: Mapping[int, str]) -> str:
    """GDAL's category names, a list from value 0 on."""
    listed = range(min(max(class_names) + 1, MAX_LISTED))
    texts = (escape(one_line(class_names.get(value, ""), MAX_NAME)) for value in listed)
    names = "".join(f"<Category>{text}</Category>" for text in texts)
    band = f'<PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand>'
    return f"<PAMDataset>{band}</PAMDataset>\n"
