"""Changed ground as polygons: GeoJSON for the web, GeoPackage for maps on a desk."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from change_detect.objects import Piece
from change_detect.result import Place, Result

WORLD = 4326
WEB_MERCATOR = 3857
DIGITS = 7  # of a degree: a centimetre
LAYER = "changes"
FIELDS = ("id", "area_m2", "perimeter_m", "pixels", "mean_probability", "largest_probability")


@dataclass(frozen=True)
class Outline:
    """One object: its geometry in the raster's system (pixels where it has none), simplified, and
    what is known of it; square metres and metres are None where they are unknown."""

    geometry: Any
    id: int
    area_m2: float | None
    perimeter_m: float | None
    pixels: int
    mean_probability: float
    largest_probability: float

    def values(self) -> dict[str, Any]:
        """What stands beside the geometry in a file."""
        return {name: getattr(self, name) for name in FIELDS}


def outlines(result: Result) -> list[Outline]:
    """The objects as polygons; the area is that of their pixels, before outlines are simplified."""
    return [_outline(piece, result) for piece in result.objects]


def _outline(piece: Piece, result: Result) -> Outline:
    from shapely import affinity

    geometry = piece.geometry
    if result.smooth:
        simpler = geometry.simplify(result.smooth)
        geometry = simpler if simpler.is_valid and not simpler.is_empty else geometry
    place = result.place
    if place.transform is not None:
        t = place.transform
        geometry = affinity.affine_transform(geometry, [t.a, t.b, t.d, t.e, t.c, t.f])
    return Outline(
        geometry,
        piece.number,
        None if piece.area is None else round(piece.area, 2),
        _perimeter(geometry, place),
        piece.pixels,
        round(piece.mean, 4),
        round(piece.largest, 4),
    )


def _perimeter(geometry: Any, place: Place) -> float | None:
    """Metres: along the ellipsoid where the system is in degrees or Web Mercator, else in its
    plane."""
    if place.crs is None or place.gsd is None:
        return None
    if place.crs.is_projected and place.crs.to_epsg() != WEB_MERCATOR:
        return round(geometry.length * place.crs.linear_units_factor[1], 2)
    from pyproj import Geod

    if place.crs.is_projected:
        (geometry,) = in_degrees([geometry], place)
    return round(abs(Geod(ellps="WGS84").geometry_area_perimeter(geometry)[1]), 2)


def in_degrees(geometries: Iterable[Any], place: Place) -> list[Any]:
    """The same on WGS 84, (longitude, latitude); ValueError where PROJ knows no way there."""
    from pyproj import CRS, Transformer
    from pyproj.exceptions import ProjError
    from shapely import transform

    try:
        way = Transformer.from_crs(CRS.from_wkt(place.crs.to_wkt()), WORLD, always_xy=True)
    except ProjError as error:
        raise ValueError(str(error)) from error

    def move(points: np.ndarray) -> np.ndarray:
        return np.stack(way.transform(points[:, 0], points[:, 1]), axis=1)

    moved = [transform(geometry, move) for geometry in geometries]
    if any(not np.isfinite(one.bounds).all() for one in moved):
        raise ValueError("no coordinates on the earth")
    return moved


def write_geojson(path: Path, found: list[Outline], place: Place) -> None:
    """Features on WGS 84, as the format wants it; in pixels where the place is unknown."""
    from shapely.geometry import mapping

    geometries = [one.geometry for one in found]
    if place.crs is not None:
        geometries = [_rounded(one) for one in in_degrees(geometries, place)]
    features = (
        {"type": "Feature", "id": one.id, "properties": one.values(), "geometry": mapping(geometry)}
        for one, geometry in zip(found, geometries, strict=True)
    )
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [\n')
        file.writelines(_joined(json.dumps(feature) for feature in features))
        file.write("\n]}\n")


def _joined(lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f",\n{line}" if number else line


def _rounded(geometry: Any) -> Any:
    from shapely import set_precision

    rounded = set_precision(geometry, 10**-DIGITS, mode="pointwise")
    return rounded if rounded.is_valid and not rounded.is_empty else geometry


def write_geopackage(path: Path, found: list[Outline], place: Place) -> None:
    """One layer in the raster's own system; without one in pixels, rows downwards negative, so that
    the map is upright."""
    from pyogrio import raw
    from shapely import affinity, to_wkb

    geometries = [one.geometry for one in found]
    if place.transform is None:
        geometries = [affinity.scale(one, 1, -1, origin=(0, 0)) for one in geometries]
    columns = []
    for name in FIELDS:
        values = [getattr(one, name) for one in found]
        kind = np.int64 if name in ("id", "pixels") else np.float64
        columns.append(np.array([np.nan if v is None else v for v in values], kind))
    raw.write(
        path,
        geometry=np.array([to_wkb(_multi(one)) for one in geometries], object),
        field_data=columns,
        # The column "id" would take the place of the format's own key.
        fields=["number", *FIELDS[1:]],
        geometry_type="MultiPolygon",
        crs=None if place.crs is None else place.crs.to_wkt(),
        driver="GPKG",
        layer=LAYER,
    )


def _multi(geometry: Any) -> Any:
    from shapely.geometry import MultiPolygon

    return geometry if geometry.geom_type == "MultiPolygon" else MultiPolygon([geometry])
