"""What comes in from strangers: a reason or a right result, never a crash or a half map."""

import json
from pathlib import Path

import numpy as np
import pytest

from change_detect.job import ChangeJob, Options
from vitrail.errors import MAX_LINE, VitrailError
from vitrail.testing.commands import call

from .fakes import built, made, picture, town

MUTANTS = 200  # of each format


@pytest.fixture
def vectors() -> ChangeJob:
    return ChangeJob(None, Options(method="cva"))


def mutants(path: Path, count: int):
    """Seeded damage: bytes changed, blocks zeroed, cut, doubled."""
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    for number in range(count):
        data = bytearray(whole)
        at = int(rng.integers(len(data)))
        if number % 4 == 0:
            for _ in range(1 + number % 8):
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
        elif number % 4 == 1:
            data[at : at + 32] = bytes(32)
        elif number % 4 == 2:
            del data[at:]
        else:
            data[at:at] = data[at : at + 64]
        yield bytes(data)


def reference(path: Path) -> np.ndarray | None:
    """The pixels by GDAL's own program library, None where it refuses or warns."""
    import rasterio

    try:
        with rasterio.open(path) as dataset:
            return dataset.read()
    except Exception:
        return None


@pytest.mark.parametrize("kind", ["tif", "png", "jpg", "webp", "bmp", "img"])
def test_mutants(vectors, tmp_path, kind):
    ground = town(64, 70)
    after = built(ground, (10, 20, 30, 50))
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
    for path, pixels in ((first, ground), (second, after)):
        if kind == "tif":
            made(path, pixels, compress="deflate", tiled=True, blockxsize=32, blockysize=32)
        elif kind == "img":
            made(path, pixels, driver="ENVI")
        else:
            picture(path, pixels)
    expected = vectors.predict(first, second).changed
    whole, known = second.read_bytes(), reference(second)
    done = refused = 0
    for data in mutants(second, MUTANTS):
        second.write_bytes(data)
        try:
            result = vectors.predict(first, second)
        except VitrailError as error:
            assert len(str(error)) <= MAX_LINE and "\n" not in str(error)
            refused += 1
            continue
        done += 1
        read = reference(second)
        if read is not None and np.array_equal(read, known) and result.place.transform:
            assert np.array_equal(
                result.changed, expected
            )  # only what surrounds the pixels differs
    assert done + refused == MUTANTS and refused
    second.write_bytes(whole)
    assert np.array_equal(vectors.predict(first, second).changed, expected)
    headers = {"a.hdr", "b.hdr"} if kind == "img" else set()
    assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name} | headers


def test_an_envi_file_shorter_than_its_header(vectors, tmp_path):
    for name in "ab":
        made(tmp_path / f"{name}.img", town(40, 50), driver="ENVI")
    with (tmp_path / "b.img").open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(VitrailError, match="shorter than its header"):
        vectors.predict(tmp_path / "a.img", tmp_path / "b.img")


def test_numbers_that_are_no_numbers(vectors, tmp_path):
    ground = town(60, 70).astype("float32")
    holed = ground.copy()
    holed[:, 5:9], holed[0, 20, 20] = np.nan, np.inf
    result = vectors.predict(made(tmp_path / "a.tif", ground), made(tmp_path / "b.tif", holed))
    assert (result.changed[5:9] == 255).all() and result.changed[20, 20] == 255
    assert (result.changed == 255).sum() == 4 * 70 + 1
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_nodata_inside_the_range_of_int16(vectors, tmp_path):
    ground = town(60, 70).astype("int16")
    ground[:, :10] = -32768
    ground[:, 30, 30] = 0
    first = made(tmp_path / "a.tif", ground, nodata=0)
    result = vectors.predict(first, first)
    assert result.changed[30, 30] == 255 and (result.changed == 255).sum() == 1


def test_the_same_file_twice_is_said(vectors, tmp_path):
    first = made(tmp_path / "a.tif", town(60, 70))
    result = vectors.predict(first, first)
    assert result.share == 0 and "both dates are the same file" in result.damage


def test_a_system_that_nobody_knows(vectors, tmp_path):
    local = 'LOCAL_CS["a building site",UNIT["metre",1]]'
    ground = town(60, 70)
    paths = [made(tmp_path / f"{n}.tif", ground, crs=local) for n in "ab"]
    outcome = call("change_detect", *paths, "--method", "cva", "-o", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    row = json.loads(outcome.stdout)
    assert any("areas are unknown" in reason for reason in row["reasons"])


def test_a_scene_of_one_pixel(vectors, tmp_path):
    pixel = town(20, 20)[:, :1, :1]
    result = vectors.predict(made(tmp_path / "a.tif", pixel), made(tmp_path / "b.tif", pixel))
    assert result.mask.shape == (1, 1) and result.share == 0
