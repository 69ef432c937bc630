"""A network measured: on pictures and films that training never saw, with and without memory,
beside what needs no training."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from statistics import fmean

import numpy as np

from video_detect.classes import NAMES
from video_detect.data.clips import Clip, ClipMaker
from video_detect.data.pictures import Picture, cut_outs, load, read_film
from video_detect.data.scenes import SceneMaker
from video_detect.film.watch import Options, followed
from video_detect.job import VideoJob, own_job
from video_detect.job import load as load_job
from video_detect.measure import films as measure
from video_detect.measure.baselines import middle_box, middle_rows, motion_rows
from video_detect.measure.films import Film
from video_detect.measure.motion import GROUPS, group_of, motion_ious
from video_detect.measure.precision import Judged, average_precision, coco_ap
from video_detect.measure.tracking import Boxes, read_mot, tally
from video_detect.networks import BUNDLED, FRAME, NETS, load_detector
from video_detect.result import FrameRow
from video_detect.training.image import parts_of
from video_detect.training.recipe import Data, Recipe
from vitrail.errors import InputError
from vitrail.job import Engine
from vitrail.report import Table
from vitrail.sources import natural_sorted

LOW = 0.005  # score: what average precision and recall still look at
CLIPS, CLIP_FRAMES, CLIP_SIZE, CLIP_SEED = 30, 12, (288, 384), 11
TRUTH = "gt/gt.txt"
MOTION_FRAMES = 40  # of each film, for the baseline of what moves


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Tables of the bundled network, or of that named: pictures kept out, films of others as they
    are and worn, and clips made of what was kept out; each without memory and with each branch.
    With ``data.mot`` only how well tracks are held, by the measures of MOTChallenge."""
    name = weights or BUNDLED
    if recipe.data.mot:
        return [tracks_table(recipe.data, name)]
    nets = NETS if load_detector(name).facts.has_memory else ("single",)
    test = parts_of(recipe.data)[2]
    jobs = _jobs(name, nets)
    parts = [_pictures(jobs["single"], test)]
    films = [
        Film.of(title, read_film(recipe.data.film_folder / title, label))
        for title, label in recipe.data.test_films.items()
        if recipe.data.film_folder
    ]
    if films:
        parts += [_films(jobs, films), _worn(jobs, [film.worn() for film in films])]
    return [*parts, _clips(jobs, test)]


class _Kept:
    """The frame's part, which is the same for all nets: what it gave once is given again."""

    def __init__(self, engine: Engine):
        self.engine, self.rows = engine, {}
        self.name, self.device, self.weights = engine.name, engine.device, engine.weights

    def __call__(self, *batch: np.ndarray) -> np.ndarray:
        keys = [hashlib.sha256(image.tobytes()).digest() for image in batch[0]]
        new = [n for n, key in enumerate(keys) if key not in self.rows]
        if new:
            rows = self.engine(batch[0][new])
            self.rows |= {keys[n]: row for n, row in zip(new, rows, strict=True)}
        return np.stack([self.rows[key] for key in keys])


def _jobs(name: str, nets: Sequence[str]) -> dict[str, VideoJob]:
    """One job for each net, all with one frame's part; boxes of any score, without tracks."""
    any_score = Options(score=LOW, track=False)
    jobs = {net: own_job(load_detector(name, net), any_score) for net in nets}
    kept = _Kept(next(iter(jobs.values())).networks[FRAME])
    for job in jobs.values():
        job.networks = {**job.networks, FRAME: kept}
    return jobs


def _pictures(job: VideoJob, pictures: Sequence[Picture]) -> Table:
    found, middle = [], []
    for picture in pictures:
        image = load(picture.path)
        row = job.predict(image).frames[0]
        found.append(_judged(row, picture.boxes, picture.labels))
        box = np.array(middle_box(image.shape[1], image.shape[0]))
        box[2:] += box[:2]
        middle.append(Judged(box[None], np.ones(1), np.zeros(1, int), picture.boxes,
                             picture.labels))  # fmt: skip
    columns = ("", "AP50 without classes", "AP50", "COCO AP")
    rows = [
        ("box in the middle", average_precision(middle, by_class=False), None, None),
        (
            "single",
            average_precision(found, by_class=False),
            average_precision(found),
            coco_ap(found),
        ),
    ]
    return Table(f"{len(pictures)} COCO pictures kept out", columns, rows)


def _judged(row: FrameRow, boxes: np.ndarray, labels: np.ndarray) -> Judged:
    found = np.array([one.box for one in row.objects], float).reshape(-1, 4)
    found[:, 2:] += found[:, :2]
    scores = np.array([one.score for one in row.objects])
    names = np.array([NAMES.index(one.label) for one in row.objects], int)
    return Judged(found, scores, names, boxes.astype(float), labels)


def _films(jobs: Mapping[str, VideoJob], films: Sequence[Film]) -> Table:
    """Each film and their mean, for each net and each baseline."""
    columns = ("film", "", "recall", "best IoU", "label right", "one id", "dropouts", "ids changed")
    rows: list[tuple] = []
    for title, tell in _tellers(jobs):
        values = [tell(film) for film in films]
        rows += [(film.name, title, *own) for film, own in zip(films, values, strict=True)]
        means = [_mean(column) for column in zip(*values, strict=True)]
        rows.append(("mean", title, *means))
    heading = "Films of others, one object each: recall at IoU 0.5 in the ten best boxes"
    return Table(heading, columns, rows)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and not np.isnan(value)]
    return fmean(known) if known else None


