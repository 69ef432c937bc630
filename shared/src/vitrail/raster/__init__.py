"""Rasters of any size: read and written window by window, with their place on the earth. Extra
``raster``."""

from vitrail.raster.area import pixel_area
from vitrail.raster.reading import Raster, count_pages, valid_pixels
from vitrail.raster.stretch import Stretch, joint_stretch
from vitrail.raster.warping import Warped, overlap
from vitrail.raster.writing import RasterWriter, create_raster

__all__ = [
    "Raster",
    "RasterWriter",
    "Stretch",
    "Warped",
    "count_pages",
    "create_raster",
    "joint_stretch",
    "overlap",
    "pixel_area",
    "valid_pixels",
]
