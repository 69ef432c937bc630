"""Rasters: what is read and written comes back, nothing else is opened, damage is one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitrail.errors import InputError
from vitrail.grids import Canvas, Grid
from vitrail.raster import Raster, create_raster, pixel_area, valid_pixels

rasterio = pytest.importorskip("rasterio")
from rasterio.crs import CRS  # noqa: E402
from rasterio.transform import Affine  # noqa: E402

from vitrail.testing.rasters import PLACE, UTM  # noqa: E402
from vitrail.testing.rasters import write_raster as made  # noqa: E402

DATA = Path(os.environ.get("VITRAIL_DATA", Path(__file__).parents[3] / "shared" / "data"))
DEGREES = CRS.from_epsg(4326)

needs_data = pytest.mark.skipif(
    not (DATA / "change/geotiff").is_dir(), reason="needs VITRAIL_DATA/change/geotiff"
)


def noise(*shape: int, dtype: str = "uint8") -> np.ndarray:
    values = np.random.default_rng(3).integers(1, 250, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_a_raster_comes_back_window_by_window(tmp_path, dtype):
    pixels = noise(3, 70, 90, dtype=dtype)
    with Raster(made(tmp_path / "a?b#c.tif", pixels)) as raster:
        assert (raster.shape, raster.bands, raster.dtype) == ((70, 90), 3, np.dtype(dtype))
        assert raster.crs == UTM and raster.transform == PLACE and raster.nodata is None
        assert raster.remarks == ()
        part = raster.read((slice(5, 30), slice(60, 90)))
        assert np.array_equal(part.data, pixels[:, 5:30, 60:]) and not part.mask.any()
        assert np.array_equal(raster.read().data, pixels)
        for window in [(slice(0, 71), slice(0, 1)), (slice(3, 3), slice(0, 1))]:
            with pytest.raises(ValueError, match="window"):
                raster.read(window)


def test_nodata_alpha_masks_and_nan_are_masked(tmp_path):
    pixels = noise(2, 20, 30, dtype="float32")
    pixels[0, 0, 0] = pixels[:, 1, 1] = -9999
    pixels[1, 2, 2], pixels[0, 3, 3] = np.nan, np.inf
    with Raster(made(tmp_path / "a.tif", pixels, nodata=-9999)) as raster:
        part = raster.read()
        assert np.argwhere(part.mask).tolist() == [
            [0, 0, 0],
            [0, 1, 1],
            [0, 3, 3],
            [1, 1, 1],
            [1, 2, 2],
        ]
        assert np.argwhere(~valid_pixels(part)).tolist() == [[1, 1], [2, 2], [3, 3]]

    pixels = noise(4, 20, 30)
    pixels[3] = 255
    pixels[3, 4, :] = 0
    with Raster(made(tmp_path / "b.tif", pixels, photometric="RGB", ALPHA="YES")) as raster:
        assert raster.bands == 3 and raster.colours == ("red", "green", "blue")
        part = raster.read()
        assert part.mask[:, 4].all() and part.mask.sum() == 3 * 30
        assert np.argwhere(~valid_pixels(part))[:, 0].tolist() == [4] * 30

    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        made(tmp_path / "c.tif", noise(1, 20, 30))
        with rasterio.open(tmp_path / "c.tif", "r+") as dataset:
            mask = np.full((20, 30), 255, np.uint8)
            mask[:, 7] = 0
            dataset.write_mask(mask)
    with Raster(tmp_path / "c.tif") as raster:
        assert np.argwhere(~valid_pixels(raster.read()))[:, 1].tolist() == [7] * 20


def test_a_raster_without_a_place_says_so(tmp_path):
    options = {"crs": None, "transform": None}
    with Raster(made(tmp_path / "a.tif", noise(1, 9, 9), **options)) as raster:
        assert raster.crs is None and raster.pixel_area() is None
        assert "no coordinate reference system" in raster.remarks[0]


@pytest.mark.parametrize("interleave", ["bil", "bip", "bsq"])
def test_envi_by_its_data_or_its_header(tmp_path, interleave):
    pixels = noise(5, 12, 17, dtype="int16")
    made(tmp_path / "cube.img", pixels, driver="ENVI", interleave=interleave)
    for name in ("cube.img", "cube.hdr"):
        with Raster(tmp_path / name) as raster:
            assert raster.crs is not None and np.array_equal(raster.read().data, pixels)
    with (tmp_path / "cube.img").open("r+b") as file:
        file.truncate(700)
    with pytest.raises(InputError, match="shorter than its header"):
        Raster(tmp_path / "cube.img")
    (tmp_path / "cube.img").unlink()
    with pytest.raises(InputError, match="a header without its pixels"):
        Raster(tmp_path / "cube.hdr")


def test_what_is_not_a_raster_is_one_line(tmp_path):
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("a letter")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "head.tif").write_bytes(b"II*\0\x08\0\0\0")
    made(tmp_path / "complex.tif", noise(1, 4, 4, dtype="complex64"))
    for name, problem in {
        "empty.tif": "is empty",
        "text.tif": "is not a GeoTIFF",
        "folder.tif": "is a folder",
        "missing.tif": "does not exist",
        "head.tif": "is not a GeoTIFF",
        "complex.tif": "complex64",
    }.items():
        with pytest.raises(InputError, match=problem) as caught:
            Raster(tmp_path / name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) <= 200


@pytest.mark.parametrize("options", [{"tiled": True, "blockxsize": 64, "blockysize": 64}, {}])
@pytest.mark.parametrize("compress", ["deflate", "lzw", None])
def test_a_file_cut_off_is_refused_not_filled_up(tmp_path, options, compress, capfd):
    pixels = noise(3, 300, 200)
    data = made(tmp_path / "a.tif", pixels, compress=compress, **options).read_bytes()
    for part in range(1, 10):
        (tmp_path / "cut.tif").write_bytes(data[: len(data) * part // 10])
        refused = pytest.raises(InputError, match=r"damaged or cut off|is not a GeoTIFF")
        with refused, Raster(tmp_path / "cut.tif") as raster:
            raster.read()
    assert capfd.readouterr() == ("", "")


def test_mutants_are_read_or_refused(tmp_path):
    from vitrail.testing.mutants import mutate_bytes

    data = made(tmp_path / "a.tif", noise(2, 40, 40), compress="deflate").read_bytes()
    read = refused = 0
    for mutant in mutate_bytes(data, 5, 300):
        (tmp_path / "m.tif").write_bytes(mutant)
        try:
            with Raster(tmp_path / "m.tif") as raster:
                if raster.bands * raster.shape[0] * raster.shape[1] < 10**7:
                    raster.read()
            read += 1
        except InputError:
            refused += 1
    assert read and refused


def test_a_block_that_would_fill_memory_is_refused(tmp_path):
    path = tmp_path / "wide.tif"
    size = {"width": 40_000, "height": 40_000, "blockysize": 20_000, "SPARSE_OK": True}
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", compress="deflate", **size
    ):
        pass
    with pytest.raises(InputError, match="in one block"):
        Raster(path)


@pytest.fixture
def listener(monkeypatch):
    """A local address, and whether anybody called there."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")  # who calls gets no answer
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def called() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        yield f"http://127.0.0.1:{server.getsockname()[1]}", called


