"""Networks measured on people that training never saw: joints in given boxes, precision by OKS, the
curve over what is kept, and the finder of people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pose_estimate import load
from pose_estimate.data import Labelled, read_people, split_people
from pose_estimate.job import PoseJob
from pose_estimate.people.finder import PEOPLE, Finder, OwnFinder, load_finder
from pose_estimate.pose.average_precision import (
    Guess,
    Truth,
    average_precision,
    read_guesses,
    similarity,
)
from pose_estimate.pose.oks import pckh, relative_errors
from pose_estimate.skeleton import Skeleton, converter
from pose_estimate.training.recipe import Recipe
from pose_estimate.training.task import find_skeleton, visible_limit
from vitrail.detection.matching import Matches, match, merge
from vitrail.errors import InputError, UsageError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.preprocess.image import read_image
from vitrail.report import Chart, Series, Table
from vitrail.runner import solve

if TYPE_CHECKING:
    from pose_estimate.training.finder import Scene

RIGHT_WITHIN = 0.1  # of the box's longer side
FAR = 1e6  # where a joint is put that was not told: it is wrong
KEEPS = (1.0, 0.9, 0.7, 0.5, 0.3)
FINDER_SCORES = (0.3, 0.5, 0.7)  # beside the file's own
PELVIS_THORAX = ("pelvis", "thorax")  # which PCKh leaves out


@dataclass(frozen=True, eq=False)
class Poses:
    """``joints`` (n, K, 3) for each of the people, in the order of ``bones``."""

    people: Sequence[Labelled]
    joints: np.ndarray
    bones: Skeleton

    @property
    def known(self) -> np.ndarray:
        return np.stack([one.in_order_of(self.bones) for one in self.people])

    @property
    def sizes(self) -> np.ndarray:
        """The longer sides of the boxes."""
        return np.array([max(one.box[2:]) for one in self.people])

    @property
    def errors(self) -> np.ndarray:
        """Distances (n, K) in boxes' longer sides; NaN where not labelled."""
        known = self.known
        labelled = known[..., 2] > 0
        return relative_errors(self.joints[..., :2], known[..., :2], labelled, self.sizes)

    @property
    def similar(self) -> np.ndarray:
        """OKS of each person (n,)."""
        sigmas = np.array(self.bones.sigmas)
        rows = zip(self.joints, self.known, self.people, strict=True)
        return np.array(
            [similarity(found, Truth(known, p.box, p.area), sigmas) for found, known, p in rows]
        )


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """The recipe's network, the bundled one unless weights are named, on the people of its test.

    Boxes are given. PCK is the share of joints within a tenth of the box's longer side, with its
    95 % bootstrap interval over pictures; beside it the mean pose of those who were trained on, and
    BlazePose on the crop where the recipe names its file. From which score on a joint is best
    called visible is told on who validates. For the finder: recall and precision.
    What others found (``data.results``) stands beside in the table of precision.
    UsageError for a recipe without a test; InputError where truth and answers share no picture.
    """
    if not recipe.data.test:
        raise UsageError("data.test", "is empty", "name the people to measure on")
    if recipe.model.architecture == "finder":
        return [_finder_table(recipe, weights or PEOPLE)]
    name = weights or recipe.name.removeprefix("pose-")
    bones = find_skeleton(recipe.skeleton)
    people = [one for source in recipe.data.test for one in read_people(source)]
    # Eager: figures must not hang on what another machine's converter rounds.
    found = {name: _job_poses(people, bones, _job(name))}
    found["mean pose in the box"] = _mean_poses(people, bones, recipe)
    if recipe.data.teacher and recipe.data.teacher.landmarks.is_file():
        found["BlazePose on the crop"] = _teacher_poses(people, bones, recipe)
    tables: list[Table | Chart] = [_pose_table(found), precision_table(found, recipe)]
    if heads := _head_table(found[name]):
        tables.append(heads)
    tables.append(_visible_table(name, bones, recipe))
    if recipe.model.architecture == "evitpose":
        tables += _keep_curve(name, people, bones)
    return tables


def _job(name: str, **options: float) -> PoseJob:
    return load(name, whole_image=True, engine="eager", **options)


def _job_poses(people: Sequence[Labelled], bones: Skeleton, job: PoseJob) -> Poses:
    order = converter(job.target, bones)
    joints = []
    for one in people:
        result = job.predict(one.image, one.box[None])
        if not result.people:
            raise InputError(one.image, "gave no person in a given box", "check the boxes")
        own = result.people[0].joints[np.maximum(order, 0)]
        joints.append(np.where(order[:, None] >= 0, own, FAR))
    return Poses(people, np.stack(joints), bones)


