import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import det_curve, log_loss, roc_auc_score

from vitrail.errors import InputError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.metrics.calibration import fit_temperature
from vitrail.metrics.verification import det_points, eer


@pytest.fixture
def random():
    return np.random.default_rng(0)


def overlapping(random, negatives: int, positives: int):
    labels = np.repeat([0, 1], [negatives, positives])
    return random.normal(labels * 1.5), labels


def test_eer_of_a_case_done_by_hand():
    # At 0.5 one of four negatives is accepted and one of four positives is rejected.
    scores = [0.1, 0.2, 0.3, 0.7, 0.4, 0.6, 0.8, 0.9]
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    assert eer(scores, labels).rate == pytest.approx(0.25)


def test_both_errors_meet_at_the_threshold_of_the_eer(random):
    scores, labels = overlapping(random, 3000, 1000)
    rate, threshold = eer(scores, labels)
    assert np.mean(scores[labels == 0] >= threshold) == pytest.approx(rate, abs=2e-3)
    assert np.mean(scores[labels == 1] < threshold) == pytest.approx(rate, abs=2e-3)
    # Two unit normals 1.5 apart meet at 0.75, where the tail is 0.2266.
    assert rate == pytest.approx(0.2266, abs=0.02)


@pytest.mark.parametrize(
    ("scores", "rate"),
    [([0, 0, 1, 1], 0.0), ([1, 1, 0, 0], 1.0), ([5, 5, 5, 5], 0.5), ([0, 1, 0, 1], 0.5)],
)
def test_eer_at_its_extremes_and_with_ties(scores, rate):
    result = eer(scores, [0, 0, 1, 1])
    assert result.rate == pytest.approx(rate)
    assert np.isfinite(result.threshold)


@pytest.mark.parametrize(
    ("scores", "labels", "problem"),
    [
        ([1, 2], [1, 1], "labels: must be 0 and 1"),
        ([1, 2], [0, 2], "labels: must be 0 and 1"),
        ([1, 2, 3], [0, 1], "scores: shape (3,)"),
        ([1, np.nan], [0, 1], "scores: hold values that are no numbers"),
        ([], [], "labels: must be 0 and 1"),
    ],
)
def test_eer_names_what_is_wrong_with_its_input(scores, labels, problem):
    with pytest.raises(InputError) as caught:
        eer(scores, labels)
    assert str(caught.value).startswith(problem)


def test_det_points_are_the_rates_of_scikit_learn_on_the_deviate_scale(random):
    from scipy.stats import norm

    scores, labels = overlapping(random, 200, 200)
    accepted, rejected = (norm.cdf(axis) for axis in det_points(scores, labels))
    ours = set(zip(accepted.round(6), rejected.round(6), strict=True))
    inside = [
        (a, r)
        for a, r, _ in zip(*det_curve(labels, scores), strict=True)
        if 0 < a < 1 and 0 < r < 1
    ]
    assert len(inside) > 50
    assert {(round(a, 6), round(r, 6)) for a, r in inside} <= ours
    assert np.isfinite(det_points(scores, labels)).all()


def test_the_bootstrap_interval_of_a_mean_agrees_with_the_normal_one(random):
    values = random.normal(3.0, 2.0, 400)
    low, high = bootstrap_interval(np.mean, values)
    error = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.03)
    assert bootstrap_interval(np.mean, values) == (low, high)
    assert bootstrap_interval(np.mean, values, seed=1) != (low, high)


def test_a_higher_level_gives_a_wider_interval(random):
    values = random.normal(size=100)
    low, high = bootstrap_interval(np.mean, values, level=0.5)
    lower, higher = bootstrap_interval(np.mean, values, level=0.99)
    assert lower < low < high < higher


def test_grouped_intervals_cover_the_truth_where_row_intervals_do_not(random):
    # 30 subjects of 20 nearly equal rows each: 600 rows carry little more than 30 independent
    # values.
    covered = {"rows": 0, "groups": 0}
    for _ in range(30):
        subjects = random.normal(size=30)
        values, groups = (
            np.repeat(subjects, 20) + 0.1 * random.normal(size=600),
            np.repeat(np.arange(30), 20),
        )
        for name, chosen in (("rows", None), ("groups", groups)):
            low, high = bootstrap_interval(np.mean, values, groups=chosen)
            covered[name] += low <= 0 <= high
    assert covered["groups"] >= 26
    assert covered["rows"] <= 15


def test_groups_keep_their_rows_together_and_may_have_names(random):
    groups = np.array(["b", "a", "b", "c", "a"])

    def same_group(rows, names):
        values, counts = np.unique(names, return_counts=True)
        sizes = {"a": 2, "b": 2, "c": 1}
        assert all(count % sizes[value] == 0 for value, count in zip(values, counts, strict=True))
        assert (groups[rows] == names).all()
        return rows.mean()

    bootstrap_interval(same_group, np.arange(5), groups, groups=groups)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_draws_without_a_second_class_are_left_out(random):
    low, high = bootstrap_interval(
        lambda labels, scores: roc_auc_score(labels, scores), [0, 0, 1, 1], [0, 2, 1, 3]
    )
    assert 0 <= low < high <= 1


def test_the_bootstrap_refuses_what_it_cannot_draw_from():
    for arrays, groups in [(([1, 2], [1]), None), (([1, 2],), [1]), (([],), None)]:
        with pytest.raises(InputError, match="needs rows and arrays of one length"):
            bootstrap_interval(np.mean, *arrays, groups=groups)
    with pytest.raises(InputError, match="undefined on every draw"):
        bootstrap_interval(lambda values: np.nan, [1, 2, 3])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(random, temperature):
    logits = random.normal(0, 3, (20_000, 4))
    labels = np.array([random.choice(4, p=row) for row in softmax(logits, axis=1)])
    assert fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_binary_logits_are_taken_as_one_column(random):
    logits = random.normal(0, 2, 2000)
    labels = random.random(2000) < 1 / (1 + np.exp(-logits / 4))
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(fit_temperature(np.stack([0 * logits, logits], axis=1), labels))
    loss = {
        t: log_loss(labels, 1 / (1 + np.exp(-logits / t)))
        for t in (found, 0.9 * found, 1.1 * found)
    }
    assert min(loss, key=loss.get) == found


@pytest.mark.parametrize(
    ("logits", "labels"),
    [([[1.0, 2.0]], [2]), ([[1.0, np.inf]], [1]), ([[1.0, 2.0]], [0, 1]), ([], [])],
)
def test_a_temperature_needs_logits_that_go_with_labels(logits, labels):
    with pytest.raises(InputError):
        fit_temperature(logits, labels)
