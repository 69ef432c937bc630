"""Small rasters to test on, written by rasterio alone."""

from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine

UTM = CRS.from_epsg(32651)
PLACE = Affine(30, 0, 203325, 0, -30, 3604935)


def write_raster(path: Path, pixels: np.ndarray, **options) -> Path:
    """A GeoTIFF of (bands, rows, columns) at ``PLACE`` in ``UTM``; rasterio's ``options`` come
    before these."""
    count, height, width = pixels.shape
    options = {"driver": "GTiff", "dtype": pixels.dtype, "crs": UTM, "transform": PLACE} | options
    with rasterio.open(path, "w", count=count, height=height, width=width, **options) as dataset:
        dataset.write(pixels)
    return path
