"""Learning from few labels: splits, folds, methods, the choice between them."""

import numpy as np
import pytest

from hsi_classify.files.cube import Cube
from hsi_classify.fit.choose import MEAN, choose, folds_of, groups_of
from hsi_classify.fit.learn import fit_scene, makers
from hsi_classify.fit.methods import Svm, gather, mean_of
from hsi_classify.fit.network import fit_module
from hsi_classify.scene.scene import Scene
from hsi_classify.scores import score
from hsi_classify.splits import GUARD, make_split, read_splits, write_splits
from vitrail.errors import InputError

from .fakes import COLUMNS, QUICK, ROWS, as_labels, few_labels, made_scene


@pytest.fixture
def made() -> tuple[Scene, np.ndarray]:
    cube, labels = made_scene()
    return Scene.of(Cube("made", cube.shape, lambda rows: cube[rows])), labels


@pytest.mark.parametrize("method", ["network", "svm", "svm-mean", "angle", "conv"])
def test_every_method_learns_what_is_plain(made, method):
    scene, labels = made
    fitted = fit_scene(scene, as_labels(labels), makers(scene, method, "small", 0), 6)
    (one,) = fitted.choice.methods
    shares = one.probabilities(gather(scene, one, fitted.test))
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-4)
    guesses = np.array([2, 5, 9])[shares.argmax(1)]
    assert len(fitted.test) == (labels > 0).sum() - 18
    assert score(fitted.truth, guesses).oa > 0.9


def test_auto_names_its_choice(made):
    scene, labels = made
    kept = few_labels(labels)
    fitted = fit_scene(scene, as_labels(kept), makers(scene, "auto", "small", 0))
    accuracy = fitted.facts["cross_validated_recall"]
    assert set(accuracy) == {"network", "conv", "svm", "svm-mean", "angle", MEAN}
    assert fitted.choice.name in accuracy and fitted.facts["labels"] == 12


def test_labels_in_one_patch_leave_no_choice(made):
    scene, labels = made
    kept = np.zeros_like(labels)
    for column in (2, 14, 26):
        kept[10:12, column : column + 2] = labels[10:12, column : column + 2]
    fitted = fit_scene(scene, as_labels(kept), makers(scene, "auto", "small", 0))
    assert fitted.choice.name == MEAN and "no choice was possible" in fitted.choice.reason
    assert fitted.facts["cross_validated_recall"] == {}


def test_folds_keep_groups_together():
    places = [(0, 0), (0, 1), (1, 0), (20, 20), (20, 21), (0, 15), (15, 0), (15, 15)]
    pixels = np.array([row * 30 + column for row, column in places])
    groups = groups_of(pixels, (30, 30))
    assert groups[0] == groups[1] == groups[2] != groups[3] == groups[4]
    folds = folds_of(pixels, np.array([0, 0, 0, 0, 0, 1, 1, 1]), (30, 30))
    assert folds is not None and folds[0] == folds[1] == folds[2] != folds[3]
    assert folds_of(pixels, np.array([0, 0, 0, 1, 1, 1, 1, 1]), (30, 30)) is None


def test_the_same_seed_gives_the_same_network(made):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 4, 5, 5)).astype(np.float32)
    targets = np.arange(12) % 3
    one, two = (fit_module(features, targets, QUICK, seed=3).state_dict() for _ in range(2))
    assert all((one[key] == two[key]).all() for key in one)


def test_means_of_pixels_with_data():
    spectra = np.ones((9, 9, 2), np.float32)
    valid = np.ones((9, 9), bool)
    spectra[4, 4], valid[4, 4] = 0, False
    np.testing.assert_allclose(mean_of(spectra, valid, 3)[1:-1, 1:-1], 1, rtol=1e-5)


def test_labels_that_cannot_be_learned_from(made):
    scene, labels = made
    few = few_labels(labels)
    few[few == 9] = 0
    few[5, 28] = 9
    with pytest.raises(InputError, match="class 9 has 1 labels of the 3 that are wanted"):
        fit_scene(scene, as_labels(few), {"svm": lambda: Svm(scene)}, 3)
    only = np.where(labels == 5, labels, 0)
    with pytest.raises(InputError, match="one class only"):
        fit_scene(scene, as_labels(only), {"svm": lambda: Svm(scene)})


def test_labels_without_data_are_left_out():
    cube, labels = made_scene()
    cube[10] = -5
    scene = Scene.of(Cube("made", cube.shape, lambda rows: cube[rows], nodata=-5.0))
    fitted = fit_scene(scene, as_labels(labels), {"svm": lambda: Svm(scene)})
    assert fitted.reasons == (f"{COLUMNS} labels lie on pixels without data",)
    assert fitted.facts["labels"] == (ROWS - 2) * COLUMNS


def test_splits(tmp_path):
    labels = np.zeros((80, 90), np.int32)
    labels[:, :45], labels[40:, 45:] = 1, 7
    random = make_split(labels, "random", 10, 0)
    assert len(random.train) == 20 and len(random.test) == (labels > 0).sum() - 20
    patch = make_split(labels, "patch", 10, 0)
    assert len(patch.train) == 40
    rows, columns = np.unravel_index(patch.train, labels.shape)
    test_rows, test_columns = np.unravel_index(patch.test, labels.shape)
    far = np.maximum(
        np.abs(rows[:, None] - test_rows), np.abs(columns[:, None] - test_columns)
    ).min(0)
    assert far.min() == GUARD + 1
    path = tmp_path / "splits.json"
    write_splits(path, labels.shape, [random, patch])
    again = read_splits(path, labels.shape)
    assert [s.kind for s in again] == ["random", "patch"]
    np.testing.assert_array_equal(again[1].test, patch.test)
    with pytest.raises(InputError, match="is of a scene of"):
        read_splits(path, (80, 91))
    path.write_text("{")
    with pytest.raises(InputError, match="is not a list of splits"):
        read_splits(path, labels.shape)


def test_scores():
    found = score(np.array([1, 1, 7, 7]), np.array([1, 7, 7, 3]))
    assert found.oa == 0.5 and found.aa == 0.5
    assert found.confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 1]]


def test_one_maker_is_not_cross_validated(made):
    scene, labels = made
    pixels = np.flatnonzero(labels.ravel())[::9]
    targets = np.searchsorted([2, 5, 9], labels.ravel()[pixels])
    choice = choose(scene, {"svm": lambda: Svm(scene)}, pixels, targets)
    assert choice.name == "svm" and not choice.accuracy
