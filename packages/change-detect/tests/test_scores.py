"""Counts against scikit-learn, objects by hand."""

import numpy as np
from sklearn import metrics

from change_detect.measure.scores import Confusion, Curve, object_counts


def test_figures_equal_those_of_scikit_learn():
    rng = np.random.default_rng(2)
    truth = rng.random((40, 50)) < 0.2
    found = truth ^ (rng.random(truth.shape) < 0.15)
    ours = Confusion.of(found, truth).to_dict()
    pairs = {
        "f1": metrics.f1_score,
        "iou": metrics.jaccard_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "accuracy": metrics.accuracy_score,
        "kappa": metrics.cohen_kappa_score,
    }
    for name, theirs in pairs.items():
        assert np.isclose(ours[name], theirs(truth.ravel(), found.ravel())), name
    halves = [Confusion.of(found[part], truth[part]) for part in (slice(20), slice(20, 40))]
    assert halves[0] + halves[1] == Confusion.of(found, truth)
    nothing = np.zeros((3, 3), bool)
    assert set(Confusion.of(nothing, nothing).to_dict().values()) == {0.0, 1.0}


def test_the_best_threshold_is_found():
    rng = np.random.default_rng(0)
    truth = rng.random(20_000) < 0.1
    probability = np.clip(np.where(truth, 0.45, 0.2) + rng.normal(0, 0.05, truth.size), 0, 1)
    curve = Curve()
    curve.add(probability[:9000], truth[:9000])
    curve.add(probability[9000:], truth[9000:])
    threshold, f1 = curve.best()
    direct = [Confusion.of(probability >= t, truth).f1 for t in (threshold, 0.2, 0.45)]
    assert 0.3 < threshold < 0.4 and np.isclose(direct[0], f1, atol=2e-3)
    assert direct[0] > max(direct[1:])


def test_objects_are_counted_by_what_covers_them():
    truth, found = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    truth[5:15, 5:15] = truth[30:40, 5:15] = True
    found[5:15, 5:11] = True  # 60 % of the first
    found[50:58, 40:50] = True  # nothing is there
    found[30:34, 30:34] = True  # 16 pixels: too small to count
    assert object_counts(found, truth) == Confusion(1, 1, 1, 0)
