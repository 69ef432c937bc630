"""The command: pairs, lists, pages, what it writes and what it says."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio

from vitrail.errors import InputError
from vitrail.testing.commands import call

from .fakes import Brightness, built, made, network, picture, town

EXAMPLE = Path(__file__).parents[1] / "examples" / "taizhou.tif"
FILES = {
    "change.tif",
    "change.tif.aux.xml",
    "probability.tif",
    "changes.geojson",
    "changes.gpkg",
    "changes.qml",
    "map.html",
    "overview.png",
    "result.json",
}


def run(*arguments) -> tuple[int, list[dict], str]:
    outcome = call("change_detect", *arguments)
    return (
        outcome.status,
        [json.loads(line) for line in outcome.stdout.splitlines()],
        outcome.stderr,
    )


def test_a_pair_becomes_maps(tmp_path):
    ground = town(80, 90)
    first = made(tmp_path / "2019.tif", ground)
    second = made(tmp_path / "2021.tif", built(ground, (10, 20, 30, 50)))
    status, (row,), _ = run(
        first, second, "-o", tmp_path / "out", "--method", "cva", "--min-area", "100"
    )
    assert status == 0 and row["status"] == "done" and row["objects"] == 1
    folder = tmp_path / "out" / "2019-2021"
    assert {path.name for path in folder.iterdir()} == FILES
    with rasterio.open(folder / "change.tif") as mask, rasterio.open(first) as source:
        assert (mask.crs, mask.transform, mask.shape) == (
            source.crs,
            source.transform,
            source.shape,
        )
        assert set(np.unique(mask.read(1))) == {0, 1} and mask.nodata == 255
        assert mask.colormap(1)[1][:3] == (213, 62, 0) and mask.colormap(1)[0][0] > 200
    with rasterio.open(folder / "probability.tif") as probability:
        assert probability.read(1).max() <= 200
    import pyogrio

    assert pyogrio.read_info(folder / "changes.gpkg")["features"] == 1
    (feature,) = json.loads((folder / "changes.geojson").read_text())["features"]
    assert feature["properties"]["area_m2"] == pytest.approx(150, rel=0.1)


def test_probability_as_float32(tmp_path):
    """The mask and the objects stay; the numbers are within half a step of the bytes'."""
    ground = town(80, 90)
    ground[:, :4] = 0
    first = made(tmp_path / "a.tif", ground, nodata=0)
    second = made(tmp_path / "b.tif", built(ground, (10, 20, 30, 50)), nodata=0)
    seen = {}
    for name, more in (("bytes", ()), ("float", ("--float32",))):
        run(first, second, "-o", tmp_path / name, "--method", "cva", *more)
        folder = tmp_path / name / "a-b"
        with rasterio.open(folder / "probability.tif") as probability:
            pixels = probability.read(1, masked=True)
            seen[name] = pixels.dtype.name, pixels, (folder / "change.tif").read_bytes()
    assert (seen["bytes"][0], seen["float"][0]) == ("uint8", "float32")
    assert seen["bytes"][2] == seen["float"][2]
    assert np.array_equal(seen["bytes"][1].mask, seen["float"][1].mask)
    assert np.abs(seen["bytes"][1] / 200 - seen["float"][1]).max() <= 0.5 / 200 + 1e-6
    assert len(np.unique(seen["float"][1].compressed())) > 200


def test_a_list_of_pairs_goes_on_without_the_missing_one(tmp_path):
    ground = town(80, 90)
    picture(tmp_path / "a.png", ground)
    picture(tmp_path / "b.png", built(ground, (10, 20, 30, 50)))
    (tmp_path / "pairs.csv").write_text(
        "before;after;name\na.png;b.png;one\na.png;gone.png;two\nb.png;a.png;\n"
    )
    common = ("--pairs", tmp_path / "pairs.csv", "-o", tmp_path / "out", "--method", "cva")
    status, rows, said = run(*common)
    assert status == 1 and [row["status"] for row in rows] == ["done", "failed", "done"]
    assert "gone.png does not exist" in rows[1]["reason"] and "gone.png" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one", "b-a", "results.jsonl"}
    status, rows, said = run(*common, "--resume")
    assert "2 of 3 done before" in said and len(rows) == 1


def test_resume_sees_a_changed_header(tmp_path):
    """An ENVI file's numbers lie elsewhere on the ground when its header says so."""
    paths = [tmp_path / f"{name}.img" for name in "ab"]
    grounds = town(80, 90), built(town(80, 90), (10, 20, 30, 50))
    for path, ground in zip(paths, grounds, strict=True):
        made(path, ground, driver="ENVI")
    common = (*paths, "-o", tmp_path / "out", "--method", "cva")
    assert run(*common)[0] == 0
    assert "1 of 1 done before" in run(*common, "--resume")[2]
    header = paths[1].with_suffix(".hdr")
    header.write_text(header.read_text() + "description = {moved}\n")
    assert "done before" not in run(*common, "--resume")[2]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("before,later\na,b\n", "lacks the column after"),
        ("before,after\n", "lists no pair"),
        ("\0\0\0", "lists no pair"),
    ],
)
def test_lists_that_are_none(tmp_path, content, reason):
    (tmp_path / "pairs.csv").write_text(content)
    status, rows, said = run("--pairs", tmp_path / "pairs.csv", "--method", "cva")
    assert status == 1 and not rows and reason in said


