"""A raster as if it had been stored on another one's grid."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vitrail.errors import InputError
from vitrail.grids import Window
from vitrail.raster.gdal import closed_gdal, gdal_errors, load_rasterio
from vitrail.raster.reading import Raster

MIN_COVER = 128  # of 255: what a pixel must be covered by ones that hold data
WEB_MERCATOR = 3857  # stands for a plane whose system is not known
EDGE = 21  # points along each side of an extent that is brought into another system


class Warped:
    """``raster`` read on a grid of ``shape`` with ``crs`` and ``transform``, bilinear, window by
    window.

    What holds no data takes no part in the resampling, and what lies beside the raster is masked.
    ``offset`` in pixels (rows, columns) of the new grid moves the content. Where one of the
    reference systems is not known, both are taken to be the same; the raster lies where its
    ``transform`` says, which a world file may have set. Raises InputError where GDAL knows no way
    between the two systems.
    """

    def __init__(
        self,
        raster: Raster,
        crs: Any,
        transform: Any,
        shape: tuple[int, int],
        offset: tuple[float, float] = (0.0, 0.0),
    ):
        rasterio = load_rasterio()
        from rasterio.vrt import WarpedVRT

        self.raster, self.shape, self.bands, self.dtype = raster, shape, raster.bands, raster.dtype
        self.crs, self.transform = crs, transform
        # Content that is to come down by a row lies a row higher in what is asked for.
        moved = transform * type(transform).translation(-offset[1], -offset[0])
        nodata = raster.nodata
        if nodata is None and raster.dtype.kind == "f":
            nodata = float("nan")
        unknown = raster.crs is None or crs is None
        stand_in = rasterio.crs.CRS.from_epsg(WEB_MERCATOR) if unknown else None
        stored = raster.dataset.transform
        try:
            with closed_gdal():
                self._vrt = WarpedVRT(
                    raster.dataset,
                    src_crs=stand_in or raster.crs,
                    src_transform=None if raster.transform == stored else raster.transform,
                    crs=stand_in or crs,
                    transform=moved,
                    height=shape[0],
                    width=shape[1],
                    resampling=rasterio.enums.Resampling.bilinear,
                    src_nodata=nodata,
                    add_alpha=raster.alpha is None,
                    DST_ALPHA_MAX="255",
                )
        except (*gdal_errors(), ValueError) as error:
            problem = "cannot be brought onto the other's grid"
            raise InputError(raster.path, problem, "warp it first, as with gdalwarp") from error
        self._alpha = raster.alpha or self._vrt.count

    def close(self) -> None:
        with closed_gdal():
            self._vrt.close()

    def read(self, window: Window | None = None) -> np.ma.MaskedArray:
        """As ``Raster.read``, on the new grid."""
        rows, columns = window or tuple(slice(0, side) for side in self.shape)
        box = ((rows.start, rows.stop), (columns.start, columns.stop))
        try:
            with closed_gdal():
                pixels = self._vrt.read([*self.raster.indexes, self._alpha], window=box)
        except gdal_errors() as error:
            problem = f"is damaged or cut off under rows {rows.start} to {rows.stop - 1}"
            remedy = "copy it again from where it came"
            raise InputError(self.raster.path, problem, remedy) from error
        covered = pixels[-1] >= MIN_COVER
        mask = np.broadcast_to(~covered, pixels[:-1].shape).copy()
        if pixels.dtype.kind == "f":
            mask |= ~np.isfinite(pixels[:-1])
        if self.raster.nodata is not None:
            mask |= pixels[:-1] == self.raster.nodata
        return np.ma.MaskedArray(pixels[:-1], mask)


def overlap(crs: Any, transform: Any, shape: tuple[int, int], other: Raster) -> Window | None:
    """The rows and columns of a grid in which ``other`` lies, None where it lies elsewhere.

    A rotated raster is enclosed by them. Raises InputError where GDAL knows no way between the two
    systems.
    """
    corners = _outline(other.transform, other.shape)
    if crs is not None and other.crs is not None and crs != other.crs:
        from rasterio.warp import transform as reproject

        try:
            with closed_gdal():
                x, y = reproject(other.crs, crs, *corners)[:2]
        except gdal_errors() as error:
            problem = "its reference system cannot be brought into the other's"
            raise InputError(other.path, problem, "warp it first, as with gdalwarp") from error
        corners = np.array([x, y])
    columns, rows = ~transform * tuple(corners)
    return _clipped(rows, columns, shape)


def _outline(transform: Any, shape: tuple[int, int]) -> np.ndarray:
    """Points (2, N) along the border of a grid, in its reference system."""
    along = np.linspace(0, 1, EDGE)
    zero, one = np.zeros(EDGE), np.ones(EDGE)
    columns = np.concatenate([along, along, zero, one]) * shape[1]
    rows = np.concatenate([zero, one, along, along]) * shape[0]
    return np.array(transform * (columns, rows))


def _clipped(
    rows: Sequence[float] | np.ndarray, columns: Sequence[float] | np.ndarray, shape: Sequence[int]
) -> Window | None:
    window = []
    for values, side in zip((rows, columns), shape, strict=True):
        if not np.isfinite(values).all():
            return None
        # A grid that differs by rounding alone loses no row by it.
        first = max(0, int(np.floor(np.min(values) + 1e-3)))
        last = min(side, int(np.ceil(np.max(values) - 1e-3)))
        if first >= last:
            return None
        window.append(slice(first, last))
    return tuple(window)
