"""COCO's average precision, against pycocotools itself."""

import contextlib
import io

import numpy as np
import pytest

from pose_estimate.data import Coco, read_people
from pose_estimate.pose.average_precision import Guess, Truth, average_precision
from pose_estimate.skeleton import skeleton
from vitrail.testing.beside import DATA, needs

COCO = skeleton("coco")
SIGMAS = np.array(COCO.sigmas)
NAMES = ("ap", "ap50", "ap75", "medium", "large", "recall")
PLACES = (0, 1, 2, 3, 4, 5)  # of the same figures among those of pycocotools


def official(truths, guesses):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    numbers = {image: n + 1 for n, image in enumerate(truths)}
    annotations = [
        {"id": n + 1, "image_id": numbers[image], "category_id": 1, "iscrowd": int(one.crowd),
         "area": one.area, "bbox": one.box.tolist(), "keypoints": one.joints.ravel().tolist(),
         "num_keypoints": int((one.joints[:, 2] > 0).sum())}
        for n, (image, one) in enumerate((i, t) for i, of in truths.items() for t in of)
    ]  # fmt: skip
    results = [
        {"image_id": numbers[image], "category_id": 1, "score": one.score,
         "keypoints": one.joints.ravel().tolist()}
        for image, of in guesses.items() for one in of if image in numbers
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {"images": [{"id": n} for n in numbers.values()], "info": {},
                         "annotations": annotations, "categories": [{"id": 1}]}  # fmt: skip
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


def made(seed, images=12, noise=6.0):
    """People, crowds and people without joints; guesses that are near, far, double and invented."""
    rng = np.random.default_rng(seed)
    truths, guesses = {}, {}
    for image in range(images):
        truths[image], guesses[image] = [], []
        for _ in range(rng.integers(0, 5)):
            low, size = rng.uniform(0, 300, 2), rng.uniform(15, 250, 2)
            joints = np.column_stack((low + size * rng.random((17, 2)), rng.integers(0, 3, 17)))
            joints[joints[:, 2] == 0] = 0
            if rng.random() < 0.15:
                joints[:] = 0
            area, crowd = size.prod() * 0.6, bool(rng.random() < 0.1)
            truths[image].append(Truth(joints, np.concatenate((low, size)), area, crowd))
            for _ in range(rng.integers(0, 3)):
                off = rng.normal(0, noise * rng.random() * size.mean() / 100, (17, 2))
                places = np.where(joints[:, 2:] > 0, joints[:, :2], low + size / 2) + off
                guesses[image].append(
                    Guess(np.column_stack((places, np.ones(17))), float(rng.random()))
                )
        for _ in range(rng.integers(0, 3)):
            places = rng.uniform(0, 500, (17, 2))
            guesses[image].append(
                Guess(np.column_stack((places, np.ones(17))), float(rng.random()))
            )
    return truths, guesses


@pytest.mark.parametrize("seed", range(6))
def test_the_figures_are_those_of_pycocotools(seed):
    truths, guesses = made(seed)
    ours, expected = average_precision(truths, guesses, SIGMAS), official(truths, guesses)
    for name, place in zip(NAMES, PLACES, strict=True):
        theirs = expected[place]
        if theirs == -1:  # its word for nobody of that size
            assert np.isnan(getattr(ours, name))
        else:
            assert getattr(ours, name) == pytest.approx(theirs, abs=1e-4), name


def test_nobody_found_is_zero_and_nobody_known_is_nothing():
    truths, _ = made(0)
    assert average_precision(truths, {}, SIGMAS).ap == 0
    assert np.isnan(average_precision({0: []}, {}, SIGMAS).ap)


@needs(DATA / "pose")
def test_the_truth_is_perfect():
    source = Coco(
        annotations=DATA / "pose/coco/person_keypoints_val2017_subset.json",
        images=DATA / "pose/coco/val2017",
    )
    truths, guesses = {}, {}
    for one in read_people(source, unlabelled=True):
        truth = Truth(one.joints, one.box, one.area, one.crowd)
        truths.setdefault(one.image_id, []).append(truth)
        if one.labelled.any() and not one.crowd:
            guesses.setdefault(one.image_id, []).append(Guess(one.joints, 1.0))
    figures = average_precision(truths, guesses, SIGMAS)
    assert figures.ap == pytest.approx(1.0)
    assert official(truths, guesses)[0] == pytest.approx(1.0)