def vrt(source: str) -> str:
    return (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )


def test_a_raster_reads_no_other_file_and_asks_no_host(tmp_path, listener):
    address, called = listener
    secret = made(tmp_path / "secret.tif", noise(1, 8, 8))
    remote = f"/vsicurl/{address}/a.tif"
    for source in (str(secret), remote):
        (tmp_path / "hostile.tif").write_text(vrt(source))
        with pytest.raises(InputError, match="is not a GeoTIFF"):
            Raster(tmp_path / "hostile.tif")

    pixels = noise(1, 64, 64)
    plain = made(tmp_path / "plain.tif", pixels)
    overviews = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{remote}</MDI></Metadata>'
    (tmp_path / "plain.tif.aux.xml").write_text(f"<PAMDataset>{overviews}</PAMDataset>")
    for suffix in (".ovr", ".msk"):
        (tmp_path / f"plain.tif{suffix}").write_text(vrt(remote))
    with Raster(plain) as raster:
        assert np.array_equal(raster.read().data, pixels) and not raster.read().mask.any()
        assert raster.dataset.files == [str(plain)]

    with pytest.raises(InputError, match="does not exist"):
        Raster(Path(remote))
    assert not called()
    with pytest.raises(rasterio.errors.RasterioError), rasterio.open(plain) as dataset:
        dataset.read(1, out_shape=(8, 8))  # the traps work
    assert called()


