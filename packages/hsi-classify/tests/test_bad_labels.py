"""Labels damaged by the hundred, in each form that people have them in."""

import numpy as np
import pytest
import rasterio
import shapely
from pyogrio.raw import write as write_vectors
from rasterio.transform import from_origin

from hsi_classify.files.cube import Cube
from hsi_classify.files.labels import read_labels
from hsi_classify.files.mat import Variables
from vitrail.errors import InputError
from vitrail.testing.mutants import mutate_bytes

from .fakes import few_labels, write_envi
from .test_bad_input import VARIANTS, read_forked

PLACE = from_origin(500_000, 4_000_000, 10, 10)


def labels_file(kind: str, labels: np.ndarray, path) -> None:
    """The first two rows' labels in one of the forms that people have them in."""
    points = [(r, c, int(labels[r, c])) for r in (1, 2) for c in range(0, labels.shape[1], 5)]
    if kind == "npy":
        np.save(path, labels)
    elif kind == "img":
        write_envi(
            path.parent, labels[:, :, None], file_type="ENVI Classification", classes=10,
            class_names="{-, a, soil, c, d, grass,, g, h, road}",
            class_lookup="{0,0,0, 1,1,1, 200,100,0, 3,3,3, 4,4,4, 0,255,0}",
        )  # fmt: skip
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


def test_two_hundred_damaged_matlab_files_of_labels(scene, tmp_path, monkeypatch):
    """Those that can be read are labels of this scene, or are refused in one line."""
    cube, labels = scene[0], few_labels(scene[1])
    located = Cube("c", cube.shape, lambda rows: cube[rows])
    read = read_forked(labels, 5, tmp_path)
    right = 0
    for number, arrays in read.items():
        variables = Variables({f"v{n}": array for n, array in enumerate(arrays)}, {})
        monkeypatch.setattr("hsi_classify.files.mat.read_variables", lambda path, v=variables: v)
        try:
            found = read_labels(tmp_path / "files" / f"{number}.mat", located)
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            continue
        assert (found.ids == labels).all()  # what is compressed has a checksum
        right += 1
    assert right > 0


def test_labels_in_an_envi_classification(scene, tmp_path):
    labels_file("img", scene[1], tmp_path / "scene.img")
    located = Cube("c", scene[0].shape, lambda rows: scene[0][rows])
    for name in ("scene.img", "scene.hdr"):
        found = read_labels(tmp_path / name, located)
        np.testing.assert_array_equal(found.ids, scene[1])
        assert found.names == {2: "soil", 5: "grass", 9: "road"}
        assert found.colours == {2: (200, 100, 0), 5: (0, 255, 0)}
    short = (tmp_path / "scene.img").read_bytes()[:-30]
    (tmp_path / "scene.img").write_bytes(short)
    with pytest.raises(InputError, match="has 690 bytes where its header describes 720"):
        read_labels(tmp_path / "scene.img", located)


@pytest.mark.parametrize("damaged", ["scene.img", "scene.hdr"])
def test_damaged_labels_in_an_envi_classification(scene, tmp_path, damaged):
    """Numbers have no checksum, so that some may differ; a file that is short of them is refused,
    and one that is too long is told of."""
    labels_file("img", scene[1], tmp_path / "scene.img")
    located = Cube("c", scene[0].shape, lambda rows: scene[0][rows])
    good = (tmp_path / damaged).read_bytes()
    refused = 0
    for variant in mutate_bytes(good, seed=2, count=VARIANTS):
        (tmp_path / damaged).write_bytes(variant)
        try:
            found = read_labels(tmp_path / "scene.img", located)
        except InputError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
            continue
        assert found.ids.shape == located.size
        if damaged == "scene.img":
            assert len(variant) == len(good) or "bytes longer" in found.notes[0]
    assert refused > 20
    assert len(list(tmp_path.iterdir())) == 2
