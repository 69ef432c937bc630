"""The job: find the people of an image or of a film's frames, and the joints of each."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pose_estimate import system
from pose_estimate.networks import POSE, Choice, PoseNetwork, load_network
from pose_estimate.people.boxes import BoxFile, Listed, read_boxes, usable
from pose_estimate.people.finder import PEOPLE, Finder, WholeImage, load_finder
from pose_estimate.people.follow import OneEuro, Tracker, between
from pose_estimate.people.turn import Turn
from pose_estimate.pose.estimate import Estimator, Found
from pose_estimate.pose.oks import oks_matrix, oks_nms
from pose_estimate.result import FramePeople, Person, Result, Spool
from pose_estimate.skeleton import Skeleton, converted, converter, read_skeleton, skeleton
from vitrail.engine import prepare
from vitrail.errors import InputError, UsageError
from vitrail.job import Ask, Engine, Steps
from vitrail.preprocess.frames import MAX_CHUNK, chunks
from vitrail.preprocess.image import count_pages, read_image
from vitrail.preprocess.kinds import Kind, kind_of
from vitrail.preprocess.video import Frame, VideoReader, open_video
from vitrail.runner import solve
from vitrail.sources import Source

DEFAULT = "evitpose"
MAX_ALIKE = 0.9  # OKS above which two results are one person
# Of what a head gives: values of a heat map, which lie in 0..1; places in sides of the crop
TOLERANCES = {"heatmap": 0.02, "token": 0.02, "regression": 0.002}


@dataclass(frozen=True)
class Options:
    """All that changes numbers beside the weights, so that it stands in the row.

    ``boxes`` is the sha256 of the list that was given, ``detector`` who finds people otherwise.
    ``keep_all`` leaves out the suppression of likenesses. ``detect_every`` frames of a film people
    are looked for; ``smooth`` takes the tremor out. ``rotate`` is by how many degrees clockwise the
    source must be turned to be upright.
    """

    detector: str = PEOPLE
    detector_score: float | None = None
    boxes: str | None = None
    head: str | None = None
    keep: float = 1.0
    budget_gmacs: float | None = None
    select: str = "attention"
    skeleton: str | None = None
    dataset: str | None = None
    flip: bool = False
    keep_all: bool = False
    min_score: float = 0.0
    detect_every: int = 4
    smooth: bool = False
    rotate: int = 0

    def __post_init__(self):
        """Raises UsageError for values that mean nothing."""
        faults = {
            f"keep {self.keep:g}": not 0 < self.keep <= 1,
            f"budget-gmacs {self.budget_gmacs}": self.budget_gmacs is not None
            and not self.budget_gmacs > 0,
            f"min-score {self.min_score:g}": not 0 <= self.min_score <= 1,
            f"detect-every {self.detect_every}": self.detect_every < 1,
            f"rotate {self.rotate}": self.rotate not in (0, 90, 180, 270),
        }
        for name, wrong in faults.items():
            if wrong:
                raise UsageError(name, "is out of range", "see 'pose-estimate --help'")
        if self.budget_gmacs is not None and self.keep < 1:
            raise UsageError("--keep and --budget-gmacs", "say the same thing twice", "give one")


class PoseJob:
    """Images and films in, people and their joints out."""

    version = system.version

    def __init__(
        self,
        network: PoseNetwork,
        finder: Finder | None,
        options: Options = Options(),
        *,
        boxes: BoxFile | None = None,
        target: Skeleton | None = None,
        engine: str = "auto",
        device: str = "auto",
    ):
        self.network, self.finder, self.settings, self.boxes = network, finder, options, boxes
        self.target = target or network.skeleton
        converter(network.skeleton, self.target)  # refuses skeletons that share no joint
        self.estimator = Estimator(network, flip=options.flip)
        tolerance = TOLERANCES[network.head]
        ready = prepare(network, engine=engine, device=device, tolerance=tolerance)
        finding = finder.networks if finder else {}
        self.networks: Mapping[str, Engine] = {**finding, POSE: ready}

    @property
    def model(self) -> str:
        return "UniTransPose" if self.network.gmacs is None else "EViTPose"

    @property
    def options(self) -> dict[str, Any]:
        return asdict(self.settings)

    def process(self, source: Source) -> Steps:
        if kind_of(source.path) is Kind.IMAGE:
            damage: list[str] = []
            image = read_image(source.path, damage=damage)
            return (yield from self._look(image, source.name, source.path, damage=damage))
        return (yield from self._watch(open_video(source.path), source.name, source.path))

    def predict(self, image: np.ndarray | Path | str, boxes: np.ndarray | None = None) -> Result:
        """The result for a path, or for an image (H, W, 3) uint8 RGB; ``boxes`` (n, 4) or (n, 5),
        x, y, width, height and score, take the place of finding people in an image."""
        if isinstance(image, Path | str):
            if boxes is None:
                return solve(self.networks, self.process(Source.of(image)))
            return solve(
                self.networks, self._look(read_image(image), str(image), Path(image), boxes)
            )
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            problem = f"is {image.dtype} of shape {image.shape}"
            raise InputError("array", problem, "give uint8 RGB (H, W, 3)")
        return solve(self.networks, self._look(image, "array", None, boxes))

    def _look(
        self,
        image: np.ndarray,
        name: str,
        path: Path | None,
        given: np.ndarray | None = None,
        damage: Sequence[str] = (),
    ) -> Generator[Ask, list, Result]:
        """One image."""
        turn = Turn(self.settings.rotate, image.shape[:2])
        upright, listed = turn.image(image), Listed()
        if given is not None:
            rows = _with_scores(given)
        elif self.boxes is not None:
            listed = self._listed(path)
            rows = np.array(listed.rows, np.float64).reshape(-1, 5)
        else:
            assert self.finder is not None
            (found,) = yield from self.finder.find([upright])
            rows = turn.boxes_back(found)
        rows, remarks = usable(rows, (image.shape[1], image.shape[0]))
        if path is not None and (pages := count_pages(path)) > 1:
            remarks.append(f"it holds {pages} frames or pages, of which the first was looked at")
        poses = yield from self.estimator.estimate(
            [upright] * len(rows), turn.boxes(rows), [None] * len(rows)
        )
        people = self._people(rows, poses, turn, [None] * len(rows))
        return Result(
            name=name,
            path=None if path is None else str(path),
            size=(image.shape[1], image.shape[0]),
            frames=[FramePeople(0, 0.0, tuple(people))],
            skeleton=self.target,
            damage=(*damage, *remarks),
            image_id=listed.image_id,
            keep=self.network.keep,
            gmacs=self.network.gmacs,
            image=image if path is None else None,
        )

    def _listed(self, path: Path | None) -> Listed:
        """What the list of boxes has for an image."""
        assert self.boxes is not None and path is not None
        listed = self.boxes.of_image(path)
        if listed is None:
            problem = f"is not in the list of boxes {self.boxes.path.name}"
            raise InputError(path, problem, "add it, or leave --boxes out")
        return listed

    def _watch(self, film: VideoReader, name: str, path: Path) -> Generator[Ask, list, Result]:
        """A film, in chunks: people are looked for in some frames of each, and linked; in between
        their boxes are on the way from one to the next; then all crops of the chunk are asked."""
        spool, tracker, filters = Spool(), Tracker(), OneEuro()
        remarks: dict[str, int] = {}
        last: dict[int, Found] = {}
        size = (film.width, film.height)
        with film as reader:
            # Where the pose of the frame before ranks the patches, frames go one by one.
            together = 1 if self.network.ranked_outside else MAX_CHUNK
            for chunk in chunks(reader.frames(range(reader.frame_count)), together):
                turn = Turn(self.settings.rotate, chunk[0].image.shape[:2])
                upright = [turn.image(frame.image) for frame in chunk]
                boxes = yield from self._boxes_of(chunk, upright, turn, tracker, remarks)
                crops = [(n, number, box) for n, of in enumerate(boxes) for number, box in of]
                rows = np.array([box for _, _, box in crops], np.float64).reshape(-1, 5)
                poses = yield from self.estimator.estimate(
                    [upright[n] for n, _, _ in crops],
                    turn.boxes(rows),
                    [last.get(number) for _, number, _ in crops],
                )
                numbers = [number for _, number, _ in crops]
                last = dict(zip(numbers, poses, strict=True)) or last
                for n, frame in enumerate(chunk):
                    own = [place for place, (at, _, _) in enumerate(crops) if at == n]
                    people = self._people(
                        rows[own], [poses[p] for p in own], turn, [numbers[p] for p in own]
                    )
                    if self.settings.smooth:
                        people = [_smoothed(person, filters, frame.time) for person in people]
                    spool.append(FramePeople(frame.index, frame.time, tuple(people)))
            damage = [*reader.damage]
        damage += [f"{sentence}, in {count} frames" for sentence, count in remarks.items()]
        return Result(
            name=name,
            path=str(path),
            size=size,
            frames=spool,
            skeleton=self.target,
            damage=tuple(damage),
            is_film=True,
            fps=film.fps,
            numbers=tracker.given,
            keep=self.network.keep,
            gmacs=self.network.gmacs,
        )

    def _boxes_of(
        self,
        chunk: Sequence[Frame],
        upright: Sequence[np.ndarray],
        turn: Turn,
        tracker: Tracker,
        remarks: dict[str, int],
    ) -> Generator[Ask, list, list[list[tuple[int, np.ndarray]]]]:
        """For each frame of the chunk numbered boxes (5,) in the source's own pixels."""
        every = 1 if self.boxes else self.settings.detect_every
        looked = sorted({*range(0, len(chunk), every), len(chunk) - 1})
        if self.boxes is not None:
            lists = [self.boxes.of_frame(chunk[n].index).rows for n in looked]
            found = [np.array(rows, np.float64).reshape(-1, 5) for rows in lists]
        else:
            assert self.finder is not None
            raw = yield from self.finder.find([upright[n] for n in looked])
            found = [turn.boxes_back(rows) for rows in raw]
        numbered: dict[int, list[tuple[int, np.ndarray]]] = {}
        for n, rows in zip(looked, found, strict=True):
            height, width = chunk[n].image.shape[:2]
            rows, sentences = usable(rows, (width, height))
            for sentence in sentences:
                remarks[sentence] = remarks.get(sentence, 0) + 1
            numbers = tracker.link(rows, chunk[n].time)
            numbered[n] = list(zip(numbers, rows, strict=True))
        return [_at(n, looked, numbered) for n in range(len(chunk))]

    def _people(
        self,
        rows: np.ndarray,
        poses: Sequence[Found],
        turn: Turn,
        numbers: Sequence[int | None],
    ) -> list[Person]:
        """What is told of a frame's people: in the source's pixels and the wanted order of joints,
        best first, of likenesses the best."""
        people = []
        for row, pose, number in zip(rows, poses, numbers, strict=True):
            joints = pose.joints.copy()
            joints[:, :2] = turn.points_back(joints[:, :2])
            told = converted(joints, self.network.skeleton, self.target)
            visible = told[:, 2] >= self.network.calibration.visible_above
            kept = None if pose.kept is None else turn.points_back(pose.kept)
            score = float(row[4]) * _mean_score(told[:, 2])
            x, y, width, height = map(float, row[:4])
            box = (x, y, width, height)
            people.append(Person(box, score, told, visible, number, kept))
        people = [person for person in people if person.score >= self.settings.min_score]
        people.sort(key=lambda person: -person.score)
        if self.settings.keep_all or len(people) < 2:
            return people
        joints = np.stack([person.joints for person in people])
        areas = np.array([person.box[2] * person.box[3] for person in people])
        similar = oks_matrix(joints, areas, np.array(self.target.sigmas))
        kept = oks_nms(similar, np.array([person.score for person in people]), MAX_ALIKE)
        return [people[n] for n in kept]


