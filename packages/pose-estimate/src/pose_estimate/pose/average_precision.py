"""COCO's average precision of keypoints, from OKS (Lin et al. 2014), by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_estimate.data import read_json
from pose_estimate.pose.oks import oks
from vitrail.errors import InputError, MissingError

PERSON = 1  # the one category


@dataclass(frozen=True, eq=False)
class Truth:
    """A labelled person: ``joints`` (K, 3) with the flag, ``box`` (x, y, width, height). Who has no
    joint labelled, or is a ``crowd``, is neither found nor missed."""

    joints: np.ndarray
    box: np.ndarray
    area: float
    crowd: bool = False


@dataclass(frozen=True, eq=False)
class Guess:
    """A found person: ``joints`` (K, 3), whose scores play no part, and the person's score."""

    joints: np.ndarray
    score: float


def read_guesses(path: Path, joints: int) -> dict[str, list[Guess]]:
    """The people in a file of COCO's results, by the image ids as text.

    InputError for another form, another number of joints, and values that are not finite, with the
    place of what is wrong.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        problem = "holds no list of results"
        raise InputError(path, problem, 'COCO has [{"image_id", "keypoints", "score"}, …]')
    found: dict[str, list[Guess]] = {}
    for number, entry in enumerate(entries):
        try:
            image, score = str(entry["image_id"]), float(entry["score"])
            values = np.array(entry["keypoints"], np.float64).ravel()
        except (KeyError, TypeError, ValueError) as error:
            problem = f"entry {number} is not as COCO has results ({error})"
            raise InputError(path, problem, "correct or remove it") from None
        if values.size != 3 * joints:
            problem = f"entry {number} has {values.size} numbers for {joints} joints"
            raise InputError(path, problem, f"give {3 * joints}: x, y, score of each")
        if not np.isfinite([*values, score]).all():
            raise InputError(path, f"entry {number} is not finite", "correct or remove it")
        found.setdefault(image, []).append(Guess(values.reshape(joints, 3), score))
    return found


@dataclass(frozen=True)
class Precision:
    """Average precisions in 0..1; NaN where nobody is of that size."""

    ap: float
    ap50: float
    ap75: float
    medium: float
    large: float
    recall: float


def average_precision(
    truths: Mapping[Any, Sequence[Truth]],
    guesses: Mapping[Any, Sequence[Guess]],
    sigmas: np.ndarray,
) -> Precision:
    """``truths`` and ``guesses`` by image; images without guesses count, guesses for images without
    truths too if the image is among the keys of ``truths``."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        remedy = "install vitrail-pose-estimate[train]"
        raise MissingError("pycocotools", "is not installed", remedy) from error
    numbers = {image: number for number, image in enumerate(truths, 1)}
    known = [(numbers[image], one) for image, of in truths.items() for one in of]
    found = [(numbers[image], one) for image in truths for one in guesses.get(image, ())]
    truth: Any = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number} for number in numbers.values()],
        "annotations": [_annotation(n, at, one) for n, (at, one) in enumerate(known, 1)],
        "categories": [{"id": PERSON}],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = COCOeval(truth, _results(truth, found), "keypoints")
        judge.params.kpt_oks_sigmas = np.asarray(sigmas)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    figures = [float(value) if value >= 0 else float("nan") for value in judge.stats[:6]]
    return Precision(*figures)


def _annotation(number: int, image: int, one: Truth) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": PERSON,
        "iscrowd": int(one.crowd),
        "area": one.area,
        "bbox": np.asarray(one.box).tolist(),
        "keypoints": one.joints.ravel().tolist(),
        "num_keypoints": int((one.joints[:, 2] > 0).sum()),
    }


def _results(truth: Any, found: Sequence[tuple[int, Guess]]) -> Any:
    """What is found, as pycocotools has it, which cannot load an empty list."""
    rows = [
        {"image_id": image, "category_id": PERSON, "score": one.score,
         "keypoints": one.joints.ravel().tolist()}
        for image, one in found
    ]  # fmt: skip
    if rows:
        return truth.loadRes(rows)
    nothing = type(truth)()
    nothing.dataset = truth.dataset | {"annotations": []}
    nothing.createIndex()
    return nothing


def similarity(guess: np.ndarray, truth: Truth, sigmas: np.ndarray) -> float:
    """OKS of joints (K, 2 or 3) with a truth, over its labelled joints; NaN without any."""
    labelled = truth.joints[:, 2] > 0
    if not labelled.any():
        return float("nan")
    area = np.array([truth.area])
    return float(oks(guess[labelled], truth.joints[None, labelled], area, sigmas[labelled])[0])