def _tellers(
    jobs: Mapping[str, VideoJob],
) -> Iterator[tuple[str, Callable[[Film], tuple]]]:
    def plain(make: Callable, frames: int | None) -> Callable[[Film], tuple]:
        def tell(film: Film) -> tuple:
            count = frames or len(film.images)
            short = Film(film.name, film.label, film.images[:count], film.boxes[:count],
                         film.spoilt[:count])  # fmt: skip
            rows = make(short.images, film.label)
            best = measure.best_ious(short, rows)
            return measure.recall(short, rows), float(best.mean()), None, None, None, None

        return tell

    yield "box in the middle", plain(middle_rows, None)
    yield f"what moves, first {MOTION_FRAMES} frames", plain(motion_rows, MOTION_FRAMES)
    for net, job in jobs.items():
        yield net, _network(job)


def _network(job: VideoJob) -> Callable[[Film], tuple]:
    def tell(film: Film) -> tuple:
        rows = job.predict(np.stack(film.images)).frames
        held = measure.held(film, _tracked(job, rows))
        return (
            measure.recall(film, rows),
            float(measure.best_ious(film, rows).mean()),
            measure.label_right(film, rows),
            held.share,
            held.dropouts,
            held.changes,
        )

    return tell


def _tracked(job: VideoJob, rows: Sequence[FrameRow]) -> list[FrameRow]:
    """As the command would have told them, at the threshold that comes with the weights."""
    return followed(rows, replace(job.settings, score=job.detector.facts.score))


def _worn(jobs: Mapping[str, VideoJob], films: Sequence[Film]) -> Table:
    columns = ("", "recall on the blurred frames", "recall", "one id", "dropouts", "ids changed")
    rows = []
    for net, job in jobs.items():
        values = []
        for film in films:
            found = job.predict(np.stack(film.images)).frames
            held = measure.held(film, _tracked(job, found))
            blurred = measure.recall(film, found, film.spoilt)
            values.append((blurred, measure.recall(film, found), held.share, held.dropouts,
                           held.changes))  # fmt: skip
        *shares, dropouts, changes = zip(*values, strict=True)
        rows.append((net, *map(_mean, shares), sum(dropouts), sum(changes)))
    heading = "The same films with every fifth frame blurred by 25 px and three black frames"
    return Table(heading, columns, rows)


def _clips(jobs: Mapping[str, VideoJob], pictures: Sequence[Picture]) -> Table:
    maker = ClipMaker(SceneMaker(pictures, [], cut_outs(pictures)))
    rng = np.random.default_rng(CLIP_SEED)
    clips = [maker.make(CLIP_SIZE, CLIP_FRAMES, rng) for _ in range(CLIPS)]
    rows = []
    for net, job in jobs.items():
        judged: list[Judged] = []
        speeds: list[np.ndarray] = []
        for clip in clips:
            found = job.predict(np.stack([scene.image for scene in clip.scenes])).frames
            speeds += _speeds(clip)
            judged += [
                _judged(row, scene.boxes, scene.labels)
                for row, scene in zip(found, clip.scenes, strict=True)
            ]
        values = [average_precision(judged, by_class=False), average_precision(judged)]
        for group in GROUPS:
            part = [_only(one, own == group) for one, own in zip(judged, speeds, strict=True)]
            values.append(average_precision(part, by_class=False))
        rows.append((net, *values))
    columns = ("", "AP50 without classes", "AP50", *(f"{group}" for group in GROUPS))
    heading = f"{CLIPS} made clips of objects and grounds kept out, a third of the frames spoilt"
    return Table(heading, columns, rows)


def tracks_table(data: Data, name: str) -> Table:
    """Of each film with a truth below ``data.mot``, and of all together; InputError without any."""
    assert data.mot is not None
    films = [path for path in natural_sorted(data.mot.iterdir()) if (path / TRUTH).is_file()]
    if not films:
        raise InputError(data.mot, f"holds no film with {TRUTH}", "name MOT's folder of films")
    job = None if data.mot_results else load_job(name, classes=[data.mot_class])
    tallies = {}
    for film in films:
        if job is None:
            assert data.mot_results is not None
            told = read_mot(data.mot_results / f"{film.name}.txt")
        else:
            told = _tracks(job.predict(film / "img1").frames)
        tallies[film.name] = tally(read_mot(film / TRUTH), told)
    tallies["all"] = reduce(add, tallies.values())
    rows = [(film, one.mota, one.idf1, one.hota, one.switches) for film, one in tallies.items()]
    whose = name if data.mot_results is None else data.mot_results.name
    return Table(f"Tracks of {whose}", ("film", "MOTA", "IDF1", "HOTA", "ids changed"), rows)


def _tracks(rows: Sequence[FrameRow]) -> Boxes:
    found = {}
    for row in rows:
        own = [one for one in row.objects if one.track is not None]
        corners = np.array([one.box for one in own], float).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        found[row.index + 1] = np.array([one.track for one in own], int), corners + 1
    return found


def _speeds(clip: Clip) -> list[np.ndarray]:
    """The motion group of each frame's objects."""
    boxes = [dict(zip(ids.tolist(), scene.boxes, strict=True))
             for scene, ids in zip(clip.scenes, clip.ids, strict=True)]  # fmt: skip
    return [np.array([group_of(value) for value in frame.values()], object)
            for frame in motion_ious(boxes)]  # fmt: skip


def _only(judged: Judged, wanted: np.ndarray) -> Judged:
    """Objects of other groups are neither asked for nor wrong to find."""
    ignored = ~wanted.astype(bool)
    return Judged(judged.boxes, judged.scores, judged.labels, judged.true_boxes,
                  judged.true_labels, ignored)  # fmt: skip
