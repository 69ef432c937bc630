"""Whole scenes of which only some pixels are computed."""

import json

import numpy as np
import pytest
import torch

from hsi_classify import load
from hsi_classify.files.cube import Cube
from hsi_classify.fit import presets
from hsi_classify.options import Options
from hsi_classify.scene import scene as scene_module
from hsi_classify.scene.canvas import Canvas, lead
from hsi_classify.scene.scene import REACH, Scene
from hsi_classify.scene.whole import by_superpixels, compare, every_nth
from vitrail.errors import UsageError
from vitrail.runner import solve
from vitrail.testing.commands import call

from .fakes import few_labels, made_scene

MODES = [{"stride": 2}, {"stride": 3}, {"superpixels": 12}, {"student": True}]


@pytest.fixture(autouse=True)
def quick_student(monkeypatch):
    monkeypatch.setattr("hsi_classify.fit.student.STEPS", 60)


@pytest.fixture
def holed() -> tuple[np.ndarray, np.ndarray]:
    """A scene with pixels without data, one of them alone with its like around it."""
    cube, labels = made_scene()
    cube = cube.astype(np.float32)
    cube[4:9, 3:8] = np.nan
    cube[6, 5] = cube[2, 5]
    return cube, few_labels(labels)


def asker(truth: np.ndarray, ids: np.ndarray, asked: list[int]):
    """Answers with the truth, and counts."""

    def answer(block, rows, columns):
        yield from ()
        asked.append(len(rows))
        return np.eye(len(ids))[np.searchsorted(ids, truth[block.top + rows, columns])]

    return answer


def filled(mode, cube: np.ndarray, truth: np.ndarray, number: int):
    """The map that a mode makes of answers that are always right; how many were asked for, and the
    agreement that it tells."""
    ids, asked = np.unique(truth), []
    scene = Scene.of(Cube("c", cube.shape, lambda rows: cube[rows]))
    canvas, answer = Canvas(scene.size, tuple(ids.tolist())), asker(truth, ids, asked)
    axes = np.eye(cube.shape[2], 3, dtype=np.float32) / scene.std[:, None]
    computed = solve({}, mode(scene, canvas, answer, axes, number))
    assert sum(asked) == computed
    return canvas.classes, computed, solve({}, compare(scene, canvas, answer, computed))


@pytest.mark.parametrize("options", MODES)
def test_every_pixel_with_data_has_a_class(holed, options):
    cube, labels = holed
    result = load(labels=labels, method="svm", **options).predict(cube)
    np.testing.assert_array_equal(result.classes > 0, np.isfinite(cube).all(2))
    exact = load(labels=labels, method="svm").predict(cube).classes
    told = result.made_by["agreement"]
    assert abs((result.classes == exact)[exact > 0].mean() - told) < 0.02 and told > 0.9
    assert any("of the pixels were computed; of" in reason for reason in result.reasons)


@pytest.mark.parametrize(("mode", "number"), [(every_nth, 2), (every_nth, 4), (by_superpixels, 9)])
def test_strips_change_nothing_and_edges_stay(monkeypatch, mode, number):
    cube, _ = made_scene(noise=5.0)
    truth = np.array([2, 5, 9])[np.minimum(np.arange(30) // 10, 2)][None].repeat(24, 0)
    found, computed, agreement = filled(mode, cube, truth, number)
    np.testing.assert_array_equal(found, truth)
    assert computed < 0.5 * truth.size
    assert agreement.share == 1 and agreement.computed == computed / truth.size
    monkeypatch.setattr(scene_module, "STRIP_BYTES", 40_000)
    again, same, _ = filled(mode, cube, truth, number)
    np.testing.assert_array_equal(again, found)
    assert same == computed


def test_agreement_is_that_with_the_exact_map():
    cube, _ = made_scene()
    truth = np.random.default_rng(0).choice([2, 9], (24, 30))  # nothing that spectra could tell
    found, computed, agreement = filled(by_superpixels, cube, truth, 20)
    assert computed < 60 and abs(agreement.share - (found == truth).mean()) < 0.08
    assert 0.3 < agreement.share < 0.75


def test_what_lies_between_two_classes_is_computed():
    cube, _ = made_scene(noise=0.0)
    cube[:] = cube[0, 0]  # no edge to be seen
    truth = np.array([2, 9])[np.arange(30) % 2][None].repeat(24, 0)
    truth[:, ::4] = 9
    found, computed, _ = filled(every_nth, cube + np.arange(30)[None, :, None], truth, 2)
    assert computed > 24 * 30 / 4
    assert ((found == 9) | (found == 2)).all()


def test_the_lead_of_the_likeliest():
    np.testing.assert_allclose(lead(np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]])), [0.2, 0.7])
    assert lead(np.array([[1.0]])) == 1


def test_weights_by_stride(files, tmp_path):
    cube, labels = files
    saved = tmp_path / "mine.safetensors"
    load(labels=labels, method="network", save=saved).predict(cube)
    outcome = call("hsi_classify", cube, "--weights", saved, "--stride", 3, "--json")
    row = json.loads(outcome.stdout)
    assert row["made_by"]["agreement"] > 0.8 and row["made_by"]["computed_share"] < 0.9
    assert row["options"]["stride"] == 3


def test_calls_that_make_no_sense(files):
    with pytest.raises(UsageError, match="exclude each other"):
        Options(stride=2, student=True)
    with pytest.raises(UsageError, match="--superpixels 1: saves nothing"):
        Options(superpixels=1)
    outcome = call("hsi_classify", files[0], "--stride", 2, "--superpixels", 9)
    assert outcome.status == 2 and "exclude each other" in outcome.stderr


def test_a_student_learns_though_the_caller_computes_without_gradients(scene):
    cube, labels = scene
    with torch.inference_mode():
        result = load(labels=labels, method="svm", student=True).predict(cube)
    assert result.made_by["agreement"] > 0.9


def test_a_scene_without_data(files, tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((24, 30, 12)))
    saved = tmp_path / "mine.safetensors"
    load(labels=files[1], method="network", save=saved).predict(files[0])
    for mode in ("--stride", "--superpixels"):
        outcome = call("hsi_classify", tmp_path / "empty.npy", "--weights", saved, mode, 4)
        assert outcome.status == 1 and "has no pixel with data" in outcome.stderr


def test_the_reach_holds_a_students_patch():
    assert presets.PRESETS["conv"].patch // 2 <= REACH