def test_a_class_map_keeps_its_place_colours_and_names(tmp_path):
    labels = noise(600, 700) % 3
    colours = {0: (0, 0, 0), 1: (230, 60, 20), 2: (20, 90, 230)}
    names = {0: "unchanged", 1: "new <b> & old", 2: "unknown"}
    path = tmp_path / "new" / "map.tif"
    with create_raster(
        path,
        labels.shape,
        "uint8",
        crs=UTM,
        transform=PLACE,
        nodata=255,
        colour_table=colours,
        class_names=names,
        names=["change"],
    ) as writer:
        for top in range(0, 600, 37):
            writer.write(labels[top : top + 37].astype(int))  # as argmax gives them
    with Raster(path) as raster:
        assert raster.crs == UTM and raster.transform == PLACE and raster.nodata == 255
        assert np.array_equal(raster.read()[0].data, labels)
        assert raster.class_names == names and raster.names == ("change",)
        assert {n: raster.colour_table[n][:3] for n in colours} == colours
        profile = raster.dataset.profile
        assert profile["tiled"] and profile["compress"] == "deflate"
        assert raster.dataset.overviews(1) == [2, 4]
        small = raster.dataset.read(1, out_shape=(150, 175))
        assert set(np.unique(small)) <= {0, 1, 2}
    assert sorted(file.name for file in path.parent.iterdir()) == ["map.tif", "map.tif.aux.xml"]
    with rasterio.open(path) as dataset:  # and it does not disturb others
        assert dataset.crs == UTM

    with create_raster(path, (4, 4), "uint8") as writer:
        writer.write(labels[:4, :4])
    assert [file.name for file in path.parent.iterdir()] == ["map.tif"]


def test_strips_of_any_height_give_the_same_file(tmp_path):
    values = noise(2, 530, 300, dtype="float32") / 7
    files = []
    for height in (1, 100, 256, 530):
        path = tmp_path / f"{height}.tif"
        with create_raster(
            path, (530, 300), "float32", bands=2, crs=UTM, transform=PLACE
        ) as writer:
            for top in range(0, 530, height):
                writer.write(values[:, top : top + height])
        files.append(path.read_bytes())
        with Raster(path) as raster:
            assert np.array_equal(raster.read().data, values)
    assert len({len(data) for data in files}) == 1


def test_a_large_raster_is_a_bigtiff(tmp_path):
    whole = (70_000, 70_000)
    with pytest.raises(RuntimeError), create_raster(tmp_path / "a.tif", whole, "uint8") as writer:
        writer.write(np.zeros((256, 70_000), np.uint8))
        (temporary,) = tmp_path.iterdir()
        assert temporary.read_bytes()[:4] == b"II+\0"
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_raster_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.tif"
    for rows in (3, 5):
        refused = pytest.raises(ValueError, match="of 4")
        with refused, create_raster(path, (4, 6), "uint8") as writer:
            writer.write(np.zeros((rows, 6), np.uint8))
    small, floats, large = np.uint8, np.zeros((4, 6)), np.full((4, 6), 256)
    for strip in (np.zeros((4, 5), small), np.zeros((2, 4, 6), small), floats, large, -large):
        with pytest.raises(ValueError), create_raster(path, (4, 6), "uint8") as writer:
            writer.write(strip)
    assert list(tmp_path.iterdir()) == []
    refused = pytest.raises(InputError, match="cannot be written: is a directory")
    with refused, create_raster(tmp_path, (4, 6), "uint8") as writer:
        writer.write(np.zeros((4, 6), np.uint8))


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from vitrail.errors import InputError
from vitrail.raster import create_raster
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
noise = np.random.default_rng(0).integers(0, 255, (1024, 1024), dtype=np.uint8)
try:
    with create_raster(Path(sys.argv[1]), noise.shape, "uint8") as writer:
        writer.write(noise)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [200_000, 1_100_000])
