"""Pieces of ground: the same however the map is cut into strips."""

import json

import numpy as np
import pytest
from scipy import ndimage

from change_detect import objects
from change_detect.objects import find_objects
from change_detect.polygons import outlines, write_geojson, write_geopackage
from change_detect.scene.spool import Spool

from .fakes import built, made, town


def spooled(array: np.ndarray) -> Spool:
    spool = Spool(array.shape, array.dtype)
    spool.add(array)
    return spool


def no_area(rows: slice) -> None:
    return None


def test_pieces_across_strips(monkeypatch):
    rng = np.random.default_rng(4)
    mask = (ndimage.gaussian_filter(rng.random((150, 90)), 3) > 0.51).astype(np.uint8)
    mask[:10, :10] = 255
    levels = rng.integers(0, 201, mask.shape).astype(np.uint8)
    pieces = {}
    for band in (1024, 17):
        monkeypatch.setattr(objects, "BAND", band)
        clean, found = find_objects(spooled(mask), spooled(levels), 1 / 200, no_area, min_area=5)
        pieces[band] = found
        labels, _ = ndimage.label(mask == 1, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        assert sorted(p.pixels for p in found) == sorted(sizes[sizes >= 5].tolist())
        kept = np.isin(labels, np.flatnonzero(sizes >= 5) + 1)
        assert np.array_equal(clean.array(), np.where(mask == 255, 255, kept))
        assert all(np.isclose(p.geometry.area, p.pixels) for p in found)
        for piece in found:
            top, left, bottom, right = piece.bounds
            assert piece.geometry.bounds == (left, top, right, bottom)
    sort = {
        band: sorted((p.pixels, p.bounds, round(p.mean, 9), p.largest) for p in found)
        for band, found in pieces.items()
    }
    assert sort[1024] == sort[17]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_outlines_of_pieces_that_touch_at_corners_are_valid(share):
    mask = (np.random.default_rng(1).random((60, 70)) < share).astype(np.uint8)
    _, found = find_objects(spooled(mask), spooled(mask), 1, no_area)
    assert all(piece.geometry.is_valid for piece in found)
    assert [piece.geometry.area for piece in found] == [piece.pixels for piece in found]


def test_no_change_is_a_valid_result(job, tmp_path):
    ground = town()
    result = job.predict(made(tmp_path / "a.tif", ground), made(tmp_path / "b.tif", ground))
    assert result.share == 0 and not result.objects and not result.changed.any()
    found = outlines(result)
    write_geojson(tmp_path / "c.geojson", found, result.place)
    write_geopackage(tmp_path / "c.gpkg", found, result.place)
    assert json.loads((tmp_path / "c.geojson").read_text())["features"] == []


@pytest.mark.parametrize("crs", ["EPSG:32651", "EPSG:4326", "EPSG:3857"])
def test_areas_agree_in_every_system(job, tmp_path, crs):
    """A roof of 40 x 60 pixels of half a metre is 600 m2, whatever the map's system is."""
    from pyproj import Transformer
    from rasterio.transform import Affine

    way = Transformer.from_crs("EPSG:32651", crs, always_xy=True)
    x, y = way.transform(500_000, 4_000_000)
    x1, y1 = way.transform(500_000.5, 3_999_999.5)
    place = Affine(x1 - x, 0, x, 0, y1 - y, y)
    ground = town(200, 220)
    paths = [
        made(tmp_path / "a.tif", ground, crs=crs, transform=place),
        made(tmp_path / "b.tif", built(ground, (50, 60, 90, 120)), crs=crs, transform=place),
    ]
    result = job.predict(*paths)
    (piece,) = result.objects
    assert piece.pixels == 2400 and piece.area == pytest.approx(600, rel=2e-3)
    (outline,) = outlines(result)
    assert outline.perimeter_m == pytest.approx(100, rel=2e-3)
    assert result.areas["changed"] == pytest.approx(600, rel=2e-3)
    write_geojson(tmp_path / "c.geojson", [outline], result.place)
    (feature,) = json.loads((tmp_path / "c.geojson").read_text())["features"]
    longitude, latitude = np.array(feature["geometry"]["coordinates"][0]).mean(axis=0)
    assert longitude == pytest.approx(123, abs=1e-3) and latitude == pytest.approx(36.14, abs=0.01)
