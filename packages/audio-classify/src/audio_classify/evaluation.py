"""A network measured on sounds that training never saw, beside the baselines."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from audio_classify.data import Clip, read_clips, spectrograms
from audio_classify.job import AudioJob, Options
from audio_classify.networks import AudioNetwork, load_network
from audio_classify.sound.features import Features
from audio_classify.training.recipe import Recipe, Unlabelled
from vitrail.errors import InputError, UsageError
from vitrail.job import Failure
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.preprocess.audio import read_audio
from vitrail.report import Table
from vitrail.runner import run
from vitrail.sources import Source

BATCH = 16
QUIETER = (-20, -40)  # dB
FULL_SCALE = 32768
SIMPLE = "log-mel statistics, logistic regression"  # what a network has to beat
COLUMNS = ("classifier", "accuracy", "from", "to", "mean recall", "clips")


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Tables of the recipe's network, run on the test clips by the whole job: the bundled one
    unless weights are named.

    Accuracy with its 95 % bootstrap interval over clips, beside a logistic regression on
    spectrogram statistics that saw the same training clips; and which classes are taken for which.
    For a recipe without labels: the same regression on the network's embeddings.
    """
    network = load_network(weights or recipe.name.removeprefix("audio-"))
    if isinstance(recipe.data, Unlabelled):
        return [
            _probe(recipe.data, network, path)
            for path in recipe.data.paths
            if path.suffix == ".csv"
        ]
    data = recipe.data
    train, test = divide(read_clips(data.path, data.label), data.by, data.test)
    guesses = classify(network, [clip.path for clip in test])
    truth = np.array([clip.label for clip in test])
    features = _plain(network.features)
    raw = [spectrograms([clip.path for clip in part], features) for part in (train, test)]
    of_simple = _simple(raw, [clip.label for clip in train])
    title = f"{len(test)} test clips ({data.by} {', '.join(data.test)}), {len(train)} to train on"
    rows = [
        _row(network.name, truth, guesses),
        _row(SIMPLE, truth, of_simple),
        _chance(truth),
    ]
    quieter = [_row(f"{network.name} at {db} dB", truth, _at(network, test, db)) for db in QUIETER]
    levels = Table("The same clips made quieter, in 16 bits", COLUMNS, quieter)
    return [Table(title, COLUMNS, rows), levels, _confusions(truth, guesses)]


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


def classify(network: AudioNetwork, paths: Sequence[Path]) -> np.ndarray:
    """The likeliest label of each file; an empty one for silence."""
    job = AudioJob(network, engine="eager")
    return np.array([next(iter(result.probabilities), "") for result in _results(job, paths)])


def _at(network: AudioNetwork, clips: Sequence[Clip], db: float) -> np.ndarray:
    """The likeliest label of each clip made louder by ``db`` and rounded to 16 bits; an empty one
    for silence."""
    job, guesses = AudioJob(network, engine="eager"), []
    for clip in clips:
        sound = read_audio(clip.path, network.features.sample_rate) * 10 ** (db / 20)
        rounded = np.round(sound * FULL_SCALE) / FULL_SCALE
        guesses.append(next(iter(job.predict(rounded.astype(np.float32)).probabilities), ""))
    return np.array(guesses)


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


def _plain(features: Features) -> Features:
    """The same rate and bands, as a regression sees them: raw, of any length."""
    return Features(features.sample_rate, 0.0, 1.0, features.num_frames, features.kept_bins)


def _probe(data: Unlabelled, network: AudioNetwork, path: Path) -> Table:
    """How well the frozen network's embeddings tell apart the classes of a list."""
    label = next(
        (name for name in ("label", "digit") if name in path.open().readline().split(",")), "label"
    )
    train, test = divide(read_clips(path, label), data.by, data.test)
    job = AudioJob(network, Options(embed=True), engine="eager")
    vectors = [_vectors(job, part) for part in (train, test)]
    clips = [
        spectrograms([clip.path for clip in part], _plain(network.features))
        for part in (train, test)
    ]
    labels, truth = ([clip.label for clip in part] for part in (train, test))
    simple = _simple(clips, labels)
    probe = _linear(vectors[0], labels).predict(vectors[1])
    truth = np.array(truth)
    rows = [
        _row(f"{network.name}, frozen, logistic regression", truth, probe),
        _row(SIMPLE, truth, simple),
        _chance(truth),
    ]
    return Table(f"{path.name}: embeddings", COLUMNS, rows)


def _vectors(job: AudioJob, clips: Sequence[Clip]) -> np.ndarray:
    """The mean embedding of each clip; zeros for silence."""
    found = [result.embeddings for result in _results(job, [clip.path for clip in clips])]
    size = next(one.vectors.shape[1] for one in found if one is not None)
    return np.stack([np.zeros(size) if one is None else one.vectors.mean(0) for one in found])


def _simple(clips: Sequence[Sequence[Tensor]], labels: Sequence[str]) -> np.ndarray:
    """The guesses of a logistic regression on the statistics of raw filterbanks, for the second
    part of ``clips``; it saw the first."""
    known, asked = map(_statistics, clips)
    return _linear(known, labels).predict(asked)


def _linear(vectors: np.ndarray, labels: Sequence[str]) -> Pipeline:
    """A logistic regression on vectors (n, dim), scaled."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(vectors, labels)


def _statistics(clips: Sequence[Tensor]) -> np.ndarray:
    """(n, 384): mean, standard deviation and 90th percentile of each band."""
    arrays = [clip.numpy() for clip in clips]
    return np.array(
        [np.concatenate([a.mean(0), a.std(0), np.percentile(a, 90, axis=0)]) for a in arrays]
    )
