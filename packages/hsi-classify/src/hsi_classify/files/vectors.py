"""Labels as polygons and points on the ground: GeoPackage and GeoJSON, in any coordinate system."""

from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.files.cube import Cube
from hsi_classify.files.points import CLASS, numbered
from hsi_classify.scene.labels import Labels
from vitrail.errors import InputError, plain

DRIVERS = {True: "GPKG", False: "GeoJSON"}
MAX_FEATURES = 1_000_000
MAX_BYTES = 500_000_000


def read_vectors(path: Path, cube: Cube, field: str | None = None) -> Labels:
    """Polygons label the pixels whose centres they hold, points the pixel that they lie in.

    The column of classes is ``field``, or the one that is called class or the like. InputError
    where nothing lies in the scene, and where two classes claim a pixel.
    """
    if cube.transform is None:
        problem = "gives places on the ground, and the cube has none"
        raise InputError(path, problem, "give labels by row and column")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(path, "is too long for labels", "give a raster of labels")
    columns, shapes, values, given = _features(path)
    texts = [str(value) for value in values[_column(path, columns, field)]]
    if any(text in ("", "None", "nan") for text in texts):
        raise InputError(path, "has a feature without a class", "fill the column or remove it")
    ids, names = numbered(texts)
    if (ids <= 0).any():
        problem = f"has the class {ids.min()}, and 0 means unlabelled"
        raise InputError(path, problem, "number from 1")
    shapes = _moved(path, shapes, given, cube)
    painted, outside = _painted(path, shapes, ids, cube)
    notes = []
    if outside:
        notes.append(f"{outside} of {len(ids)} features label no pixel of the scene")
    present = set(np.unique(painted).tolist())
    return Labels(painted, {k: v for k, v in names.items() if k in present}, notes=tuple(notes))


def _features(path: Path) -> tuple[list[str], Any, list[np.ndarray], str | None]:
    """Columns, geometries, the columns' values, and the coordinate system as text."""
    import shapely
    from pyogrio import list_layers
    from pyogrio.raw import read

    with path.open("rb") as file:
        driver = DRIVERS[file.read(15) == b"SQLite format 3"]
    with plain(path, "is no GeoPackage or GeoJSON that can be read"):
        # The driver by name, in front of the path: no other may look at the file.
        place = f"{driver}:{path.resolve()}" if driver == "GPKG" else path
        layers = [str(name) for name, kind in list_layers(place) if kind is not None]
    if len(layers) > 1:
        problem = f"holds several layers: {', '.join(layers)[:60]}"
        raise InputError(path, problem, "save the one of the labels by itself")
    with plain(path, "is no GeoPackage or GeoJSON that can be read"):
        meta, _, geometry, values = read(place, layer=layers[0] if layers else None)
        shapes = shapely.from_wkb(geometry)
    if not len(shapes) or len(shapes) > MAX_FEATURES:
        raise InputError(path, f"holds {len(shapes)} features", "give labelled areas or points")
    return [str(name) for name in meta["fields"]], shapes, list(values), meta["crs"]


def _column(path: Path, columns: list[str], field: str | None) -> int:
    if field:
        if field not in columns:
            have = ", ".join(columns) or "none"
            raise InputError(path, f"has no column {field}", f"it has {have}"[:90])
        return columns.index(field)
    named = [n for n, name in enumerate(columns) if name.lower() in CLASS and name.lower() != "id"]
    if len(named) == 1:
        return named[0]
    if len(columns) == 1:
        return 0
    have = ", ".join(columns)[:60] or "no column"
    raise InputError(path, f"has {have}: which are the classes?", "name the column with --field")


def _moved(path: Path, shapes: Any, given: str | None, cube: Cube) -> Any:
    """The geometries in the cube's coordinate system."""
    import shapely
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    if given is None or cube.crs is None:
        if given is None and cube.crs is None:
            return shapes
        which = (
            "no coordinate system, and the cube has one"
            if given is None
            else "a coordinate system, and the cube has none"
        )
        raise InputError(path, f"has {which}", "set it in both")
    try:
        source = CRS.from_user_input(given)
    except CRSError as error:
        raise InputError(path, "has an unknown coordinate system", "use a usual one") from error
    if source == cube.crs:
        return shapes

    def move(points: np.ndarray) -> np.ndarray:
        x, y = transform(source, cube.crs, points[:, 0], points[:, 1])[:2]
        return np.stack([x, y], 1)

    with plain(path, "holds places that are none in its coordinate system", "correct it"):
        return shapely.transform(shapes, move)


def _painted(path: Path, shapes: Any, ids: np.ndarray, cube: Cube) -> tuple[np.ndarray, int]:
    """Class ids (rows, columns), and how many features lie on no pixel."""
    import shapely
    from rasterio.features import rasterize

    painted = np.zeros(cube.size, np.int32)
    outside = 0
    for shape, value in zip(shapes, ids.tolist(), strict=True):
        if shape is None or shape.is_empty or not np.isfinite(shape.bounds).all():
            outside += 1
            continue
        if shape.geom_type in ("Point", "MultiPoint"):
            mask = _pixels_of(shapely.get_coordinates(shape), cube)
        elif shape.geom_type in ("Polygon", "MultiPolygon"):
            mask = np.zeros(cube.size, np.uint8)
            rasterize([shape], out=mask, transform=cube.transform)
            mask = mask > 0
        else:
            raise InputError(path, f"holds a {shape.geom_type}", "give polygons or points")
        outside += not mask.any()
        if ((painted[mask] != 0) & (painted[mask] != value)).any():
            raise InputError(path, "gives two classes to one pixel", "correct the overlap")
        painted[mask] = value
    if outside == len(ids):
        raise InputError(path, "lies outside the scene", "check its coordinate system")
    return painted, outside


def _pixels_of(points: np.ndarray, cube: Cube) -> np.ndarray:
    columns, rows = ~cube.transform @ (points[:, 0], points[:, 1])
    rows, columns = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    inside = (rows >= 0) & (rows < cube.size[0]) & (columns >= 0) & (columns < cube.size[1])
    mask = np.zeros(cube.size, bool)
    mask[rows[inside], columns[inside]] = True
    return mask
