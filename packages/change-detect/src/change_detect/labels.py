"""Where a pair changed: masks as the benchmarks have them, and polygons drawn on a map."""

from pathlib import Path

import numpy as np

from vitrail.errors import InputError, plain
from vitrail.preprocess.image import FORMATS, check_size
from vitrail.say import warn
from vitrail.sources import require_file

MAX_TWO_MODES = 0.01  # share of pixels of a label that may be neither its least nor its largest
POLYGON_SUFFIXES = frozenset({".geojson", ".gpkg"})


def read_label(path: Path) -> np.ndarray:
    """(H, W) bool: above half of the largest value, since labels are 0 and 255, or 0 and 1.

    A JPEG has values between by its nature. Raises InputError for another label of more than two
    values, and for a file that is damaged, too large, or no image.
    """
    from PIL import Image

    with (
        plain(require_file(path), "is no label that can be read", "copy it again"),
        Image.open(path, formats=FORMATS) as image,
    ):
        check_size(path, image)
        is_jpeg = image.format == "JPEG"
        values = np.asarray(image.convert("L") if image.mode not in ("P", "I;16", "1") else image)
    values = values.astype(np.int64)
    largest = values.max(initial=0)
    between = np.count_nonzero((values > 0) & (values < largest))
    if not is_jpeg and between > MAX_TWO_MODES * values.size:
        problem = f"holds {len(np.unique(values))} values, and a label two"
        raise InputError(path, problem, "give a mask of 0 and 255, or of 0 and 1")
    return values > largest / 2


def read_polygons(path: Path, image: Path) -> np.ndarray:
    """(H, W) bool on the grid of the GeoTIFF ``image``: pixels whose centre lies in a polygon of
    the first layer of ``path``. No polygon at all is a label too.

    One that crosses itself is mended, and a line says so. InputError where either has no place on
    the earth, or ``path`` cannot be read.
    """
    from pyogrio import raw
    from rasterio.features import rasterize
    from shapely import from_wkb, get_dimensions, is_missing, is_valid, make_valid

    from vitrail.raster import Raster

    with plain(require_file(path), "is not a file of polygons", "give GeoJSON or a GeoPackage"):
        meta, _, data, _ = raw.read(path, columns=[])
        found = from_wkb(data)
    geometries = found[~is_missing(found)]
    if (get_dimensions(geometries) < 2).any():
        raise InputError(path, "holds points or lines", "give polygons")
    raster = Raster(image)
    try:
        crs, transform, shape = raster.crs, raster.transform, raster.shape
    finally:
        raster.close()
    for subject, system in ((image, crs), (path, meta["crs"])):
        if system is None:
            problem = "has no reference system, which polygons need"
            raise InputError(subject, problem, "give GeoTIFFs, or masks as labels")
    crossing = ~is_valid(geometries)
    if crossing.any():
        warn("change-detect", f"{path}: {crossing.sum()} polygons cross themselves and were mended")
        geometries = make_valid(geometries)
    drawn = [one for one in _moved(geometries, meta["crs"], crs) if not one.is_empty]
    if not drawn:
        return np.zeros(shape, bool)
    mask = np.zeros(shape, np.uint8)
    rasterize(drawn, out=mask, transform=transform)
    return mask.astype(bool)


def _moved(geometries: np.ndarray, source: str, crs: object) -> np.ndarray:
    """The geometries in the raster's reference system."""
    from pyproj import CRS, Transformer
    from shapely import transform

    target = CRS.from_wkt(crs.to_wkt())  # pyright: ignore[reportAttributeAccessIssue] - rasterio's
    way = Transformer.from_crs(CRS.from_user_input(source), target, always_xy=True)

    def move(points: np.ndarray) -> np.ndarray:
        return np.stack(way.transform(points[:, 0], points[:, 1]), axis=1)

    return transform(geometries, move)