def _mean_poses(people: Sequence[Labelled], bones: Skeleton, recipe: Recipe) -> Poses:
    """Each joint at its mean place in the boxes of those who are trained on."""
    trained = [one for source in recipe.data.labelled for one in read_people(source)]
    known = np.stack([one.in_order_of(bones) for one in trained])
    boxes = np.stack([one.box for one in trained])[:, None]
    places = (known[..., :2] - boxes[..., :2]) / boxes[..., 2:]
    places[known[..., 2] <= 0] = np.nan
    mean = np.nan_to_num(np.nanmean(places, axis=0), nan=0.5)
    own = np.stack([one.box for one in people])[:, None]
    joints = own[..., :2] + mean * own[..., 2:]
    return Poses(people, np.concatenate((joints, np.ones((*joints.shape[:2], 1))), axis=2), bones)


def _teacher_poses(people: Sequence[Labelled], bones: Skeleton, recipe: Recipe) -> Poses:
    from pose_estimate.training.teacher import BLAZEPOSE, BlazePose

    assert recipe.data.teacher is not None
    teacher = BlazePose(recipe.data.teacher.detector, recipe.data.teacher.landmarks)
    order = converter(BLAZEPOSE, bones)
    joints = []
    for one in people:
        own = teacher.in_box(read_image(one.image), one.box).joints[np.maximum(order, 0)]
        joints.append(np.where(order[:, None] >= 0, own, FAR))
    return Poses(people, np.stack(joints), bones)


def _pose_table(found: dict[str, Poses]) -> Table:
    first = next(iter(found.values()))
    pictures = len({one.image for one in first.people})
    title = f"{len(first.people)} people of {pictures} pictures in given boxes"
    columns = ("", f"PCK {RIGHT_WITHIN:g}", "95 % from", "to", "mean OKS", "from", "to")
    rows = []
    for name, poses in found.items():
        groups = [str(one.image) for one in poses.people]
        similar = poses.similar
        alike = (float(similar.mean()), *bootstrap_interval(_mean, similar, groups=groups))
        right = (
            _share_right(poses.errors),
            *bootstrap_interval(_share_right, poses.errors, groups=groups),
        )
        rows.append((name, *right, *alike))
    return Table(title, columns, rows)


def precision_table(found: dict[str, Poses], recipe: Recipe) -> Table:
    """Among all people of the pictures, those without labels and crowds too, as COCO counts; beside
    the networks what others found, in boxes of their own."""
    everybody = [p for s in recipe.data.test for p in read_people(s, unlabelled=True)]
    bones = next(iter(found.values())).bones
    truths: dict[str, list[Truth]] = {}
    for one in everybody:
        truth = Truth(one.in_order_of(bones), one.box, one.area, one.crowd)
        truths.setdefault(str(one.image_id), []).append(truth)
    guessed = {name: _guesses(poses) for name, poses in found.items()}
    guessed |= {name: read_guesses(path, len(bones)) for name, path in recipe.data.results.items()}
    rows: list[tuple[object, ...]] = []
    for name, guesses in guessed.items():
        if not (meet := len(truths.keys() & guesses.keys())):
            whose = recipe.data.results.get(name, name)
            raise InputError(whose, "shares no picture with the truth", "check the image ids")
        figures = average_precision(truths, guesses, np.array(bones.sigmas))
        row = (figures.ap, figures.ap50, figures.ap75, figures.medium, figures.large)
        others = sum(len(people) for image, people in guesses.items() if image not in truths)
        rows.append((name, *row, figures.recall, f"{meet} of {len(truths)}", others))
    columns = ("", "OKS-AP", "AP50", "AP75", "AP medium", "AP large", "AR")
    meeting = ("pictures that meet", "people left out, of other pictures")
    return Table("Precision by OKS", (*columns, *meeting), rows)


def _guesses(poses: Poses) -> dict[str, list[Guess]]:
    guesses: dict[str, list[Guess]] = {}
    for one, joints in zip(poses.people, poses.joints, strict=True):
        score = float(joints[:, 2].clip(0, 1).mean())
        guesses.setdefault(str(one.image_id), []).append(Guess(joints, score))
    return guesses


