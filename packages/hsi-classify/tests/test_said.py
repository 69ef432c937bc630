"""What is guessed, cut or left out is said; what would be wrong without a word is refused."""

import json

import numpy as np
import pytest
import rasterio
import shapely
from pyogrio.raw import write
from rasterio.transform import Affine, from_origin

from hsi_classify import load
from hsi_classify.files.cube import Cube, Layout
from hsi_classify.files.labels import label_size, read_labels
from hsi_classify.files.opening import open_cube
from hsi_classify.networks import load_network
from hsi_classify.scene.scene import Scene
from hsi_classify.show import picture
from hsi_classify.show.report import build_report
from hsi_classify.writing import write as write_result
from vitrail.errors import InputError
from vitrail.testing.commands import call

from .fakes import few_labels, made_scene, write_envi

PLACE = from_origin(500_000, 4_000_000, 10, 10)


def said(notes, text: str) -> bool:
    return any(text in note for note in notes)


def grid(path, array, crs="EPSG:32610", transform=PLACE, **more) -> None:
    """An array (bands, rows, columns) as GeoTIFF."""
    count, height, width = array.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=count, dtype=array.dtype,
        crs=crs, transform=transform, **more,
    ) as raster:  # fmt: skip
        raster.write(array)


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"wavelength_units": "Index"}, "wavelengths in index are not used"),
        ({"wavelength_units": "Wavenumber"}, "wavelengths in wavenumber are not used"),
        ({}, "have no unit: taken for micrometres"),
        ({"bbl": "{1,1,bad,1,1,1,1,1,1,1,1,1}"}, "bbl has 1 entries that are no number"),
        ({"data_ignore_value": "none"}, "data ignore value none is no number"),
        ({"data_gain_values": "{1,2}"}, "data gain values are not applied"),
        ({"map_info": "{UTM, 1, 1}"}, "map info is too short"),
        ({"map_info": "{UTM, 1, 1, 5e5, 4e6, 2, 2, 10, North, North America 1927}"}, "datum North"),
        ({"map_info": "{Geographic Lat/Lon, 1, 1, 7, 50, 0.1, 0.1}"}, "datum (none) is taken"),
    ],
)
def test_what_a_header_leaves_open(tmp_path, scene, fields, note):
    waves = "{" + ", ".join(str(n + 1) for n in range(12)) + "}"
    cube = open_cube(write_envi(tmp_path, scene[0], wavelength=waves, **fields))
    assert said(cube.notes, note), cube.notes
    if "unit" in note or "in " in note[:16]:
        assert (cube.wavelengths is None) == ("not used" in note)


def test_wavelengths_that_are_none(tmp_path, scene):
    cube = open_cube(write_envi(tmp_path, scene[0], wavelength="{" + "0," * 11 + "0}"))
    assert cube.wavelengths is None and said(cube.notes, "no positive numbers")


@pytest.mark.parametrize("key", ["file_compression", "major_frame_offsets"])
def test_a_layout_that_is_not_read_is_refused(tmp_path, scene, key):
    with pytest.raises(InputError, match="which is not read"):
        open_cube(write_envi(tmp_path, scene[0], **{key: "{1, 0}"}))
    open_cube(write_envi(tmp_path, scene[0], **{key: "{0, 0}"}))


def test_a_georeference_with_a_usual_datum_needs_no_word(tmp_path, scene):
    info = "{UTM, 1, 1, 500000, 4000000, 2, 3, 10, North, WGS-84, units=Meters}"
    assert open_cube(write_envi(tmp_path, scene[0], map_info=info)).notes == ()


def test_which_axis_are_the_bands(tmp_path, scene):
    path = tmp_path / "cube.npy"
    np.save(path, np.moveaxis(scene[0], -1, 0))
    assert said(open_cube(path).notes, "the last axis of (12, 24, 30) is taken for the bands")
    grid(tmp_path / "labels.tif", scene[1][None])
    assert label_size(tmp_path / "labels.tif") == (24, 30)
    cube = open_cube(path, Layout(size=(24, 30)))
    assert cube.shape == (24, 30, 12) and said(cube.notes, "the first axis")
    assert open_cube(path, Layout(bands="first")).notes == ()
    square = Layout(size=(24, 24))
    np.save(path, np.zeros((24, 24, 24)))
    assert said(open_cube(path, square).notes, "the last axis")


