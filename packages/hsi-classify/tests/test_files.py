"""Cubes and labels in every form."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hsi_classify.files.cube import Cube, Layout
from hsi_classify.files.finding import find_cubes
from hsi_classify.files.labels import read_labels
from hsi_classify.files.opening import open_cube
from vitrail.errors import InputError
from vitrail.sources import RESULT_FILE

from .fakes import made_scene, write_envi


def content(path, layout: Layout = Layout()) -> np.ndarray:
    cube = open_cube(path, layout)
    return cube.read(slice(0, cube.shape[0]))


@pytest.mark.parametrize("interleave", ["bsq", "bil", "bip"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offset", [0, 37])
def test_envi_in_every_form(tmp_path, scene, interleave, order, offset):
    header = write_envi(tmp_path, scene[0], interleave, order, header_offset=offset)
    for path in (header, tmp_path / "scene.img"):
        np.testing.assert_array_equal(content(path), scene[0])


def test_envi_without_the_optional_fields(tmp_path, scene):
    header = write_envi(tmp_path, scene[0], byte_order=None, interleave=None, header_offset=0)
    cube = open_cube(header)
    np.testing.assert_array_equal(cube.read(slice(0, 24)), scene[0])
    assert any("byte order" in note for note in cube.notes)
    assert any("interleave" in note for note in cube.notes)


@pytest.mark.parametrize("name", ["scene.dat", "scene.raw", "scene", "scene_img", "scene.IMG"])
def test_the_data_file_is_found(tmp_path, scene, name):
    header = write_envi(tmp_path, scene[0])
    (tmp_path / "scene.img").rename(tmp_path / name)
    np.testing.assert_array_equal(content(header), scene[0])


def test_a_header_of_the_same_name_is_not_everybodys(tmp_path, scene):
    write_envi(tmp_path, scene[0])
    other = scene[0] + 1
    np.save(tmp_path / "scene.npy", other)
    np.testing.assert_array_equal(content(tmp_path / "scene.npy"), other)
    assert len(find_cubes([str(tmp_path / "scene.hdr"), str(tmp_path / "scene.npy")])) == 2


def test_a_short_data_file_names_both_sizes(tmp_path, scene):
    header = write_envi(tmp_path, scene[0])
    data = tmp_path / "scene.img"
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(InputError, match="has 17180 bytes where its header describes 17280"):
        open_cube(header)


def test_a_long_data_file_is_told(tmp_path, scene):
    header = write_envi(tmp_path, scene[0])
    with (tmp_path / "scene.img").open("ab") as file:
        file.write(bytes(9))
    assert open_cube(header).damage == ("scene.img is 9 bytes longer than its header describes",)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"bands": None}, "says no bands"),
        ({"lines": "many"}, "says lines = many"),
        ({"samples": -3}, "says samples = -3"),
        ({"bands": 10**9}, "where its header describes"),
        ({"data_type": 6}, "has the data type 6"),
        ({"interleave": "bxq"}, "has the interleave bxq"),
        ({"data_file": "../other.img"}, "names a data file elsewhere"),
        ({"data_file": "gone.img"}, "which is not there"),
    ],
)
def test_headers_that_are_wrong(tmp_path, scene, fields, problem):
    header = write_envi(tmp_path, scene[0], **fields)
    with pytest.raises(InputError, match=problem):
        open_cube(header)


def test_a_header_alone(tmp_path, scene):
    header = write_envi(tmp_path, scene[0])
    (tmp_path / "scene.img").unlink()
    with pytest.raises(InputError, match="is a header without its data file"):
        open_cube(header)


@pytest.mark.parametrize("unit", ["Micrometers", "Nanometers", ""])
def test_wavelengths_bad_bands_and_place(tmp_path, scene, unit):
    scale = 0.001 if unit == "Micrometers" else 1
    waves = [400 + 10 * n for n in range(12)]
    header = write_envi(
        tmp_path,
        scene[0],
        wavelength="{" + ",\n ".join(str(w * scale) for w in waves) + "}",
        wavelength_units=unit,
        bbl="{1, 0, 1.0, 0.0, 1, 1, 1, 1, 1, 1, 1, 1}",
        data_ignore_value="-9999",
        map_info="{UTM, 1, 1, 500000, 4000000, 2, 3, 10, North, WGS-84}",
    )
    cube = open_cube(header)
    np.testing.assert_allclose(cube.wavelengths, waves)
    assert cube.bad == (1, 3) and cube.nodata == -9999
    assert cube.crs.to_epsg() == 32610
    assert cube.transform @ (0, 0) == (500000, 4000000)
    assert cube.transform @ (1, 1) == (500002, 3999997)


def test_matlab_files(tmp_path, scene):
    path = tmp_path / "scene.mat"
    scipy.io.savemat(path, {"cube": scene[0], "title": "x", "gt": scene[1]}, do_compression=True)
    cube = open_cube(path)
    np.testing.assert_array_equal(cube.read(slice(0, 24)), scene[0])
    assert cube.notes[0] == "the cube is the variable cube"
    labels = read_labels(path, cube)
    np.testing.assert_array_equal(labels.ids, scene[1])
    scipy.io.savemat(path, {"one": scene[0], "two": scene[0]})
    with pytest.raises(InputError, match="holds several: one 24x30x12, two"):
        open_cube(path)
    np.testing.assert_array_equal(content(path, Layout(variable="two")), scene[0])
    with pytest.raises(InputError, match="has no array three; it has one 24x30x12, two"):
        open_cube(path, Layout(variable="three"))


def test_matlab_7_3(tmp_path, scene):
    import h5py

    path = tmp_path / "scene.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["cube"] = scene[0].T  # MATLAB writes its axes in reverse
    block = b"MATLAB 7.3 MAT-file".ljust(512)
    with path.open("r+b") as file:
        file.write(block)
    np.testing.assert_array_equal(content(path), scene[0])


def test_a_matrix_with_the_files_own_counts(tmp_path, scene):
    matrix = scene[0].transpose(2, 1, 0).reshape(12, -1)
    path = tmp_path / "scene.mat"
    scipy.io.savemat(path, {"Y": matrix, "nRow": 24, "nCol": 30})
    np.testing.assert_array_equal(content(path), scene[0])


def test_matlab_files_without_a_cube(tmp_path):
    path = tmp_path / "scene.mat"
    scipy.io.savemat(path, {"s": {"a": 1}, "c": np.array(["x", 1], object), "t": "text"})
    told = r"holds no cube, but s \(struct\), c \(cell\), t \(char\)"
    with pytest.raises(InputError, match=told):
        open_cube(path)
    scipy.io.savemat(path, {"four": np.zeros((3, 4, 5, 6)), "z": np.eye(9) * 1j})
    with pytest.raises(InputError, match=r"holds no cube, but four 3x4x5x6, z \(complex\)"):
        open_cube(path)
    cube = Cube("c", (9, 9, 3), lambda rows: np.zeros((9, 9, 3))[rows])
    with pytest.raises(InputError, match="holds no label map, but four 3x4x5x6, z"):
        read_labels(path, cube)


def test_labels_as_points(tmp_path, scene):
    np.save(tmp_path / "cube.npy", scene[0])
    cube = open_cube(tmp_path / "cube.npy")
    path = tmp_path / "points.csv"
    path.write_text("row;column;class\n2;3;wheat\n4;29;corn\n")
    labels = read_labels(path, cube)
    assert labels.names == {1: "corn", 2: "wheat"}
    assert labels.ids[2, 3] == 2 and labels.ids[4, 29] == 1 and labels.counts == {1: 1, 2: 1}
    path.write_text("row,column,class\n29,3,7\n")
    with pytest.raises(InputError, match="line 2 lies outside the 24 x 30 scene; its two columns"):
        read_labels(path, cube)
    path.write_text("row,column,class\n1,1,7\n1,1,8\n")
    with pytest.raises(InputError, match="line 2 labels a pixel a second time"):
        read_labels(path, cube)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has the columns a, b"):
        read_labels(path, cube)
    path.write_text("row,column,class\n1,x,7\n")
    with pytest.raises(InputError, match="for a number in line 2"):
        read_labels(path, cube)


def test_a_header_and_its_data_are_one_source(tmp_path, scene):
    header = write_envi(tmp_path, scene[0])
    assert len(find_cubes([str(header), str(tmp_path / "scene.img")])) == 1
    np.save(tmp_path / "other.npy", made_scene(1)[0])
    assert len(find_cubes([str(tmp_path)])) == 2


def test_of_a_folder_all_cubes_below_it_and_a_line_about_the_others(tmp_path, scene, capsys):
    write_envi(tmp_path, scene[0])
    (tmp_path / "deeper").mkdir()
    np.save(tmp_path / "deeper" / "other.npy", scene[0])
    (tmp_path / "notes.txt").write_text("x")
    earlier = tmp_path / "map"
    earlier.mkdir()
    (earlier / "classes.tif").write_bytes(b"")
    row = dict.fromkeys(("source", "sha256", "status", "model", "version"), "")
    (earlier / RESULT_FILE).write_text(json.dumps(row))
    found = find_cubes([str(tmp_path)])
    assert sorted(Path(one.name).name for one in found) == ["other.npy", "scene.hdr"]
    told = f"hsi-classify: {tmp_path}: 1 left out, named as no cube: notes.txt\n"
    assert capsys.readouterr().err == told
    find_cubes([str(tmp_path)], quiet=True)
    assert not capsys.readouterr().err


def test_labels_that_are_none(tmp_path, scene):
    np.save(tmp_path / "cube.npy", scene[0])
    cube = open_cube(tmp_path / "cube.npy")
    path = tmp_path / "labels.npy"
    for wrong, problem in (
        (np.zeros((24, 30)), "labels no pixel"),
        (np.full((24, 30), 0.5), "numbers that are no class"),
        (np.full((24, 30), -1), "numbers that are no class"),
    ):
        np.save(path, wrong)
        with pytest.raises(InputError, match=problem):
            read_labels(path, cube)
