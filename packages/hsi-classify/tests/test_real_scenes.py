"""Real scenes, in each of their files."""

import numpy as np
import pytest

from hsi_classify import load
from hsi_classify.files.cube import Layout
from hsi_classify.files.opening import open_cube
from vitrail.testing.beside import DATA, needs

HYPER = DATA / "hyperspectral"
FORMS = HYPER / "formats"


@needs(HYPER)
def test_salinas_a_from_every_container_gives_one_map():
    labels, maps = FORMS / "SalinasA_gt.tif", []
    for cube in (
        FORMS / "SalinasA.hdr",
        FORMS / "SalinasA.img",
        FORMS / "SalinasA.tif",
        HYPER / "salinas_a" / "SalinasA_corrected.mat",
    ):
        result = load(labels=labels, method="svm", per_class=10).predict(cube)
        assert result.score is not None and result.score.oa > 0.9
        assert set(np.unique(result.classes)) == {1, 10, 11, 12, 13, 14}
        maps.append(result.classes)
    assert all((maps[0] == other).all() for other in maps[1:])


@needs(HYPER)
@pytest.mark.parametrize("variable", [None, "hyprImg"])
def test_houston_is_found_among_other_arrays(variable):
    path = HYPER / "houston2018_crop" / "houston_dataset.mat"
    cube = open_cube(path, Layout(variable=variable, size=(128, 128)))
    assert cube.shape == (128, 128, 48)


@needs(HYPER)
def test_jasper_ridge_is_a_matrix_counted_by_columns():
    path = HYPER / "jasper_ridge" / "jasperRidge2_R198.mat"
    cube = open_cube(path, Layout(shape=(100, 100)))
    assert cube.shape == (100, 100, 198)
    image = cube.read(slice(0, 100)).astype(float)
    # Neighbours along both axes are alike only where the pixels lie as they were.
    for axis in (0, 1):
        steps = np.abs(np.diff(image, axis=axis)).mean()
        assert steps < 0.5 * image.std()
