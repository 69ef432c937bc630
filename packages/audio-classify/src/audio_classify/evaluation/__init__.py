"""A network measured on sounds that training never saw, beside the baselines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audio_classify.data import Clip, read_clips, recorded
from audio_classify.evaluation.events import agreement, scenes
from audio_classify.evaluation.simple import SIMPLE, Statistics, linear
from audio_classify.job import AudioJob, Options
from audio_classify.networks import AudioNetwork, load_network
from audio_classify.result import Result
from audio_classify.training.recipe import Labelled, Recipe, Unlabelled
from vitrail.errors import InputError, UsageError
from vitrail.job import Failure
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.preprocess.audio import read_audio
from vitrail.report import Table
from vitrail.runner import run
from vitrail.sources import Source

BATCH = 16
QUIETER = (-20, -40)  # dB
MAX_QUIETER = 200  # about as many clips are enough for these
COLUMNS = ("classifier", "accuracy", "from", "to", "mean recall", "clips")


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Tables of the recipe's network, run on the test clips by the whole job: the bundled one
    unless weights are named.

    Accuracy with its 95 % bootstrap interval over clips, beside a logistic regression on
    spectrogram statistics that saw the same training clips; the same clips made quieter; which
    classes are taken for which. For a network that may say ``unknown``, what it refuses; for
    another, its events in long recordings made of the test clips. For a recipe without labels: the
    same regression on the network's embeddings.
    """
    network = load_network(weights or recipe.name.removeprefix("audio-"))
    if isinstance(recipe.data, Unlabelled):
        return [
            _probe(recipe.data, network, path)
            for path in recipe.data.paths
            if path.suffix == ".csv"
        ]
    data, job = recipe.data, AudioJob(network, engine="eager")
    train, test = divide(read_clips(data.path, data.label), data.by, data.test)
    train, test = (
        [clip for clip in part if clip.facts.get(data.val_by) not in data.val]
        for part in (train, test)
    )
    known, asked = ([clip for clip in part if clip.label != data.unknown] for part in (train, test))
    truth = np.array([clip.label for clip in asked])
    guesses = likeliest(job, asked)
    # One word among others has nothing that a regression could tell it from.
    has_several = len({clip.label for clip in known}) > 1
    simple = Statistics.learned(known, network) if has_several else None
    title = f"{len(asked)} test clips ({data.by} {', '.join(data.test)}), {len(known)} to train on"
    rows = [
        _row(network.name, truth, guesses),
        *([_row(SIMPLE, truth, simple.guesses(asked))] if simple else []),
        _chance(truth),
    ]
    some = asked[:: max(1, len(asked) // MAX_QUIETER)]
    quieter = [_row_at(job, some, db) for db in QUIETER]
    levels = Table("The same clips made quieter, in 16 bits", COLUMNS, quieter)
    tables = [Table(title, COLUMNS, rows), levels, _confusions(truth, guesses)]
    if data.unknown is not None:
        return [*tables, refusals(job, data, test)]
    return [*tables, events_table(job, simple, test)] if simple else tables


def divide(clips: Sequence[Clip], by: str, test: Sequence[str]) -> tuple[list[Clip], list[Clip]]:
    """The clips to train on and those of the test; UsageError where a part is empty."""
    inside = [clip.facts.get(by) in test for clip in clips]
    parts = [
        [clip for clip, chosen in zip(clips, inside, strict=True) if chosen == part]
        for part in (False, True)
    ]
    if not all(parts):
        raise UsageError(
            "data.test",
            f"no clip has {by} in {list(test)}, or all have",
            "name the values to test on",
        )
    return parts[0], parts[1]


def likeliest(job: AudioJob, clips: Sequence[Clip]) -> np.ndarray:
    """The likeliest class of each clip, the unknown apart; an empty one for silence."""
    results = _results(job, [clip.path for clip in clips])
    return np.array([_likeliest(job, result) for result in results])


def _likeliest(job: AudioJob, result: Result) -> str:
    return next((label for label in result.probabilities if label != job.network.unknown), "")


def _row_at(job: AudioJob, clips: Sequence[Clip], db: float) -> tuple:
    """Of each clip made louder by ``db`` and rounded to 16 bits."""
    guesses = []
    for clip in clips:
        sound = read_audio(clip.path, job.network.features.sample_rate)
        guesses.append(_likeliest(job, job.predict(recorded(sound, db))))
    truth = np.array([clip.label for clip in clips])
    return _row(f"{job.network.name} at {db} dB", truth, np.array(guesses))


def refusals(job: AudioJob, data: Labelled, test: Sequence[Clip]) -> Table:
    """What the network names and what it calls unknown: of the test, and of clips from elsewhere
    by their groups."""
    parts = {"test": [clip for clip in test if clip.label != data.unknown]}
    parts["test, none of the classes"] = [clip for clip in test if clip.label == data.unknown]
    for clip in read_clips(data.elsewhere, data.label) if data.elsewhere else ():
        parts.setdefault(f"elsewhere, {clip.facts[data.val_by]}", []).append(clip)
    rows = []
    for name, clips in parts.items():
        if clips:
            results = _results(job, [clip.path for clip in clips])
            named = [
                not (result.unknown or result.silent) or bool(result.events) for result in results
            ]
            right = [
                result.label == clip.label
                for result, clip, one in zip(results, clips, named, strict=True)
                if one
            ]
            known = clips[0].label != data.unknown
            share = sum(right) / len(right) if known and right else None
            rows.append((name, len(clips), sum(named) / len(clips), share))
    title = f"What is named, from a probability of {job.network.accept:.2f} on"
    return Table(title, ("clips of", "clips", "named", "of these right"), rows)


def events_table(job: AudioJob, simple: Statistics, test: Sequence[Clip]) -> Table:
    """The events in long recordings of the test clips, and those of the regression on windows of
    the same length, by the same rule."""
    rate = job.network.features.sample_rate
    heard = list(scenes(test, rate))
    peer = AudioJob(simple.network(job.network), engine="eager")
    rows = [
        (name, *agreement(one, heard)) for name, one in ((job.network.name, job), (SIMPLE, peer))
    ]
    seconds = sum(len(scene.sound) for scene in heard) / rate
    title = f"Events in {len(heard)} recordings of the test clips, {seconds / 60:.0f} minutes"
    columns = ("classifier", "segment F1 (1 s)", "onset F1 (0.2 s)", "events", "true events")
    return Table(title, columns, rows)


def _results(job: AudioJob, paths: Sequence[Path]) -> list:
    results = []
    for source, outcome in run(job, map(Source.of, paths), batch_size=BATCH):
        if isinstance(outcome, Failure):
            raise InputError(source.name, outcome.reason)
        results.append(outcome)
    return results


def _row(name: str, truth: np.ndarray, guesses: np.ndarray) -> tuple:
    right = truth == guesses
    low, high = bootstrap_interval(np.mean, right)
    recall = np.mean([right[truth == label].mean() for label in np.unique(truth)])
    return name, float(right.mean()), low, high, float(recall), len(truth)


def _chance(truth: np.ndarray) -> tuple:
    share = max(Counter(truth.tolist()).values()) / len(truth)
    return "always the commonest class", share, None, None, 1 / len(np.unique(truth)), len(truth)


def _confusions(truth: np.ndarray, guesses: np.ndarray) -> Table:
    pairs = Counter((t, g) for t, g in zip(truth.tolist(), guesses.tolist(), strict=True) if t != g)
    rows = [(t, g or "silence", count) for (t, g), count in pairs.most_common(10)]
    return Table("What is taken for what", ("sound", "taken for", "clips"), rows)


def _probe(data: Unlabelled, network: AudioNetwork, path: Path) -> Table:
    """How well the frozen network's embeddings tell apart the classes of a list."""
    label = next(
        (name for name in ("label", "digit") if name in path.open().readline().split(",")), "label"
    )
    train, test = divide(read_clips(path, label), data.by, data.test)
    job = AudioJob(network, Options(embed=True), engine="eager")
    vectors = [_vectors(job, part) for part in (train, test)]
    truth = np.array([clip.label for clip in test])
    probe = linear(vectors[0], [clip.label for clip in train]).predict(vectors[1])
    rows = [
        _row(f"{network.name}, frozen, logistic regression", truth, probe),
        _row(SIMPLE, truth, Statistics.learned(train, network).guesses(test)),
        _chance(truth),
    ]
    return Table(f"{path.name}: embeddings", COLUMNS, rows)


def _vectors(job: AudioJob, clips: Sequence[Clip]) -> np.ndarray:
    """The mean embedding of each clip; zeros for silence."""
    found = [result.embeddings for result in _results(job, [clip.path for clip in clips])]
    size = next(one.vectors.shape[1] for one in found if one is not None)
    return np.stack([np.zeros(size) if one is None else one.vectors.mean(0) for one in found])
