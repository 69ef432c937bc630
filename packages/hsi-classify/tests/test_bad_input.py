"""Damaged inputs by the hundred: the right values, a note, or one sentence; never a traceback, a
crash or a stray file."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io
import shapely
from pyogrio.raw import write as write_vectors
from rasterio.transform import from_origin

from hsi_classify.files.cube import Cube
from hsi_classify.files.finding import find_cubes
from hsi_classify.files.labels import read_labels
from hsi_classify.files.mat_child import items_of
from hsi_classify.files.opening import open_cube
from hsi_classify.job import SceneJob
from hsi_classify.options import Options
from hsi_classify.writing import write
from vitrail.answers import Answers
from vitrail.errors import InputError
from vitrail.options import Answering
from vitrail.testing.commands import call
from vitrail.testing.mutants import mutate_bytes

from .fakes import few_labels, write_envi

VARIANTS, CHILDREN = 200, 6
PLACE = from_origin(500_000, 4_000_000, 10, 10)
FORKS = """
import os, sys, time
import h5py, scipy.io
from pathlib import Path
from hsi_classify.files.mat_child import main
codes = []
files = Path(sys.argv[1])
for number in range(len(list(files.glob("*.mat")))):
    out = files / f"out{number}"
    out.mkdir()
    pid = os.fork()
    if not pid:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 2
        try:
            code = main(str(files / f"{number}.mat"), str(out))
        finally:
            os._exit(code)
    started = time.monotonic()
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() - started > 60:
            os.kill(pid, 9)
            sys.exit(f"{number} hangs")
        time.sleep(0.002)
    codes.append(os.waitstatus_to_exitcode(ended[1]))
print(*codes)
"""


@pytest.fixture
def small(scene) -> tuple[np.ndarray, np.ndarray]:
    cube, labels = scene
    return cube[:8, ::3, :6].copy(), labels[:8, ::3].copy()


def check(sources, labels, tmp_path, capfd, monkeypatch) -> list[dict]:
    """Runs all sources with a quick method; each has a row, and a failed one a reason."""
    monkeypatch.setattr("sys.argv", ["hsi-classify"])
    before = set(tmp_path.rglob("*"))
    job = SceneJob(settings=Options(method="angle"), labels=labels)
    status = Answers("hsi-classify", job, Answering(json=True), write).run(find_cubes(sources))
    printed = capfd.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(rows) == len(sources) and status == (1 if failed else 0)
    unexplained = [r["reason"] for r in failed if "unexpected" in r["reason"] or not r["reason"]]
    assert unexplained == []
    assert len(printed.err.splitlines()) == len(failed), printed.err
    assert set(tmp_path.rglob("*")) == before
    return rows


def damaged(data: bytes, tmp_path, suffix: str) -> list[str]:
    paths = []
    for number, variant in enumerate(mutate_bytes(data, seed=7, count=VARIANTS)):
        paths.append(str(tmp_path / f"{number}{suffix}"))
        (tmp_path / f"{number}{suffix}").write_bytes(variant)
    return paths


def test_damaged_headers(small, tmp_path, capfd, monkeypatch):
    cube, labels = small
    good = write_envi(tmp_path, cube, wavelength="{400,410,420,430,440,450}").read_bytes()
    data = (tmp_path / "scene.img").read_bytes()
    for path in tmp_path.iterdir():
        path.unlink()
    paths = damaged(good, tmp_path, ".hdr")
    for number in range(VARIANTS):
        (tmp_path / f"{number}.img").write_bytes(data)
    rows = check(paths, labels, tmp_path, capfd, monkeypatch)
    assert sum(row["status"] == "failed" for row in rows) > 20


def test_damaged_geotiff(small, tmp_path, capfd, monkeypatch):
    cube, labels = small
    path = tmp_path / "good.tif"
    rows, columns, bands = cube.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=bands, dtype="int16",
        compress="deflate",
    ) as raster:  # fmt: skip
        raster.write(np.moveaxis(cube, -1, 0))
    good = path.read_bytes()
    path.unlink()
    found = check(damaged(good, tmp_path, ".tif"), labels, tmp_path, capfd, monkeypatch)
    assert 20 < sum(row["status"] == "failed" for row in found) < VARIANTS


def test_damaged_npy(small, tmp_path, capfd, monkeypatch):
    cube, labels = small
    np.save(tmp_path / "good.npy", cube)
    good = (tmp_path / "good.npy").read_bytes()
    (tmp_path / "good.npy").unlink()
    found = check(damaged(good, tmp_path, ".npy"), labels, tmp_path, capfd, monkeypatch)
    assert sum(row["status"] == "failed" for row in found) > 20


@pytest.mark.parametrize("version", [5, 7.3])
def test_damaged_matlab_files_in_their_own_process(small, tmp_path, version):
    """A few of them only: each starts a process."""
    path = tmp_path / "good.mat"
    if version == 5:
        scipy.io.savemat(path, {"cube": small[0]})
    else:
        with h5py.File(path, "w") as file:
            file["cube"] = small[0].T
    good = path.read_bytes()
    refused = 0
    for number, variant in enumerate(mutate_bytes(good, seed=3, count=CHILDREN)):
        bad = tmp_path / f"{number}.mat"
        bad.write_bytes(variant)
        try:
            open_cube(bad)
        except InputError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused >= 1


def test_a_matlab_file_that_lies_about_its_size(small, tmp_path):
    path = tmp_path / "lie.mat"
    scipy.io.savemat(path, {"cube": small[0]})
    data = bytearray(path.read_bytes())
    at = data.index(np.array(small[0].shape, np.int32).tobytes())
    data[at : at + 12] = np.array([60000, 60000, 2], np.int32).tobytes()
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"lie\.mat: is damaged|needs more memory"):
        open_cube(path)


def test_the_child_tells_the_kind_of_what_is_no_array(tmp_path, small):
    import scipy.sparse

    path = tmp_path / "many.mat"
    content = {
        "cube": small[0],
        "sparse": scipy.sparse.eye(3),
        "text": "abc",
        "cell": np.array(["a", 1], object),
    }
    scipy.io.savemat(path, content | {"struct": {"deep": np.ones(3)}})
    found = dict(items_of(str(path)))
    np.testing.assert_array_equal(found.pop("cube"), small[0])
    assert found == {"sparse": "sparse", "text": "char", "cell": "cell", "struct": "struct"}


def test_one_bad_cube_among_several(files, tmp_path):
    cube, labels = files
    bad = tmp_path / "bad.npy"
    bad.write_bytes(b"\x93NUMPY nothing")
    outcome = call(
        "hsi_classify", bad, cube, "--labels", labels, "--method", "angle", "-o", tmp_path / "o"
    )
    rows = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert outcome.status == 1 and [row["status"] for row in rows] == ["failed", "done"]


@pytest.mark.parametrize("name", ["with space.npy", "line\nbreak.npy", "émoji 🎬.npy", "-dash.npy"])
def test_odd_names(files, tmp_path, name):
    cube, labels = files
    odd = cube.rename(tmp_path / name)
    outcome = call(
        "hsi_classify", "--labels", labels, "--method", "angle", "-o", tmp_path / "o", "--", odd
    )
    assert outcome.status == 0, outcome.stderr


def labels_file(kind: str, labels: np.ndarray, path) -> None:
    """The first two rows' labels in one of the forms that people have them in."""
    points = [(r, c, int(labels[r, c])) for r in (1, 2) for c in range(0, labels.shape[1], 5)]
    if kind == "npy":
        np.save(path, labels)
    elif kind == "csv":
        path.write_text("row,column,class\n" + "".join(f"{r},{c},{v}\n" for r, c, v in points))
    elif kind == "tif":
        with rasterio.open(
            path, "w", driver="GTiff", height=labels.shape[0], width=labels.shape[1], count=1,
            dtype="uint8", crs="EPSG:32610", transform=PLACE, nodata=0, compress="deflate",
        ) as raster:  # fmt: skip
            raster.write(labels[None])
    else:
        places = [shapely.Point(*(PLACE @ (c + 0.5, r + 0.5))) for r, c, _ in points]
        write_vectors(
            path, shapely.to_wkb(places),
            [np.array([value for *_, value in points])], ["class"], geometry_type="Point",
            crs="EPSG:32610", driver={"gpkg": "GPKG", "geojson": "GeoJSON"}[kind],
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["npy", "csv", "tif", "gpkg", "geojson"])
def test_labels_that_are_damaged(tmp_path, scene, kind):
    """Each variant is refused in one line, or gives labels of this scene and no others."""
    cube, labels = scene[0], few_labels(scene[1])
    place = rasterio.CRS.from_epsg(32610)
    located = Cube("c", cube.shape, lambda rows: cube[rows], crs=place, transform=PLACE)
    labels_file(kind, labels if kind in ("npy", "tif") else scene[1], tmp_path / f"good.{kind}")
    good = (tmp_path / f"good.{kind}").read_bytes()
    right = read_labels(tmp_path / f"good.{kind}", located)
    (tmp_path / f"good.{kind}").unlink()
    refused = same = 0
    for number, variant in enumerate(mutate_bytes(good, seed=1, count=VARIANTS)):
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(variant)
        try:
            found = read_labels(path, located)
        except InputError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1 and len(str(error)) <= 200 + len(str(path))
            continue
        assert found.ids.shape == cube.shape[:2] and found.classes
        same += found.ids.shape == right.ids.shape and bool((found.ids == right.ids).all())
    assert refused > 10 and refused + same > VARIANTS / 4
    assert len(list(tmp_path.iterdir())) == VARIANTS  # nothing beside them


