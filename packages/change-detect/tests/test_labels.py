"""Labels drawn as polygons on a map, beside GeoTIFFs."""

import json

import numpy as np
import pytest

from change_detect.data import find_pairs
from change_detect.polygons import Outline, write_geojson, write_geopackage
from change_detect.result import Place
from vitrail.errors import InputError

from .fakes import PLACE, UTM, built, made, picture, town

ROOF = (10, 20, 30, 50)


@pytest.fixture
def folder(tmp_path):
    """A pair of GeoTIFFs in A and B, and an empty folder for labels."""
    for name, pixels in (("A", town(60, 80)), ("B", built(town(60, 80), ROOF))):
        (tmp_path / name).mkdir()
        made(tmp_path / name / "one.tif", pixels)
    (tmp_path / "label").mkdir()
    return tmp_path


def outline(points) -> Outline:
    from shapely.geometry import Polygon

    places = [PLACE * point for point in points]
    return Outline(Polygon(places), 1, None, None, 1, 1.0, 1.0)


def place() -> Place:
    from rasterio.crs import CRS

    return Place(CRS.from_string(UTM), PLACE, 0.5)


LINE = json.dumps({"type": "LineString", "coordinates": [[121, 36], [122, 37]]})
BOX = [(20, 10), (50, 10), (50, 30), (20, 30)]


@pytest.mark.parametrize("kind", ["geojson", "gpkg"])
def test_polygons_lie_on_the_pixels(folder, kind):
    """What the command writes is a label too: GeoJSON in degrees, a GeoPackage in metres."""
    write = write_geojson if kind == "geojson" else write_geopackage
    write(folder / "label" / f"one.{kind}", [outline(BOX)], place())
    (pair,) = find_pairs(folder)
    truth = np.zeros((60, 80), bool)
    truth[10:30, 20:50] = True
    np.testing.assert_array_equal(pair.changed, truth)


def test_no_polygon_is_no_change(folder):
    write_geojson(folder / "label" / "one.geojson", [], place())
    (pair,) = find_pairs(folder)
    assert pair.changed.shape == (60, 80) and not pair.changed.any()


def test_one_that_crosses_itself_is_mended_and_said(folder, capsys):
    bow = [(20, 10), (50, 30), (50, 10), (20, 30)]
    write_geopackage(folder / "label" / "one.gpkg", [outline(bow)], place())
    (pair,) = find_pairs(folder)
    assert 250 < pair.changed.sum() < 350
    assert "1 polygons cross themselves and were mended" in capsys.readouterr().err


def test_polygons_need_a_place(folder):
    write_geojson(folder / "label" / "one.geojson", [outline(BOX)], place())
    (folder / "A" / "one.tif").unlink()
    picture(folder / "A" / "one.png", town(60, 80))
    with pytest.raises(InputError, match="has no reference system, which polygons need"):
        _ = find_pairs(folder)[0].changed


@pytest.mark.parametrize("content", ["", "{", "<html>", LINE])
def test_files_that_hold_no_polygons(folder, content):
    (folder / "label" / "one.geojson").write_text(content)
    with pytest.raises(InputError):
        _ = find_pairs(folder)[0].changed
