"""Bands, components, patches, blocks."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from hsi_classify.files.cube import Cube
from hsi_classify.scene import scene as scene_module
from hsi_classify.scene.bands import parse, spans
from hsi_classify.scene.components import Moments, fit_components
from hsi_classify.scene.patches import at_pixels, standardised
from hsi_classify.scene.scene import REACH, Scene, mean_spectra
from vitrail.errors import InputError, UsageError

from .fakes import made_scene


def cube_of(array: np.ndarray, **facts) -> Cube:
    return Cube("made", array.shape, lambda rows: array[rows], **facts)


def test_components_are_scikit_learns(monkeypatch):
    cube, _ = made_scene()
    flat = cube.reshape(-1, cube.shape[-1]).astype(float)
    oracle = PCA(5, whiten=True).fit(flat)
    found = fit_components(Moments.of([flat[:100], flat[100:101], flat[101:]]), 5)
    ours, theirs = found.project(flat), oracle.transform(flat)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours * signs, theirs, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.explained, oracle.explained_variance_ratio_, rtol=1e-6)


def test_strips_change_nothing(monkeypatch):
    cube, labels = made_scene()
    whole = Scene.of(cube_of(cube))
    (one,) = whole.blocks()
    monkeypatch.setattr(scene_module, "STRIP_BYTES", 40_000)
    parts = Scene.of(cube_of(cube))
    np.testing.assert_allclose(parts.moments.covariance, whole.moments.covariance, rtol=1e-9)
    tops = [block.top for block in parts.blocks()]
    assert len(tops) > 2
    again = np.concatenate([b.spectra[REACH:-REACH] for b in parts.blocks()])
    np.testing.assert_allclose(again, one.spectra[REACH:-REACH], atol=1e-3)
    spectra = mean_spectra(parts, labels)
    wanted = cube[labels == 5].mean(0)
    np.testing.assert_allclose(spectra[5][0], wanted, rtol=1e-5)


def test_more_components_than_bands():
    moments = Moments.of([np.random.default_rng(0).normal(size=(50, 4))])
    with pytest.raises(InputError, match="15 components from 4 bands"):
        fit_components(moments, 15)


def test_patches_have_zeros_around_the_scene():
    image = np.arange(2 * 4 * 5, dtype=np.float32).reshape(2, 4, 5)
    (corner,) = at_pixels(image, np.array([0]), 3)
    assert corner[:, 0].sum() == 0 and corner[0, 1, 1] == image[0, 0, 0]
    np.testing.assert_array_equal(corner[:, 1:, 1:], image[:, :2, :2])


def test_standardised_patches():
    patches = np.random.default_rng(0).normal(3, 2, (4, 2, 5, 5))
    found = standardised(patches)
    np.testing.assert_allclose(found.mean((2, 3)), 0, atol=1e-9)
    np.testing.assert_allclose(found.std((2, 3), ddof=1), 1, atol=1e-6)


def test_bands_that_do_not_count():
    cube, _ = made_scene()
    cube = np.concatenate([cube, cube[:, :, :4]], axis=2)
    cube[:, :, 2] = -1  # nothing but the ignore value
    cube[:, :, 5] = 7  # constant
    cube[:, :, 7] = np.random.default_rng(1).normal(0, 100, cube.shape[:2])  # noise
    cube[3, 4] = -1  # a pixel without data
    waves = tuple(1300.0 + 20 * n for n in range(16))
    scene = Scene.of(cube_of(cube, nodata=-1.0, bad=(1,), wavelengths=waves))
    dropped = scene.bands.dropped
    assert dropped["no data"] == (2,) and dropped["bad by the header"] == (1,)
    assert 3 in dropped["water vapour"] and 0 not in dropped["water vapour"]
    (block,) = scene.blocks()
    assert not block.inner[3, 4] and block.inner.sum() == block.inner.size - 1
    everything = Scene.of(cube_of(cube, nodata=-1.0), "none")
    assert list(everything.bands.dropped) == ["no data"]
    told = " ".join(Scene.of(cube_of(cube, nodata=-1.0)).bands.sentences())
    assert "constant" in told and "noise" in told and "8" in told


def test_not_a_number_is_no_data():
    cube, _ = made_scene()
    cube = cube.astype(np.float32)
    cube[0, 0, 3], cube[1, 1, 4] = np.nan, np.inf
    scene = Scene.of(cube_of(cube))
    (block,) = scene.blocks()
    assert scene.moments.count == block.inner.size - 2 and np.isfinite(block.spectra).all()


def test_no_data_at_all():
    cube = np.full((4, 5, 6), -1, np.int16)
    with pytest.raises(InputError, match="no pixel with data"):
        Scene.of(cube_of(cube, nodata=-1.0))


def test_lists_of_bands():
    assert parse("1-3, 5", 6) == {0, 1, 2, 4}
    assert spans((0, 1, 2, 4)) == "1-3, 5"
    for wrong in ("0", "4-2", "7", "a", ""):
        with pytest.raises(UsageError, match="--bad-bands"):
            parse(wrong, 6)