@pytest.mark.parametrize("version", [5, 7.3])
def test_two_hundred_damaged_matlab_files(small, tmp_path, version):
    """By what the process of its own runs, forked for each file: it ends in time, with the arrays,
    with one line, or by a crash that stays its own."""
    path = tmp_path / "good.mat"
    if version == 5:
        scipy.io.savemat(path, {"cube": small[0]}, do_compression=True)
    else:
        with h5py.File(path, "w") as file:
            file["cube"] = small[0].T
    good = path.read_bytes()
    files = tmp_path / "files"
    files.mkdir()
    for number, variant in enumerate(mutate_bytes(good, seed=5, count=VARIANTS)):
        (files / f"{number}.mat").write_bytes(variant)
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(files)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-500:]
    outcomes = [int(code) for code in done.stdout.splitlines()[-1].split()]
    assert len(outcomes) == VARIANTS and outcomes.count(0) < VARIANTS
    assert outcomes.count(1) > 20  # refused with a line of its own
    assert "Traceback" not in done.stderr
    wrong = 0
    for number in (n for n, code in enumerate(outcomes) if code == 0):
        for array in (files / f"out{number}").iterdir():
            found = np.load(array)
            wrong += found.shape == small[0].shape and bool((found != small[0]).any())
    # What is compressed has a checksum; HDF5 as it stands has none, so that numbers may differ.
    assert version == 7.3 or wrong == 0


def test_weights_that_are_none(files, tmp_path):
    for content in (b"", b"<html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04K."):
        path = tmp_path / "w.safetensors"
        path.write_bytes(content)
        outcome = call("hsi_classify", files[0], "--weights", path)
        assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1
