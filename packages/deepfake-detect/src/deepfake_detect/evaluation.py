"""A network measured: on faces of unseen people, and on labelled videos and images, beside the
baselines."""

import sys
from collections.abc import Mapping
from pathlib import Path

from deepfake_detect.data import Pairs
from deepfake_detect.data.clips import read_clips
from deepfake_detect.data.labelled import LabelledCrops
from deepfake_detect.job import DeepfakeJob, Options
from deepfake_detect.measure import baseline
from deepfake_detect.measure.figures import MEASURES, VERDICTS, measures, verdicts
from deepfake_detect.measure.held_out import Faces, crop_faces, pseudo_faces, score
from deepfake_detect.measure.judged import judge_files, judge_sources, source_tables
from deepfake_detect.measure.recompression import recompression_table
from deepfake_detect.measure.reliability import calibration_parts, undecided_table
from deepfake_detect.measure.robustness import robustness
from deepfake_detect.model import FAKE
from deepfake_detect.networks import FakeNetwork, choose_networks
from deepfake_detect.training.recipe import (
    ListedClips,
    PseudoFakes,
    Recipe,
    make_datasets,
    read_faces,
)
from vitrail.errors import InputError
from vitrail.faces.detector import load_finder
from vitrail.report import Chart, Table

FRAMES = 16  # of each video
REPEATS = 2  # pseudo-fakes of each person
CHANGED, AS_MADE = "changed as in training", "as made"
CHANCE = ("chance", 0.5)
PILOT = ("pilot of 5.5 minutes, easier pseudo-fakes of the same people", 0.643)


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """Tables and charts of the recipe's network: the bundled one unless weights are named.

    First faces of people, or of the user's videos, that training never saw; then each labelled set
    in ``recipe.test``, judged by the network alone and, where no weights are named, by both bundled
    networks together. Intervals are bootstrap intervals of 95 % over people or sources.
    """
    name = recipe.model.architecture.removeprefix("genconvit-")
    networks = choose_networks(None, [weights or name])
    parts: list[Table | Chart] = list(
        _pseudo_fakes(networks[0], recipe)
        if isinstance(recipe.data, PseudoFakes)
        else _folders(networks[0], recipe)
    )
    if recipe.test:
        both = choose_networks("both")
        jobs = {networks[0].name: _job(recipe, networks)}
        if weights is None:
            jobs["ed and vae"] = _job(recipe, both)
        for title, source in recipe.test.items():
            if isinstance(source, Path):
                parts += _labelled(title, source, jobs, recipe)
            else:
                parts += _listed(title, source, networks if weights else both, recipe)
    return parts


def _job(recipe: Recipe, networks: list[FakeNetwork], engine: str = "eager") -> DeepfakeJob:
    finder = load_finder(recipe.face_detector, engine=engine)
    return DeepfakeJob(networks, finder, Options(frames=FRAMES), engine=engine)


def _labelled(title: str, source, jobs: Mapping[str, DeepfakeJob], recipe: Recipe) -> list[Table]:
    judged = {name: judge_sources(job, source) for name, job in jobs.items()}
    again = recompression_table(title, jobs, next(iter(judged.values())))
    return [*source_tables(title, judged, recipe.manipulations), *([again] if again else [])]


def _listed(
    title: str, listed: ListedClips, networks: list[FakeNetwork], recipe: Recipe
) -> list[Table]:
    """Clips of others, as the command judges them; none where they were not fetched, as a line on
    standard error says."""
    try:
        clips = read_clips(listed.list, listed.folder, [listed.part])
    except InputError as error:
        print(f"left out: {title}: {error}", file=sys.stderr)
        return []
    scorer = " and ".join(network.name for network in networks)
    judged = {scorer: judge_files(_job(recipe, networks, "auto"), clips)}
    return source_tables(title, judged, recipe.manipulations)


def _pseudo_fakes(network: FakeNetwork, recipe: Recipe) -> list[Table | Chart]:
    train, val = make_datasets(recipe, network.crop)
    assert isinstance(recipe.data, PseudoFakes)
    assert isinstance(train, Pairs) and isinstance(val, Pairs)
    return face_parts(network, train, val, read_faces(recipe, recipe.data.test))


def face_parts(network: FakeNetwork, train: Pairs, val: Pairs, people: list) -> list[Table | Chart]:
    """Figures on pseudo-fakes of ``people`` (face regions); the limits of the verdicts are those
    chosen on ``val``."""
    simple = baseline.fit(*_images_and_labels(pseudo_faces(train.regions, network.crop)))
    faces = {
        CHANGED: pseudo_faces(people, network.crop, repeats=REPEATS),
        AS_MADE: pseudo_faces(people, network.crop, lambda image: image, repeats=REPEATS),
    }
    scores = {title: score(network, known.images) for title, known in faces.items()}
    changed = faces[CHANGED]
    return [
        *_measured(network, simple, faces, scores, [CHANCE, PILOT]),
        undecided_table(
            network,
            pseudo_faces(val.regions, network.crop, repeats=REPEATS),
            scores[CHANGED],
            changed.labels,
        ),
        *calibration_parts(network, scores[CHANGED], changed.labels == FAKE),
        *robustness(network, people),
    ]


def _folders(network: FakeNetwork, recipe: Recipe) -> list[Table]:
    """Figures on the user's own validation crops."""
    parts = make_datasets(recipe, network.crop)
    train, val = (crop_faces(part) for part in parts if isinstance(part, LabelledCrops))
    faces = {"validation crops": val}
    scores = {title: score(network, known.images) for title, known in faces.items()}
    return _measured(network, baseline.fit(*_images_and_labels(train)), faces, scores, [CHANCE])


def _measured(
    network: FakeNetwork, simple, sets: dict[str, Faces], scores: dict, references: list
) -> list[Table]:
    rows, verdict_rows = [], []
    for title, faces in sets.items():
        both = {network.name: scores[title], baseline.NAME: baseline.score(simple, faces.images)}
        rows += [
            (title, name, *measures(found, faces.labels, faces.groups))
            for name, found in both.items()
        ]
        verdict_rows.append((title, *verdicts(scores[title], faces.labels, network.thresholds)))
    rows += [("", name, auc, *[None] * (len(MEASURES) - 1)) for name, auc in references]
    groups = {group for faces in sets.values() for group in faces.groups.tolist()}
    return [
        Table(
            f"Faces of {len(groups)} people or videos that training never saw",
            ("faces", "scorer", *MEASURES),
            rows,
        ),
        Table("Verdicts on these faces, one at a time", ("faces", *VERDICTS), verdict_rows),
    ]


def _images_and_labels(faces: Faces):
    return faces.images, faces.labels
