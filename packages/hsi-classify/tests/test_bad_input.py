"""Damaged inputs by the hundred: the right values, a note, or one sentence; never a traceback, a
crash or a stray file."""

import json

import h5py
import numpy as np
import pytest
import rasterio
import scipy.io

from hsi_classify.files.finding import find_cubes
from hsi_classify.files.labels import read_labels
from hsi_classify.files.mat_child import items_of
from hsi_classify.files.opening import open_cube
from hsi_classify.job import Options, SceneJob
from hsi_classify.writing import write
from vitrail.answers import Answers
from vitrail.errors import InputError
from vitrail.options import Answering
from vitrail.testing.commands import call
from vitrail.testing.mutants import mutate_bytes

from .fakes import few_labels, write_envi

VARIANTS, CHILDREN = 200, 6


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


def test_labels_that_are_damaged(files, tmp_path, scene):
    cube = open_cube(files[0])
    np.save(tmp_path / "l.npy", few_labels(scene[1]))
    good = (tmp_path / "l.npy").read_bytes()
    refused = 0
    for number, variant in enumerate(mutate_bytes(good, seed=1, count=VARIANTS)):
        path = tmp_path / f"{number}.npy"
        path.write_bytes(variant)
        try:
            read_labels(path, cube)
        except InputError:
            refused += 1
    assert refused > 10


def test_weights_that_are_none(files, tmp_path):
    for content in (b"", b"<html>", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04K."):
        path = tmp_path / "w.safetensors"
        path.write_bytes(content)
        outcome = call("hsi_classify", files[0], "--weights", path)
        assert outcome.status == 1 and len(outcome.stderr.splitlines()) == 1
