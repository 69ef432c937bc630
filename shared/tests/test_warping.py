"""Rasters on another's grid and on one scale: nodata stays out of both."""

import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.grids import Canvas, Grid, cosine
from vitrail.raster import Raster, Warped, count_pages, joint_stretch, overlap

rasterio = pytest.importorskip("rasterio")
from rasterio.crs import CRS  # noqa: E402
from rasterio.transform import Affine  # noqa: E402
from rasterio.warp import Resampling, calculate_default_transform, reproject  # noqa: E402

from vitrail.testing.rasters import PLACE, UTM  # noqa: E402
from vitrail.testing.rasters import write_raster as made  # noqa: E402


def ramp(rows: int, columns: int, dtype: str) -> np.ndarray:
    """Two bands that rise evenly, which bilinear resampling keeps exactly."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([2 * x + y, x + 2 * y]).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_half_a_pixel_aside(tmp_path, dtype):
    with Raster(made(tmp_path / "a.tif", ramp(40, 50, dtype))) as raster:
        warped = Warped(raster, UTM, PLACE * Affine.translation(0.5, 0.5), (40, 50))
        part = warped.read((slice(2, 30), slice(3, 40)))
        warped.close()
    expected = ramp(40, 50, "float64")[:, 2:30, 3:40] + 1.5
    assert not part.mask.any()
    assert np.abs(part.data - expected).max() <= (0 if dtype == "float32" else 0.5)


@pytest.mark.parametrize("nodata", [0, 7, -9999, None])
def test_nodata_is_never_resampled_as_a_number(tmp_path, nodata):
    pixels = np.full((2, 40, 40), 1000, "float32")
    pixels[:, 10:20, 10:20] = np.nan if nodata is None else nodata
    with Raster(made(tmp_path / "a.tif", pixels, nodata=nodata)) as raster:
        warped = Warped(raster, UTM, PLACE * Affine.translation(0.3, -0.4), (45, 45))
        part = warped.read()
        warped.close()
    assert part.mask[:, 12:18, 12:18].all() and part.mask[:, 42:].all()
    assert np.allclose(part.compressed(), 1000)
    assert 100 <= part.mask[0, 5:30, 5:30].sum() <= 144


def test_an_alpha_band_travels(tmp_path):
    pixels = np.full((4, 30, 30), 90, "uint8")
    pixels[3] = 255
    pixels[3, 5:15, 5:15] = 0
    with Raster(made(tmp_path / "a.tif", pixels, photometric="RGB", ALPHA="YES")) as raster:
        warped = Warped(raster, UTM, PLACE * Affine.translation(0.5, 0), (30, 29))
        part = warped.read()
        warped.close()
    assert part.shape == (3, 30, 29) and part.mask[:, 7:13, 7:12].all()
    assert not part.mask[:, 20:, :25].any() and set(part.compressed()) == {90}


def test_another_system_as_rasterio_itself_does_it(tmp_path):
    pixels = ramp(60, 60, "float32")
    with Raster(made(tmp_path / "a.tif", pixels)) as raster:
        degrees = CRS.from_epsg(4326)
        place, width, height = calculate_default_transform(
            UTM, degrees, 60, 60, *raster.dataset.bounds
        )
        expected = np.full((2, height, width), np.nan, "float32")
        reproject(
            pixels,
            expected,
            src_transform=PLACE,
            src_crs=UTM,
            dst_transform=place,
            dst_crs=degrees,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear,
        )
        warped = Warped(raster, degrees, place, (height, width))
        part = warped.read()
        warped.close()
    both = ~part.mask & np.isfinite(expected)
    assert both.mean() > 0.8 and np.abs(part.data - expected)[both].max() < 0.05


def test_an_offset_moves_the_content(tmp_path):
    pixels = np.zeros((1, 20, 20), "uint8")
    pixels[0, 5, 6] = 200
    with Raster(made(tmp_path / "a.tif", pixels)) as raster:
        warped = Warped(raster, UTM, PLACE, (20, 20), offset=(2, -3))
        assert np.argwhere(warped.read().data[0]).tolist() == [[7, 3]]
        warped.close()


def test_where_two_rasters_overlap(tmp_path):
    pixels = ramp(40, 50, "uint8")
    moved = PLACE * Affine.translation(30, -10)
    with Raster(made(tmp_path / "b.tif", pixels, transform=moved)) as other:
        assert overlap(UTM, PLACE, (40, 50), other) == (slice(0, 30), slice(30, 50))
    far = Affine(30, 0, 900_000, 0, -30, 3604935)
    with Raster(made(tmp_path / "c.tif", pixels, transform=far)) as other:
        assert overlap(UTM, PLACE, (40, 50), other) is None
    with Raster(made(tmp_path / "d.tif", pixels, crs="EPSG:32650")) as other:
        assert overlap(UTM, PLACE, (40, 50), other) is None
    with Raster(made(tmp_path / "e.tif", pixels, crs="EPSG:4326", transform=PLACE)) as other:
        try:  # metres taken for degrees: GDAL says so, or gives no number
            assert overlap(UTM, PLACE, (40, 50), other) is None
        except InputError as error:
            assert "reference system" in str(error)


def test_pages_are_rasters_of_their_own(tmp_path):
    path = made(tmp_path / "a.tif", ramp(300, 300, "uint8"))
    assert count_pages(path) == 1
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    assert count_pages(path) == 1  # an overview is none
    made(path, ramp(30, 50, "uint8"))
    made(path, ramp(20, 10, "uint8"), APPEND_SUBDATASET="YES")
    assert count_pages(path) == 2
    with Raster(path, page=1) as raster:
        assert raster.shape == (20, 10) and raster.crs == UTM
        assert np.array_equal(raster.read().data, ramp(20, 10, "uint8"))
    with pytest.raises(InputError, match="2 pages"):
        Raster(path, page=2)


def test_one_hot_pixel_decides_nothing(tmp_path):
    rng = np.random.default_rng(1)
    first = rng.integers(1000, 2000, (2, 80, 90)).astype("uint16")
    second = rng.integers(1500, 3000, (2, 80, 90)).astype("uint16")
    second[:, 4, 4], first[:, :20] = 65535, 0
    paths = [made(tmp_path / f"{n}.tif", one, nodata=0) for n, one in enumerate((first, second))]
    with Raster(paths[0]) as a, Raster(paths[1]) as b:
        stretch = joint_stretch([a, b], [0, 1])
        levels = [stretch.apply(one.read()) for one in (a, b)]
    assert min(stretch.low) >= 1000 and max(stretch.high) <= 3000
    assert levels[0].dtype == np.uint8 and levels[0].mask[:, :20].all()
    equal = (first == 1600) & ~levels[0].mask
    assert len(np.unique(levels[0].data[0][equal[0]])) == 1
    assert levels[1].data[0, 4, 4] == 255


def test_nothing_to_stretch_by(tmp_path):
    with Raster(made(tmp_path / "a.tif", np.zeros((1, 9, 9), "uint8"), nodata=0)) as empty:
        assert joint_stretch([empty], [0]) is None
    with Raster(made(tmp_path / "b.tif", np.full((1, 9, 9), 7, "uint8"))) as flat:
        assert np.all(joint_stretch([flat], [0]).apply(flat.read()) == 128)


def test_cosine_weights_of_half_overlapping_windows_are_even():
    weight = cosine((16,)).astype(float)
    assert np.allclose(weight[:8] + weight[8:], 1, atol=2e-3)
    canvas = Canvas(Grid((40, 40), (16, 16), 0.25), 1, cosine)
    for number in range(len(canvas.grid)):
        canvas.add(number, np.array([3.0]))
    assert np.allclose(canvas.logits(), 3)
