"""Rasters of any size: read and written window by window, with their place on the earth. Extra
``raster``."""

from vitrail.raster.area import pixel_area
from vitrail.raster.reading import Raster, valid_pixels
from vitrail.raster.writing import RasterWriter, create_raster

__all__ = ["Raster", "RasterWriter", "create_raster", "pixel_area", "valid_pixels"]
