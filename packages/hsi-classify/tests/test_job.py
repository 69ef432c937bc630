"""From files to maps: the job and the command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from hsi_classify import load
from hsi_classify.job import SceneJob
from hsi_classify.networks import load_network
from hsi_classify.options import Options
from vitrail.errors import InputError, UsageError
from vitrail.testing.commands import call

from .fakes import few_labels, made_scene, write_envi


def command(*arguments: object) -> dict:
    outcome = call("hsi_classify", *arguments, "--json")
    assert outcome.status == 0, outcome.stderr
    (line,) = outcome.stdout.splitlines()
    return json.loads(line)


def test_a_labelled_scene_to_a_map(tmp_path, scene, files):
    cube, labels = files
    out = tmp_path / "map"
    row = command(cube, "--labels", labels, "--per-class", 8, "--method", "svm", "-o", out)
    assert row["score"]["oa"] > 0.95 and row["made_by"]["method"] == "svm"
    assert row["made_by"]["labels"] == 24
    assert sum(entry["pixels"] for entry in row["classes"].values()) == 24 * 30
    folder = out / "cube.npy"
    names = {path.name for path in folder.iterdir()}
    assert {
        "classes.tif", "classes.img", "classes.hdr", "probability.tif", "map.png", "areas.csv",
        "confusion.csv", "confusion.png", "report.html", "result.json",
    } <= names  # fmt: skip
    with rasterio.open(folder / "classes.tif") as raster:
        found, table = raster.read(1), raster.colormap(1)
        assert raster.nodata == 0 and set(np.unique(found)) == {2, 5, 9}
    assert (found[1:] == scene[1][1:]).mean() > 0.95 and table[2] != table[5]
    with rasterio.open(folder / "classes.img") as envi:
        np.testing.assert_array_equal(envi.read(1), found)
        assert "class" in (folder / "classes.hdr").read_text()
    with rasterio.open(folder / "probability.tif") as raster:
        assert raster.descriptions == ("probability", "margin")
        assert 0 < raster.read(1).min() <= raster.read(1).max() <= 1


def test_place_on_the_earth_stays(tmp_path, scene):
    cube, labels = scene
    place = from_origin(500_000, 4_000_000, 2.0, 3.0)
    path = tmp_path / "cube.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=24, width=30, count=12, dtype="int16",
        crs="EPSG:32610", transform=place,
    ) as raster:  # fmt: skip
        raster.write(np.moveaxis(cube, -1, 0))
    np.save(tmp_path / "labels.npy", labels)
    out = tmp_path / "out"
    row = command(path, "--labels", tmp_path / "labels.npy", "--method", "angle", "-o", out)
    assert row["classes"]["2"]["m2"] == row["classes"]["2"]["pixels"] * 6
    for name in ("classes.tif", "classes.img", "probability.tif"):
        with rasterio.open(out / "cube.tif" / name) as raster:
            assert raster.transform == place and raster.crs.to_epsg() == 32610, name


def test_saved_weights_know_the_next_scene(tmp_path, scene, files):
    cube, labels = files
    saved = tmp_path / "mine.safetensors"
    row = command(cube, "--labels", labels, "--method", "network", "--save", saved)
    other, truth = made_scene(seed=7)
    np.save(tmp_path / "other.npy", other)
    again = command(tmp_path / "other.npy", "--weights", saved, "-o", tmp_path / "o")
    assert again["made_by"]["weights"] == "mine.safetensors" and len(again["weights"]) == 1
    with rasterio.open(tmp_path / "o" / "other.npy" / "classes.tif") as raster:
        found = raster.read(1)[1:]
    assert (found == truth[1:]).mean() > 0.8
    assert {entry["name"] for entry in row["classes"].values()} == {
        entry["name"] for entry in again["classes"].values()
    }
    narrow = tmp_path / "narrow.npy"
    np.save(narrow, other[:, :, :9])
    outcome = call("hsi_classify", narrow, "--weights", saved)
    assert outcome.status == 1 and "wants 12 bands, the file has 9" in outcome.stderr


def test_other_wavelengths_are_refused(tmp_path, scene):
    cube, labels = scene
    waves = [400 + 10 * n for n in range(12)]
    header = write_envi(tmp_path, cube, wavelength="{" + ", ".join(map(str, waves)) + "}")
    saved = tmp_path / "mine.safetensors"
    job = load(labels=labels, method="network", save=saved)
    job.predict(header)
    network = load_network(str(saved))
    assert network.wavelengths == tuple(map(float, waves))
    moved = replace(network, wavelengths=tuple(w + 300.0 for w in waves))
    with pytest.raises(InputError, match="wants 12 bands from 700 to 810 nm, the file has 400"):
        SceneJob([moved], engine="eager").predict(header)


def test_pixels_without_data_are_0_in_the_map(scene):
    cube, labels = scene
    cube = cube.astype(np.float32)
    cube[4:6, 3:8] = np.nan
    result = load(labels=few_labels(labels), method="svm").predict(cube)
    assert (result.classes[4:6, 3:8] == 0).all() and (result.probability[4:6, 3:8] == 0).all()
    assert (result.classes > 0).sum() == result.classes.size - 10
    assert result.areas[-1][:3] == (0, "no data", 10)


def test_bands_first_is_settled_by_the_labels(scene):
    cube, labels = scene
    result = load(labels=labels, method="angle").predict(np.moveaxis(cube, -1, 0))
    assert any("the bands are the first axis" in reason for reason in result.reasons)
    last = load(labels=labels, method="angle").predict(cube)
    np.testing.assert_array_equal(result.classes, last.classes)


def test_a_matrix_needs_its_shape(scene, tmp_path):
    cube, labels = scene
    matrix = cube.transpose(2, 1, 0).reshape(12, -1)  # column by column, as MATLAB counts
    path = tmp_path / "matrix.npy"
    np.save(path, matrix)
    with pytest.raises(InputError, match="--shape ROWS,COLUMNS"):
        SceneJob(settings=Options(), labels=None).predict(path)
    result = load(labels=labels, method="angle").predict(path)
    np.testing.assert_array_equal(
        result.classes, load(labels=labels, method="angle").predict(cube).classes
    )


def test_calls_that_make_no_sense(files, tmp_path):
    cube, labels = files
    with pytest.raises(UsageError, match="--save"):
        load(labels=labels, method="svm", save=tmp_path / "x")
    with pytest.raises(UsageError, match="is not a method"):
        load(labels=labels, method="forest")
    with pytest.raises(UsageError, match="--weights"):
        load("salinas-a", labels=labels)
    assert call("hsi_classify", cube, "--shape", "3").status == 2


def test_labels_of_another_size(files, tmp_path):
    cube, _ = files
    np.save(tmp_path / "small.npy", np.ones((5, 6), np.uint8))
    outcome = call("hsi_classify", cube, "--labels", tmp_path / "small.npy")
    assert outcome.status == 1 and "5 x 6 labels, and the cube 24 x 30" in outcome.stderr


def test_a_row_can_be_resumed_only_with_the_same_labels(files, tmp_path, scene):
    cube, labels = files
    out = tmp_path / "out"
    command(cube, "--labels", labels, "--method", "angle", "-o", out)
    again = call(
        "hsi_classify", cube, "--labels", labels, "--method", "angle", "-o", out, "--resume"
    )
    assert "1 of 1 done before" in again.stderr
    np.save(labels, few_labels(scene[1]))
    again = call(
        "hsi_classify", cube, "--labels", labels, "--method", "angle", "-o", out, "--resume"
    )
    assert "done before" not in again.stderr and again.status == 0


def test_labels_are_known_by_all_parts_of_a_shapefile(tmp_path):
    for suffix in ("shp", "shx", "dbf", "prj"):
        (tmp_path / f"labels.{suffix}").write_bytes(b"1")
    labels = tmp_path / "labels.shp"
    before = load(labels=labels).options["labels_sha256"]
    assert load(labels=labels).options["labels_sha256"] == before
    (tmp_path / "labels.dbf").write_bytes(b"2")  # which holds the classes
    assert load(labels=labels).options["labels_sha256"] != before


def test_resume_sees_a_changed_header(tmp_path, scene, files):
    cube, out = tmp_path / "cube.img", tmp_path / "out"
    rows, columns, bands = scene[0].shape
    cube.write_bytes(np.moveaxis(scene[0], 2, 0).astype("<i2").tobytes())
    sizes = f"samples = {columns}\nlines = {rows}\nbands = {bands}\n"
    header = cube.with_suffix(".hdr")
    header.write_text(f"ENVI\n{sizes}data type = 2\ninterleave = bsq\n")
    arguments = (cube, "--labels", files[1], "--method", "angle", "-o", out)
    command(*arguments)
    assert "1 of 1 done before" in call("hsi_classify", *arguments, "--resume").stderr
    header.write_text(header.read_text().replace("bsq", "bil"))
    assert "done before" not in call("hsi_classify", *arguments, "--resume").stderr


def test_one_file_keeps_one_network(files, tmp_path):
    cube, labels = files
    np.save(tmp_path / "second.npy", np.load(cube))
    saved = tmp_path / "kept.safetensors"
    outcome = call(
        "hsi_classify", cube, tmp_path / "second.npy", "--labels", labels, "--save", saved
    )
    assert outcome.status == 2 and not saved.exists()
    assert "--save: keeps one network, and 2 cubes were named; name one cube" in outcome.stderr
