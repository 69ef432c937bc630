"""Images with a world file beside them: a place without a reference system."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from change_detect.job import ChangeJob, Options
from vitrail.errors import InputError
from vitrail.testing.commands import call

from .fakes import PLACE, UTM, built, made, picture, town

# Counted from the centre of the first pixel, whose corner is PLACE's.
HALF_METRE = "0.5\n0\n0\n-0.5\n500000.25\n3999999.75\n"
ROOF = (20, 30, 60, 80)


@pytest.fixture
def vectors() -> ChangeJob:
    return ChangeJob(None, Options(method="cva"))


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("png", "pgw"), ("jpg", "jgw"), ("tif", "tfw"), ("bmp", "bpw"), ("webp", "WLD")],
)
def test_outlines_lie_where_the_world_file_says(tmp_path, kind, suffix):
    ground = town(120, 140)
    for name, pixels in (("a", ground), ("b", built(ground, ROOF))):
        picture(tmp_path / f"{name}.{kind}", pixels)
        (tmp_path / f"{name}.{suffix}").write_text(HALF_METRE)
    dates = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    outcome = call("change_detect", *dates, "--method", "cva", "-o", tmp_path / "out")
    row = json.loads(outcome.stdout)
    assert f"a.{kind} lies where a.{suffix} says" in row["damage"]
    assert row["changed_m2"] is None and any(
        "no reference system" in one or "without a reference system" in one
        for one in row["reasons"]
    )
    folder = tmp_path / "out" / "a-b"
    with rasterio.open(folder / "change.tif") as mask:
        assert mask.crs is None and mask.transform == PLACE
    largest, *_ = json.loads((folder / "changes.geojson").read_text())["features"]
    corner = np.min(largest["geometry"]["coordinates"][0], axis=0)
    assert corner == pytest.approx((500_000 + 30 * 0.5, 4_000_000 - 60 * 0.5), abs=3)


def test_a_date_elsewhere_is_brought_onto_the_first(vectors, tmp_path):
    """The later one is cut out of the same ground, 40 columns and 20 rows on."""
    ground = town(120, 140)
    after = built(ground, ROOF)
    picture(tmp_path / "a.png", ground)
    picture(tmp_path / "b.png", after[:, 20:, 40:])
    (tmp_path / "a.pgw").write_text(HALF_METRE)
    (tmp_path / "b.pgw").write_text("0.5\n0\n0\n-0.5\n500020.25\n3999989.75\n")
    result = vectors.predict(tmp_path / "a.png", tmp_path / "b.png")
    assert result.mask.shape == (100, 100)
    assert result.place.transform == PLACE * Affine.translation(40, 20)
    expected = vectors.predict(ground[:, 20:, 40:], after[:, 20:, 40:])
    assert np.array_equal(result.changed, expected.changed)
    (tmp_path / "b.pgw").write_text("0.5\n0\n0\n-0.5\n900000\n4000000\n")
    with pytest.raises(InputError, match=r"lies elsewhere than a\.png"):
        vectors.predict(tmp_path / "a.png", tmp_path / "b.png")


def test_beside_a_map_its_system_is_taken(vectors, tmp_path):
    """A map of one metre a pixel, and a picture of half a metre on the same ground."""
    ground = town(120, 140)
    coarse = made(tmp_path / "a.tif", ground[:, ::2, ::2], transform=PLACE * Affine.scale(2))
    picture(tmp_path / "b.png", built(ground, ROOF))
    (tmp_path / "b.pgw").write_text(HALF_METRE)
    for dates in ((coarse, tmp_path / "b.png"), (tmp_path / "b.png", coarse)):
        result = vectors.predict(*dates)
        assert result.place.crs == rasterio.crs.CRS.from_string(UTM)
        assert "b.png has no reference system: taken to have that of the other" in result.damage
        assert result.areas["changed"] == pytest.approx(40 * 50 / 4, rel=0.15)


def test_a_map_s_own_place_counts_more(vectors, tmp_path):
    path = made(tmp_path / "a.tif", town(50, 60))
    (tmp_path / "a.tfw").write_text("9\n0\n0\n-9\n0\n0\n")
    result = vectors.predict(path, path)
    assert result.place.transform == PLACE and not any("tfw" in one for one in result.damage)


@pytest.mark.parametrize(
    "content", ["", "0.5\n0\n0\n", "a\nb\nc\nd\ne\nf", "0\n0\n0\n0\n1\n1\n", "nan\n0\n0\n1\n0\n0\n"]
)
def test_files_that_hold_no_place_are_left_out(vectors, tmp_path, content):
    for name in "ab":
        picture(tmp_path / f"{name}.png", town(50, 60))
    (tmp_path / "a.pgw").write_text(content)
    result = vectors.predict(tmp_path / "a.png", tmp_path / "b.png")
    assert result.place.transform is None
    assert any(one.startswith("a.pgw is left out") for one in result.damage)


def test_one_world_file_alone_serves_both(vectors, tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png", town(50, 60))
    (tmp_path / "b.pgw").write_text(HALF_METRE)
    result = vectors.predict(tmp_path / "a.png", tmp_path / "b.png")
    assert result.place.transform is None
    assert "a.png has no place: taken to lie where the other does" in result.damage


def test_a_palette_with_a_place_is_refused(vectors, tmp_path):
    from PIL import Image

    Image.fromarray(town(50, 60)[0]).convert("P").save(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text(HALF_METRE)
    with pytest.raises(InputError, match="has a palette and has a place"):
        vectors.predict(tmp_path / "a.png", tmp_path / "a.png")
