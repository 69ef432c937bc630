"""A network measured: on faces of unseen people, and on labelled videos and pictures, beside the baselines."""

import numpy as np

from deepfake_detect import baseline
from deepfake_detect.data import Pairs
from deepfake_detect.figures import MEASURES, VERDICTS, measures, verdicts
from deepfake_detect.held_out import Faces, crop_faces, pseudo_faces, score, sweep
from deepfake_detect.labelled import LabelledCrops
from deepfake_detect.model import FAKE
from deepfake_detect.networks import FakeNetwork, choose_networks
from deepfake_detect.pipeline import DeepfakePipeline, Options
from deepfake_detect.sources import judge_sources, source_tables
from deepfake_detect.training import Recipe, make_datasets
from vitrine.report import Table

FRAMES = 16  # of each video
REPEATS = 2  # pseudo-fakes of each person
CHANCE = ("chance", 0.5)
PILOT = ("pilot of 5.5 minutes, easier pseudo-fakes of the same people", 0.643)


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Tables of the recipe's network: the bundled one unless weights are named.

    First faces of people, or of the user's videos, that training never saw; then each labelled set in ``recipe.test``,
    judged by the network alone and, where no weights are named, by both bundled networks together. Intervals are
    bootstrap intervals of 95 % over people or sources.
    """
    name = recipe.model.architecture.removeprefix("genconvit-")
    networks = choose_networks(None, [weights or name])
    tables = face_tables(networks[0], *make_datasets(recipe, networks[0].crop))
    if recipe.test:
        jobs = {networks[0].name: _job(recipe, networks)}
        if weights is None:
            jobs["ed and vae"] = _job(recipe, choose_networks("both"))
        for title, source in recipe.test.items():
            tables += source_tables(title, {name: judge_sources(job, source) for name, job in jobs.items()})
    return tables


def _job(recipe: Recipe, networks: list[FakeNetwork]) -> DeepfakePipeline:
    return DeepfakePipeline(networks, Options(frames=FRAMES), face_detector=recipe.face_detector, engine="eager")


def face_tables(network: FakeNetwork, train: Pairs | LabelledCrops, val: Pairs | LabelledCrops) -> list[Table]:
    """Figures on single faces; for pseudo-fakes also how they fall as the pictures get worse."""
    if isinstance(val, LabelledCrops):
        faces = {"validation crops": crop_faces(val)}
        simple = baseline.fit(*_images_and_labels(crop_faces(train)))
        return _measured(network, simple, faces, [CHANCE])
    changed, as_made = "changed as in training", "as made"
    simple = baseline.fit(*_images_and_labels(pseudo_faces(train.regions, network.crop)))
    faces = {
        changed: pseudo_faces(val.regions, network.crop, repeats=REPEATS),
        as_made: pseudo_faces(val.regions, network.crop, sweep()["none"], repeats=REPEATS),
    }
    return [*_measured(network, simple, faces, [CHANCE, PILOT]), _sweep_table(network, val)]


def _measured(network: FakeNetwork, simple, sets: dict[str, Faces], references: list[tuple[str, float]]) -> list[Table]:
    rows, verdict_rows = [], []
    for title, faces in sets.items():
        scores = {network.name: score(network, faces.images), baseline.NAME: baseline.score(simple, faces.images)}
        rows += [(title, name, *measures(found, faces.labels, faces.groups)) for name, found in scores.items()]
        verdict_rows.append((title, *verdicts(scores[network.name], faces.labels, network.thresholds)))
    rows += [("", name, auc, *[None] * (len(MEASURES) - 1)) for name, auc in references]
    groups = {group for faces in sets.values() for group in faces.groups.tolist()}
    return [
        Table(f"Faces of {len(groups)} people or videos that training never saw", ("faces", "scorer", *MEASURES), rows),
        Table("Verdicts on these faces, one at a time", ("faces", *VERDICTS), verdict_rows),
    ]


def _sweep_table(network: FakeNetwork, val: Pairs) -> Table:
    rows = []
    for name, change in sweep().items():
        faces = pseudo_faces(val.regions, network.crop, change)
        scores = score(network, faces.images)
        auc, low, high, *_ = measures(scores, faces.labels, faces.groups)
        real = scores[faces.labels != FAKE]
        rows.append((name, auc, low, high, float(real.mean()), float(np.mean(real >= network.thresholds.fake_above))))
    columns = ("change to all pictures", "AUC", "from", "to", "mean P(fake) of real faces", "real faces called FAKE")
    return Table("Pseudo-fakes in pictures that get worse", columns, rows)


def _images_and_labels(faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    return faces.images, faces.labels
