"""Dates that lie beside each other: found, taken back, told; or left where windows disagree."""

import re

import numpy as np
import pytest
from scipy import ndimage

from change_detect.job import ChangeJob, Options
from change_detect.scene.scene import scene_of_arrays
from change_detect.scene.shift import find_shift
from vitrail.testing.beside import DATA, needs

from .fakes import PLACE, built, made, network

ROOF = (100, 120, 140, 200)


def ground(seed: int = 0) -> np.ndarray:
    """Structured ground (3, 300, 340) uint8."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(size=(3, 300, 340)), (0, 2, 2))
    return np.clip(90 + 90 * rough, 40, 140).astype(np.uint8)


def moved(pixels: np.ndarray, rows: float, columns: float) -> np.ndarray:
    shifted = [
        ndimage.shift(p.astype(float), (rows, columns), order=1, mode="wrap") for p in pixels
    ]
    return np.rint(shifted).astype(np.uint8)


@pytest.mark.parametrize("by", [(0, 0), (1.4, -0.7), (-3, 2.25)])
def test_a_shift_is_found_under_other_light(by):
    first = ground()
    noise = np.random.default_rng(1).normal(0, 3, first.shape)
    second = (0.7 * moved(first, *by) + 40 + noise).clip(0, 255).astype(np.uint8)
    shift = find_shift(scene_of_arrays(first, second))
    assert shift.is_certain and shift.windows == 16
    assert (shift.rows, shift.columns) == pytest.approx((-by[0], -by[1]), abs=0.15)


def test_windows_that_disagree_move_nothing(job, tmp_path):
    first, second = ground(), ground(seed=7)
    shift = find_shift(scene_of_arrays(first, second))
    assert not shift.is_certain
    result = job.predict(made(tmp_path / "a.tif", first), made(tmp_path / "b.tif", second))
    assert result.facts["shift"]["applied"] is False
    assert not any("beside" in reason for reason in result.reasons)


def test_the_later_date_is_moved_and_said(job, tmp_path):
    first = ground()
    a = made(tmp_path / "a.tif", first)
    b = made(tmp_path / "b.tif", moved(built(first, ROOF), 3, -2))
    truth = np.zeros((300, 340), bool)
    truth[100:140, 120:200] = True
    wrong = {}
    for align in (True, False):
        result = ChangeJob(network(), Options(align=align), engine="eager").predict(a, b)
        known = result.changed != 255
        wrong[align] = ((result.changed == 1) != truth)[known].sum()
        assert result.facts["shift"]["applied"] is align
        assert (result.place.transform, result.mask.shape) == (PLACE, (300, 340))
        told = "it was moved onto it" if align else "it was compared where it lies"
        assert [told in reason for reason in result.reasons] == [True]
        assert re.match(r"b.tif lies 3.[56] pixels beside a.tif, as 1\d of 16", result.reasons[0])
    assert wrong[True] < 100 < 300 < wrong[False]


def test_pictures_without_a_place_are_told_alone(job):
    first = ground()
    result = job.predict(first, moved(first, 3, -2))
    assert result.facts["shift"]["applied"] is False
    assert re.match(r"after lies 3.[56] pixels beside before", result.reasons[0])


@pytest.mark.parametrize("shape", [(40, 50), (100, 120)])
def test_a_scene_that_is_too_small_says_nothing(shape):
    pixels = ground()[:, : shape[0], : shape[1]]
    assert find_shift(scene_of_arrays(pixels, pixels)) is None


def test_flat_and_empty_windows_say_nothing():
    flat = np.full((3, 300, 340), 80, np.uint8)
    assert find_shift(scene_of_arrays(flat, flat)) is None
    empty = np.ma.MaskedArray(ground(), np.ones((3, 300, 340), bool))
    assert find_shift(scene_of_arrays(empty, ground())) is None


@needs(DATA / "change" / "geotiff")
def test_real_dates():
    import rasterio

    def read(name: str) -> np.ndarray:
        with rasterio.open(DATA / "change" / "geotiff" / name) as dataset:
            return dataset.read()[:3]

    landsat = read("taizhou_2000.tif"), read("taizhou_2003.tif")
    for by in ((0, 0), (1.4, -0.7)):
        shift = find_shift(scene_of_arrays(landsat[0], moved(landsat[1], *by)))
        assert shift.is_certain
        assert (shift.rows, shift.columns) == pytest.approx((-by[0], -by[1]), abs=0.15)
    roofs = find_shift(scene_of_arrays(read("levir_test_2_A.tif"), read("levir_test_2_B.tif")))
    assert not roofs.is_certain