def test_a_full_disk_leaves_nothing(tmp_path, limit):
    run = [sys.executable, "-c", FULL, str(tmp_path / "a.tif"), str(limit)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "cannot be written" in done.stdout and done.returncode == 0, done
    assert list(tmp_path.iterdir()) == []


def test_areas_on_the_ground():
    rows = np.arange(1800)
    earth = pixel_area(DEGREES, Affine(0.1, 0, -180, 0, -0.1, 90), rows) * 3600
    assert earth.sum() == pytest.approx(5.10065621724e14, rel=1e-6)  # WGS 84's surface
    assert np.allclose(pixel_area(UTM, PLACE, rows[:5]), 900)
    feet = CRS.from_epsg(2263)  # US survey feet
    assert np.allclose(pixel_area(feet, Affine(10, 0, 0, 0, -10, 0), rows[:1]), 9.2903412)
    assert pixel_area(None, PLACE, rows) is None

    latitude = np.arctan(np.sinh(8_399_737.9 / 6_378_137.0))  # 60 degrees north
    assert np.degrees(latitude) == pytest.approx(60, abs=1e-4)
    mercator = pixel_area(CRS.from_epsg(3857), Affine(10, 0, 0, 0, -10, 8_399_742.9), np.array([0]))
    degrees = pixel_area(DEGREES, Affine(1e-4, 0, 0, 0, -1e-4, 60.00005), np.array([0]))
    metre = 6_378_137 * np.radians(1e-4)  # of a plane whose unit at 60 degrees is half a metre
    assert mercator[0] / 100 == pytest.approx(
        degrees[0] / (metre * metre / np.cos(latitude)), rel=1e-5
    )


def test_a_scene_is_walked_through_and_written_in_strips(tmp_path):
    scene = noise(2, 333, 210)
    with (
        Raster(made(tmp_path / "a.tif", scene, tiled=True)) as raster,
        create_raster(tmp_path / "b.tif", raster.shape, "float32", crs=raster.crs) as writer,
    ):
        grid = Grid(raster.shape, (64, 64))
        canvas = Canvas(grid, 1)
        for number in range(len(grid)):
            canvas.add(number, grid.crop(raster, number).data[1:])
            for _, strip in canvas.strips():
                writer.write(strip)
    with Raster(tmp_path / "b.tif") as raster:
        assert np.allclose(raster.read()[0], scene[1], atol=1e-3)


@needs_data
@pytest.mark.data
def test_real_scenes():
    with (
        Raster(DATA / "change/geotiff/taizhou_2000.tif") as before,
        Raster(DATA / "change/geotiff/levir_test_2_A.tif") as degrees,
    ):
        assert before.shape == (400, 400) and before.bands == 6 and before.crs == UTM
        assert before.transform == PLACE and np.allclose(before.pixel_area(), 900)
        raw = np.fromfile(DATA / "change/landsat_taizhou/2000TM", np.uint8)
        assert np.array_equal(np.sort(before.read().data.ravel()), np.sort(raw))
        assert degrees.crs == DEGREES and degrees.colours == ("red", "green", "blue")
        assert degrees.pixel_area(slice(0, 1))[0] == pytest.approx(0.3073, abs=0.0001)


@needs_data
@pytest.mark.data
def test_real_cubes():
    folder = DATA / "hyperspectral/formats"
    with Raster(folder / "SalinasA.hdr") as envi, Raster(folder / "SalinasA.tif") as tiff:
        assert envi.bands == tiff.bands == 204 and envi.remarks and tiff.remarks
        assert np.array_equal(envi.read().data, tiff.read().data)
    with Raster(folder / "SalinasA_gt.tif") as labels:
        assert set(np.unique(labels.read().compressed())) == {1, 10, 11, 12, 13, 14}


def test_a_raster_whose_tags_lie_is_refused_in_one_line(tmp_path):
    good = made(tmp_path / "good.tif", noise(1, 24, 30), crs=UTM, transform=PLACE).read_bytes()
    at = good.index(b"\xb1\x87\x02\x00") + 8  # where the coordinate system's words are said to lie
    bad = tmp_path / "bad.tif"
    bad.write_bytes(good[:at] + bytes(len(good[at : at + 16])) + good[at + 16 :])
    with pytest.raises(InputError, match=r"bad\.tif: is damaged in what it says of itself"):
        Raster(bad)