def test_pages_of_a_file_are_dates(tmp_path):
    status, rows, _ = run(EXAMPLE, EXAMPLE.parent / "taizhou.tif", "--method", "irmad")
    assert status == 0 and [row["dates"] for row in rows] == [["taizhou.tif 1", "taizhou.tif 2"]]
    assert rows[0]["changed_m2"] > 1e5


def test_a_series_compares_each_date_with_the_one_before(tmp_path):
    ground = town(80, 90)
    dates = [ground, built(ground, (10, 20, 30, 50)), ground]
    paths = [
        made(tmp_path / f"{year}.tif", one) for year, one in zip((1, 2, 3), dates, strict=True)
    ]
    status, rows, _ = run(*paths, "--method", "cva", "-o", tmp_path / "out")
    assert status == 0 and [row["dates"] for row in rows] == [
        ["1.tif", "2.tif"],
        ["2.tif", "3.tif"],
    ]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"1-2", "2-3", "results.jsonl"}
    made(tmp_path / "pages.tif", ground)
    for _ in range(2):
        made(tmp_path / "pages.tif", ground, APPEND_SUBDATASET="YES")
    assert "holds 3 dates" in run(tmp_path / "pages.tif", "--method", "cva")[2]


def seen_by(monkeypatch, *arguments) -> tuple[list[dict], int]:
    """Rows of a call of the command with the network of the fakes, and the windows it encoded."""
    import change_detect.job as module

    monkeypatch.setattr(module, "load_network", lambda name: network())
    Brightness.seen = 0
    _, rows, _ = run(*arguments, "--engine", "eager")
    return rows, Brightness.seen


def test_a_series_encodes_each_date_once(tmp_path, monkeypatch):
    """Maps, rows and polygons are those of the pairs one by one, byte for byte."""
    ground = town(300, 400)
    roofs = [(10 + 60 * n, 20, 50 + 60 * n, 90) for n in range(4)]
    paths = [tmp_path / f"{year}.tif" for year in range(4)]
    for number, path in enumerate(paths):
        pixels = built(ground + np.uint8(number), *roofs[: number + 1])
        pixels[:, :, 370:] = 0 if number == 2 else pixels[:, :, 370:]  # its own lack of data
        made(path, pixels, nodata=0)
    rows, once = seen_by(monkeypatch, *paths, "-o", tmp_path / "series")
    alone = 0
    for pair, row in zip(pairwise(paths), rows, strict=True):
        (expected,), seen = seen_by(monkeypatch, *pair, "-o", tmp_path / "pairs")
        alone += seen
        assert {**row, "seconds": 0} == {**expected, "seconds": 0} and row["objects"] == 1
        folders = [tmp_path / top / f"{pair[0].stem}-{pair[1].stem}" for top in ("series", "pairs")]
        for name in ("change.tif", "probability.tif", "changes.geojson"):
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    # Four windows: a date is another picture where its neighbour lacks data.
    assert alone == 6 * 4 and once == 4 * 4 + 2


def test_a_series_with_a_bad_date(tmp_path, monkeypatch):
    ground = town(80, 90)
    paths = [made(tmp_path / f"{year}.tif", ground) for year in range(5)]
    paths[1].write_bytes(b"II*\0")
    rows, _ = seen_by(monkeypatch, *paths, "-o", tmp_path / "out")
    assert [row["status"] for row in rows] == ["failed", "failed", "done", "done"]
    assert all("1.tif" in row["reason"] for row in rows[:2])
    again = ("--resume", "-o", tmp_path / "out")
    paths[1].unlink()
    made(paths[1], ground)
    rows, seen = seen_by(monkeypatch, *paths, *again)
    assert [row["dates"][1] for row in rows] == ["1.tif", "2.tif"] and seen == 1


def test_a_series_from_python(job, tmp_path):
    ground = town()
    dates = [ground, built(ground, (20, 30, 60, 80)), ground]
    paths = [made(tmp_path / f"{n}.tif", one) for n, one in enumerate(dates)]
    first, second = job.predict_series(paths)
    assert (first.pixels["changed"], second.pixels["changed"]) == (2000, 0)
    paths[2].unlink()
    with pytest.raises(InputError, match=r"2.tif does not exist"):
        job.predict_series(paths)


def test_one_date_is_not_enough(tmp_path):
    path = made(tmp_path / "a.tif", town(40, 40))
    status, _, said = run(path, "--method", "cva")
    assert status == 1 and "a.tif: is one date; give a second one" in said
    status, _, said = run()
    assert status == 2
    status, _, said = run("--quiet")
    assert status == 2 and "was given no image" in said


@pytest.mark.parametrize("bands", ["3,2", "a,b,c", "0,1,2"])
def test_bands_that_are_none(bands):
    status, _, said = run(EXAMPLE, "--bands", bands)
    assert status == 2 and "give three numbers" in said
