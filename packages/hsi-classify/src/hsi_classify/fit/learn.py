"""From labels to the methods that make the map."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.fit.choose import Choice, Make, choose
from hsi_classify.fit.methods import Angle, Svm
from hsi_classify.fit.network import FittedNetwork
from hsi_classify.fit.presets import PRESETS
from hsi_classify.scene.labels import Labels
from hsi_classify.scene.scene import Scene
from hsi_classify.scores import Score, score
from vitrail.errors import InputError

NETWORK = "network"


@dataclass(frozen=True)
class Fitted:
    """``choice`` makes the map; ``test`` are flat numbers of labelled pixels that nobody learned
    from, ``truth`` their classes. ``facts`` tell how it came about."""

    choice: Choice
    network: FittedNetwork | None
    test: np.ndarray
    truth: np.ndarray
    facts: Mapping[str, Any]
    reasons: tuple[str, ...]

    def score(self, classes: np.ndarray) -> Score | None:
        """What the labels left over say of a map; None where there are none with data."""
        guesses = classes.ravel()[self.test]
        known = guesses > 0
        return score(self.truth[known], guesses[known]) if known.any() else None

    def save(self, path: Path, scene: Scene, labels: Labels) -> None:
        """Keeps the network as a weights file."""
        from hsi_classify.checkpoint import describe, save_network

        network = self.network
        assert network is not None
        metadata = describe(
            scene,
            labels,
            network.components,
            architecture=network.preset.architecture,
            config=network.config,
            per_patch=network.preset.per_patch,
        )
        save_network(path, network.module.state_dict(), metadata)


def makers(scene: Scene, method: str, preset: str, seed: int) -> dict[str, Make]:
    """The candidates of a method's name: itself, or for ``auto`` all of them."""
    every: dict[str, Make] = {
        NETWORK: partial(FittedNetwork, scene, PRESETS[preset], NETWORK, seed),
        "conv": partial(FittedNetwork, scene, PRESETS["conv"], "conv", seed),
        "svm": partial(Svm, scene),
        "svm-mean": partial(Svm, scene, means=True),
        "angle": partial(Angle, scene),
    }
    return every if method == "auto" else {method: every[method]}


def fit_scene(
    scene: Scene,
    labels: Labels,
    candidates: Mapping[str, Make],
    per_class: int | None = None,
    seed: int = 0,
) -> Fitted:
    """Fits to ``per_class`` labels of each class, or to all; labels without data are left out.

    Raises InputError for a single class, and for a class with fewer labels than asked for.
    """
    started = time.perf_counter()
    flat, classes = labels.ids.ravel(), labels.classes
    with_data = valid_pixels(scene).ravel()
    lost = int(((flat != 0) & ~with_data).sum())
    known = np.flatnonzero((flat != 0) & with_data)
    found = {value: int((flat[known] == value).sum()) for value in classes}
    if len(classes) < 2:
        problem = f"holds one class only ({labels.name(classes[0])})"
        raise InputError("labels", problem, "label a second one")
    wanted = per_class or 1
    if short := {v: n for v, n in found.items() if n < wanted}:
        value, count = next(iter(short.items()))
        problem = f"{labels.name(value)} has {count} labels of the {wanted} that are wanted"
        raise InputError("labels", problem, "label more or lower --per-class")
    train = known if per_class is None else _drawn(flat, known, classes, per_class, seed)
    test = np.setdiff1d(known, train)
    targets = np.searchsorted(classes, flat[train])
    choice = choose(scene, candidates, train, targets)
    # What makes the map, if it can be kept; else the first that can.
    networks = [
        method
        for method in (*choice.methods[:1], *choice.fitted.values())
        if isinstance(method, FittedNetwork)
    ]
    facts = {
        "method": choice.name,
        "of": [method.name for method in choice.methods],
        "cross_validated_recall": {k: round(v, 4) for k, v in choice.accuracy.items()},
        "labels": len(train),
        "labels_left_over": len(test),
        "fit_seconds": round(time.perf_counter() - started, 2),
    }
    reasons = [f"{lost} labels lie on pixels without data"] if lost else []
    if networks and networks[0].preset.components is not None:
        explained = networks[0].components.explained
        reasons.append(
            f"the network sees {len(explained)} principal components, {explained.sum():.1%} of the "
            f"variance, of all {scene.moments.count} pixels with data, tested ones too"
        )
    return Fitted(choice, next(iter(networks), None), test, flat[test], facts, tuple(reasons))


def valid_pixels(scene: Scene) -> np.ndarray:
    """(rows, columns) bool: where there is data."""
    return np.concatenate([block.inner for block in scene.blocks()])


def _drawn(
    flat: np.ndarray, known: np.ndarray, classes: list[int], count: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [rng.choice(known[flat[known] == v], count, replace=False) for v in classes]
    return np.sort(np.concatenate(parts))