def test_label_rasters_that_lie_elsewhere(tmp_path, scene):
    grid(tmp_path / "cube.tif", np.moveaxis(scene[0], -1, 0))
    cube, labels = open_cube(tmp_path / "cube.tif"), tmp_path / "labels.tif"
    grid(labels, scene[1][None])
    assert read_labels(labels, cube).classes == [2, 5, 9]
    grid(labels, scene[1][None], transform=from_origin(500_010, 4_000_000, 10, 10))
    with pytest.raises(InputError, match="lies elsewhere than the cube"):
        read_labels(labels, cube)
    grid(labels, scene[1][None], crs="EPSG:32611")
    with pytest.raises(InputError, match="another coordinate system"):
        read_labels(labels, cube)


def test_pages_alpha_and_scales_of_a_geotiff(tmp_path, scene):
    import tifffile

    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(2):
            file.write(
                np.moveaxis(scene[0], -1, 0), planarconfig="separate", photometric="minisblack"
            )
    assert said(open_cube(path).notes, "the first of 2 pages")
    bands = np.moveaxis(scene[0].astype(np.uint8), -1, 0)
    grid(path, bands, alpha="unspecified")
    with rasterio.open(path, "r+") as raster:
        raster.scales = [1.0] * 11 + [2.0]
        raster.colorinterp = [*raster.colorinterp[:-1], rasterio.enums.ColorInterp.alpha]
    cube = open_cube(path)
    assert said(cube.notes, "band 12 is taken for a mask") and cube.shape[2] == 11
    assert said(cube.notes, "scales and offsets are not applied")


def test_wavelengths_of_some_bands_only(tmp_path, scene):
    path = tmp_path / "cube.tif"
    grid(path, np.moveaxis(scene[0], -1, 0))
    with rasterio.open(path, "r+") as raster:
        for band in range(1, 12):
            raster.update_tags(band, wavelength=str(400 + band), wavelength_units="Nanometers")
    cube = open_cube(path)
    assert cube.wavelengths is None and said(cube.notes, "only 11 of 12 bands have a wavelength")
    with rasterio.open(path, "r+") as raster:
        raster.update_tags(12, wavelength="412", wavelength_units="Nanometers")
    assert open_cube(path).wavelengths == tuple(401.0 + n for n in range(12))


def test_points(tmp_path, scene):
    grid(tmp_path / "cube.tif", np.moveaxis(scene[0], -1, 0))
    cube, path = open_cube(tmp_path / "cube.tif"), tmp_path / "points.csv"
    path.write_text("row,column,class\n1,1,4\n\n2,2,0\n")
    with pytest.raises(InputError, match="has the class 0 in line 4"):
        read_labels(path, cube)
    path.write_text("row,column,class\n1,1,4\n2,2,-3\n")
    with pytest.raises(InputError, match="has the class -3 in line 3"):
        read_labels(path, cube)
    path.write_text("row,column,class\n1,1,4\n\n2,99,5\n")
    with pytest.raises(InputError, match="line 4 lies outside"):
        read_labels(path, cube)
    path.write_text("row,column,class\n1,1,4\n2,2,5\n")
    assert said(read_labels(path, cube).notes, "counted from 0")
    path.write_text("x,y,class\n500015,3999985,4\n")
    labels = read_labels(path, cube)
    assert labels.ids[1, 1] == 4 and said(labels.notes, "taken for that of the cube")


def test_layers_of_a_geopackage(tmp_path, scene):
    grid(tmp_path / "cube.tif", np.moveaxis(scene[0], -1, 0))
    cube, path = open_cube(tmp_path / "cube.tif"), tmp_path / "areas.gpkg"
    for number, layer in enumerate(("fields", "roads")):
        write(
            path, shapely.to_wkb([shapely.box(500_000, 3_999_900, 500_050, 4_000_000)]),
            [np.array([number + 1])], ["class"], geometry_type="Polygon", crs="EPSG:32610",
            driver="GPKG", layer=layer, append=number > 0,
        )  # fmt: skip
    with pytest.raises(InputError, match="holds several layers: fields, roads"):
        read_labels(path, cube)


