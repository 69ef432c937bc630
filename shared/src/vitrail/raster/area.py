"""What a pixel covers on the ground."""

from typing import Any

import numpy as np

# WGS 84; other ellipsoids in use differ by less than 0.03 % in area.
SEMI_MAJOR = 6_378_137.0  # metres
ECCENTRICITY_SQUARED = 0.00669437999014
WEB_MERCATOR = 3857


def pixel_area(crs: Any, transform: Any, rows: np.ndarray) -> np.ndarray | None:
    """The area of a pixel in each of ``rows`` (N,), in square metres, float64 (N,).

    ``crs`` and ``transform`` are rasterio's. In a projected system it is the area in that system's
    plane, the same in every row, save in Web Mercator, which enlarges without end towards the
    poles: there, and in degrees, it is that on the ellipsoid at the row's latitude (Snyder 1987,
    Map Projections, equation 4-18 to 4-20: the radii of curvature). None where it is unknown:
    without a reference system, and in one that is neither.
    """
    rows = np.asarray(rows, float)
    if crs is None:
        return None
    plane = abs(transform.a * transform.e - transform.b * transform.d)
    middle = transform.f + transform.e * (rows + 0.5)
    if crs.is_geographic:
        unit = crs.units_factor[1]  # radians
        return plane * unit**2 * _per_square_radian(middle * unit)
    if not crs.is_projected:
        return None
    plane *= crs.linear_units_factor[1] ** 2
    if crs.to_epsg() != WEB_MERCATOR:
        return np.full(rows.shape, plane)
    latitude = np.arctan(np.sinh(middle / SEMI_MAJOR))
    return plane / SEMI_MAJOR**2 * np.cos(latitude) * _per_square_radian(latitude)


def _per_square_radian(latitude: np.ndarray) -> np.ndarray:
    """Square metres per radian of longitude and radian of latitude."""
    bend = 1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
    meridian = SEMI_MAJOR * (1 - ECCENTRICITY_SQUARED) / bend**1.5
    across = SEMI_MAJOR / np.sqrt(bend)
    return meridian * across * np.clip(np.cos(latitude), 0, None)