def _head_table(poses: Poses) -> Table | None:
    """PCKh, where heads are known and the network has MPII's joints."""
    heads = np.stack([one.head for one in poses.people])
    if np.isnan(heads).all():
        return None
    usable = np.isfinite(heads).all(axis=1)
    known = poses.known[usable]
    left_out = [n for n, joint in enumerate(poses.bones.joints) if joint in PELVIS_THORAX]
    _, mean = pckh(
        poses.joints[usable][..., :2],
        known[..., :2],
        known[..., 2] > 0,
        heads[usable],
        left_out,
    )
    return Table(f"{usable.sum()} people with a head", ("PCKh@0.5",), [(mean,)])


def _visible_table(name: str, bones: Skeleton, recipe: Recipe) -> Table:
    """On the people who validate, as the limit of what is visible is a choice."""
    labelled = [one for source in recipe.data.labelled for one in read_people(source)]
    _, people = split_people(labelled, recipe.data.val_share)
    job = _job(name)
    poses = _job_poses(people, bones, job)
    known = np.isfinite(poses.errors)
    right, scores = poses.errors[known] < RIGHT_WITHIN, poses.joints[..., 2][known]
    rows = visible_rows(scores, right, job.network.calibration.visible_above)
    columns = ("visible from", "right of them", "of the right ones", "F1", "")
    return Table(f"{known.sum()} joints of {len(people)} people who validate", columns, rows)


def visible_rows(scores: np.ndarray, right: np.ndarray, own: float) -> list[tuple[object, ...]]:
    """For some limits, the file's ``own`` and the best, how well they tell right joints (n,) from
    wrong ones: precision, recall and F1."""
    limits = {0.2: "", 0.6: "", 0.8: "", own: "the file's"}
    if right.any():
        best = visible_limit(scores, right)
        limits[best] = "the file's, the best" if best == own else "the best"
    rows = []
    for limit, remark in sorted(limits.items()):
        told = scores >= limit
        both = int((told & right).sum())
        precision, recall = both / max(int(told.sum()), 1), both / max(int(right.sum()), 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        rows.append((limit, precision, recall, f1, remark))
    return rows


def _keep_curve(name: str, people: Sequence[Labelled], bones: Skeleton) -> list[Table | Chart]:
    rows = []
    for keep in KEEPS:
        job = _job(name, keep=keep)
        poses = _job_poses(people, bones, job)
        rows.append((keep, job.network.gmacs, _share_right(poses.errors), _mean(poses.similar)))
    line = Series("PCK 0.1", [row[1] for row in rows], [row[2] for row in rows])
    chart = Chart(
        title="Accuracy against cost",
        series=[line],
        x_label="GMACs a person",
        y_label="PCK 0.1",
        y_range=(0.0, 1.0),
    )
    columns = ("keep", "GMACs a person", f"PCK {RIGHT_WITHIN:g}", "mean OKS")
    return [Table("What is kept", columns, rows), chart]


def _finder_table(recipe: Recipe, name: str) -> Table:
    from pose_estimate.training.finder import MIN_PERSON, large_alone, scenes_of

    people = [one for source in recipe.data.test for one in read_people(source, unlabelled=True)]
    finder, own = (load_finder(name, min_score=least, engine="eager") for least in (0.05, None))
    matches = merge(_match_scene(finder, large_alone(scene)) for scene in scenes_of(people))
    chosen = own.search.min_score if isinstance(own, OwnFinder) else None
    scores: set[float] = {*FINDER_SCORES} if chosen is None else {*FINDER_SCORES, chosen}
    rows = [
        ("the file's" if score == chosen else "", score, matches.recall(score),
         matches.precision(score), matches.average_precision(), matches.recall_at(0.6))
        for score in sorted(scores)
    ]  # fmt: skip
    title = f"{name}: {matches.known} people of at least {MIN_PERSON} px, IoU 0.5"
    columns = ("", "min score", "recall", "precision", "average precision",
               "recall at precision 0.6")  # fmt: skip
    return Table(title, columns, rows)


def _match_scene(finder: Finder, scene: "Scene") -> Matches:
    from pose_estimate.training.finder import FoundBox

    (boxes,) = solve(finder.networks, finder.find([read_image(scene.image)]))
    found = [FoundBox((x, y, x + w, y + h), score, np.zeros((0, 2))) for x, y, w, h, score in boxes]
    return match(found, scene.boxes, np.zeros((len(scene.boxes), 0, 2)), scene.unsure)


def _share_right(errors: np.ndarray) -> float:
    """Of the labelled joints; a joint that was not told is wrong."""
    labelled = np.isfinite(errors)
    return float((errors[labelled] < RIGHT_WITHIN).mean()) if labelled.any() else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))