def test_a_bad_band_costs_no_pixel():
    cube, _ = made_scene()
    cube[:, 20:, 3] = -1
    named = Scene.of(Cube("c", cube.shape, lambda rows: cube[rows], nodata=-1.0, bad=(3,)))
    assert named.moments.count == 24 * 30 and not named.notes
    unnamed = Scene.of(Cube("c", cube.shape, lambda rows: cube[rows], nodata=-1.0))
    assert said(unnamed.notes, "bands 4 lack data in up to 33% of the pixels: see --bad-bands")


def test_pixels_of_zeros_have_no_class(scene):
    cube, labels = scene
    cube = cube.copy()
    cube[:, :3] = 0
    result = load(labels=few_labels(labels), method="svm").predict(cube)
    assert (result.classes[:, :3] == 0).all() and (result.classes[:, 3:] > 0).all()
    assert said(result.reasons, "72 pixels have no class: they lack data in a band or are 0 in all")


def test_a_mask_in_memory_is_no_data(scene):
    cube, labels = scene
    masked = np.ma.masked_array(cube, np.zeros(cube.shape, bool))
    masked[5, 6] = np.ma.masked
    assert load(labels=labels, method="svm").predict(masked).classes[5, 6] == 0


def test_figures_that_flatter_and_a_network_that_made_no_map(files, tmp_path):
    cube, labels = files
    outcome = call(
        "hsi_classify", cube, "--labels", labels, "--per-class", 6, "--save", tmp_path / "kept"
    )
    row = json.loads(outcome.stdout)
    assert said(row["reasons"], "their figures flatter")
    assert said(row["reasons"], "the network sees 4 principal components, ")
    assert said(row["reasons"], "of the variance, of all 720 pixels with data, tested ones too")
    by = row["made_by"]["method"]
    assert by != "network" and said(
        row["reasons"], f"keeps the network alone, and the map is by {by}"
    )


def test_a_scene_unlike_that_of_the_weights(tmp_path, scene):
    cube, labels = scene
    saved = tmp_path / "mine.safetensors"
    load(labels=labels, method="network", save=saved).predict(cube)
    network = load_network(str(saved))

    def remarks(array: np.ndarray) -> tuple[str, ...]:
        seen = Cube("c", array.shape, lambda rows: array[rows])
        known = Scene.known(seen, np.array(network.kept), network.components.mean)
        return network.remarks(seen, known)

    (only,) = remarks(made_scene(3)[0])
    assert only == "the weights know no wavelengths: only the number of bands was compared"
    assert said(remarks(cube / 10_000), "0.0001 times as bright")
    assert said(remarks(cube * np.linspace(0.5, 3, 12)), "the map is likely wrong")


def test_a_turned_grid_stays_in_the_envi_map_and_a_sheared_one_is_told(tmp_path, scene):
    bands = np.moveaxis(scene[0], -1, 0)
    for name, place in (
        ("turned", PLACE @ Affine.rotation(30)),
        ("sheared", PLACE @ Affine.shear(20)),
    ):
        cube = tmp_path / f"{name}.tif"
        grid(cube, bands, transform=place)
        result = load(labels=scene[1], method="angle").predict(cube)
        write_result(result, tmp_path)
        told = said(result.reasons, "classes.hdr cannot say where")
        assert told == (name == "sheared")
        with rasterio.open(tmp_path / "classes.img") as envi:
            assert envi.transform.almost_equals(place, 1e-6) == (name == "turned")


def test_a_picture_of_a_large_scene_says_what_it_shows(monkeypatch, scene):
    monkeypatch.setattr(picture, "MAX_SIDE", 10)
    result = load(labels=scene[1], method="angle").predict(scene[0])
    assert picture.thinning(result) == 3
    assert "of every 3 rows and columns one" in build_report(result).html()
