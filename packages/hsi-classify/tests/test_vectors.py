"""Polygons and points on the ground."""

import json

import numpy as np
import pytest
import rasterio
import shapely
from pyogrio.raw import write
from rasterio.transform import from_origin

from hsi_classify.files.cube import Cube
from hsi_classify.files.labels import read_labels
from vitrail.errors import InputError

PLACE = from_origin(500_000, 4_000_000, 10, 10)


@pytest.fixture
def cube() -> Cube:
    values = np.zeros((20, 30, 4))
    crs = rasterio.CRS.from_epsg(32610)
    return Cube("c", values.shape, lambda rows: values[rows], crs=crs, transform=PLACE)


def geopackage(path, shapes, classes, crs="EPSG:32610", column="class") -> None:
    kind = "Unknown"
    write(
        path,
        shapely.to_wkb(shapes),
        [np.array(classes, object)],
        [column],
        geometry_type=kind,
        crs=crs,
        driver="GPKG",
    )


def box(left: int, top: int, right: int, bottom: int) -> shapely.Polygon:
    """Pixels of those columns and rows, the ends left out."""
    (x1, y1), (x2, y2) = PLACE @ (left, top), PLACE @ (right, bottom)
    return shapely.box(x1, y2, x2, y1)


def test_polygons_with_names(tmp_path, cube):
    path = tmp_path / "areas.gpkg"
    geopackage(path, [box(2, 3, 6, 5), box(10, 10, 12, 14)], ["soil", "road"])
    labels = read_labels(path, cube)
    assert labels.names == {1: "road", 2: "soil"} and labels.counts == {1: 8, 2: 8}
    assert (labels.ids[3:5, 2:6] == 2).all() and (labels.ids[10:14, 10:12] == 1).all()


def test_points_in_degrees(tmp_path, cube):
    x, y = PLACE @ (7.5, 4.5)
    (lon,), (lat,) = rasterio.warp.transform("EPSG:32610", "EPSG:4326", [x], [y])
    far = {"type": "Point", "coordinates": [0.0, 0.0]}
    near = {"type": "Point", "coordinates": [lon, lat]}
    features = [
        {"type": "Feature", "geometry": place, "properties": {"label": value}}
        for place, value in ((near, 12), (far, 3))
    ]
    path = tmp_path / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    labels = read_labels(path, cube)
    assert labels.ids[4, 7] == 12 and labels.counts == {12: 1}
    assert labels.notes == ("1 of 2 features label no pixel of the scene",)


def test_what_cannot_be_used(tmp_path, cube):
    path = tmp_path / "areas.gpkg"
    geopackage(path, [box(100, 100, 110, 110)], ["far"])
    with pytest.raises(InputError, match="lies outside the scene"):
        read_labels(path, cube)
    path.unlink()
    geopackage(path, [box(1, 1, 5, 5), box(3, 3, 8, 8)], ["a", "b"])
    with pytest.raises(InputError, match="two classes to one pixel"):
        read_labels(path, cube)
    path.unlink()
    geopackage(path, [box(1, 1, 5, 5)], ["a"], column="kind")
    assert read_labels(path, cube).names == {1: "a"}
    with pytest.raises(InputError, match="has no column type; it has kind"):
        read_labels(path, cube, "type")
    bare = Cube("c", cube.shape, cube.read)
    with pytest.raises(InputError, match="places on the ground, and the cube has none"):
        read_labels(path, bare)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="is no GeoPackage or GeoJSON"):
        read_labels(path, cube)
    path.write_text('{"type": "FeatureCollection"')
    with pytest.raises(InputError, match="is no GeoPackage or GeoJSON"):
        read_labels(path, cube)
