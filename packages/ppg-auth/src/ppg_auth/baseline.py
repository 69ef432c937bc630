"""Simple scorers on the same windows: what a network must beat, and what leaking splits are worth."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from ppg_auth.beats import BEAT_POINTS
from ppg_auth.data import Take
from ppg_auth.model import BeatExpert, ModelConfig, Scalogram
from ppg_auth.preprocess import Windows

TEMPLATE = "mean-beat template"
TRAIN_SHARE = 0.7
GUARD = 2  # windows of half overlap: 5 s


def mean_beats(takes: Mapping[Take, Windows]) -> dict[Take, NDArray[np.float32]]:
    """The mean beat (n, 64) of each good window, of norm 1: compared by cosine, the plain template matcher."""
    return {take: windows.beats[windows.good][:, :BEAT_POINTS] for take, windows in takes.items()}


def expert_folds(takes: Mapping[Take, Windows], folds: list[list[str]]) -> dict[Take, NDArray[np.float32]]:
    """Embeddings (n, 64) of everybody in ``folds`` by the beat expert, fitted each time on all people of other folds.

    People in ``takes`` who are in no fold help to fit each.
    """
    beats = {take: torch.from_numpy(windows.beats[windows.good]) for take, windows in takes.items()}
    embedded = {}
    for fold in folds:
        seen = [take for take in takes if take.person not in fold and len(beats[take])]
        names = sorted({take.person for take in seen})
        people = torch.tensor([names.index(take.person) for take in seen for _ in beats[take]])
        expert = BeatExpert(next(iter(beats.values())).shape[1], 64)
        expert.fit(torch.cat([beats[take] for take in seen]), people)
        embedded |= {take: expert(beats[take]).numpy() for take in takes if take.person in fold}
    return embedded


def closed_set_accuracy(takes: Mapping[Take, Windows], config: ModelConfig, *, contiguous: bool) -> float:
    """Of windows (half overlapping), how many have their nearest scalogram in training from the right person.

    People are known and have one recording each. 70 % of the windows train: at random, so that most test windows share
    half of their signal with a training window, or the first 70 %, with 5 s left out before the rest.
    """
    scalogram = Scalogram(config)
    rng = np.random.default_rng(0)
    train, test = [], []
    for number, windows in enumerate(takes.values()):
        images = scalogram(torch.from_numpy(windows.waves[windows.good])).flatten(1).numpy()
        order = np.arange(len(images)) if contiguous else rng.permutation(len(images))
        cut = int(TRAIN_SHARE * len(images))
        train += [(image, number) for image in images[order[:cut]]]
        test += [(image, number) for image in images[order[cut + (GUARD if contiguous else 0) :]]]
    classifier = KNeighborsClassifier(1).fit(*map(np.array, zip(*train, strict=True)))
    return float(classifier.score(*map(np.array, zip(*test, strict=True))))