def load(
    weights: str | None = None,
    *,
    boxes: Path | str | None = None,
    whole_image: bool = False,
    detector: str = PEOPLE,
    joints: Path | str | None = None,
    engine: str = "auto",
    device: str = "auto",
    **options: Any,
) -> PoseJob:
    """The job with the weights of a catalogued name or a file (default: ``evitpose``).

    ``boxes`` is a list of boxes, ``whole_image`` takes each image as one person's, ``detector``
    says otherwise who finds people. ``joints`` is a file that names an official checkpoint's
    joints; ``options`` are those of ``Options``.
    """
    if boxes is not None and whole_image:
        raise UsageError("--boxes and --whole-image", "exclude each other", "give one of both")
    listed = None if boxes is None else read_boxes(Path(boxes))
    who = "" if listed else "whole image" if whole_image else detector
    sha = None if listed is None else Source.of(listed.path).fingerprint
    settings = Options(detector=who, boxes=sha, **options)
    choice = Choice(settings.head, settings.keep, settings.budget_gmacs, settings.select)
    own = None if joints is None else read_skeleton(Path(joints))
    dataset = settings.dataset
    network = load_network(weights or DEFAULT, choice, dataset=dataset, own_skeleton=own)
    target = None if settings.skeleton is None else skeleton(settings.skeleton)
    finder = None
    if listed is None:
        lowest = settings.detector_score
        finder = (
            WholeImage()
            if whole_image
            else load_finder(detector, min_score=lowest, engine=engine, device=device)
        )
    return PoseJob(
        network, finder, settings, boxes=listed, target=target, engine=engine, device=device
    )


def _at(
    n: int, looked: Sequence[int], numbered: Mapping[int, list[tuple[int, np.ndarray]]]
) -> list[tuple[int, np.ndarray]]:
    if n in numbered:
        return numbered[n]
    before = max(at for at in looked if at < n)
    after = min(at for at in looked if at > n)
    return between(numbered[before], numbered[after], (n - before) / (after - before))


def _smoothed(person: Person, filters: OneEuro, time: float) -> Person:
    assert person.number is not None
    joints = person.joints.copy()
    size = max(person.box[2:])
    joints[:, :2] = filters.smooth(person.number, joints[:, :2], size, time)
    return Person(person.box, person.score, joints, person.visible, person.number, person.kept)


def _mean_score(scores: np.ndarray) -> float:
    """Of the joints that score above 0.2, as COCO's evaluations have it; 0 without any."""
    good = scores[scores > 0.2]
    return float(good.mean()) if len(good) else 0.0


def _with_scores(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        problem = f"are of shape {boxes.shape}"
        raise InputError("boxes", problem, "give (n, 4) or (n, 5): x, y, width, height, score")
    if boxes.shape[1] == 5:
        return boxes
    return np.concatenate((boxes, np.ones((len(boxes), 1))), axis=1)
