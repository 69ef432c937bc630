"""Labelled scenes as samples: patches of the pixels that a split learns from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from hsi_classify.files.cube import Layout
from hsi_classify.files.labels import read_labels
from hsi_classify.files.opening import open_cube
from hsi_classify.fit.learn import valid_pixels
from hsi_classify.fit.methods import gather
from hsi_classify.fit.network import FittedNetwork
from hsi_classify.fit.presets import PRESETS, Preset
from hsi_classify.scene.labels import Labels
from hsi_classify.scene.scene import Scene
from hsi_classify.splits import Split, make_split
from vitrail.errors import InputError
from vitrail.training.recipe import Section


class Labelled(Section):
    """A cube and its labels. ``variable`` and ``bad_bands`` as in the command. Of each class
    ``per_class`` pixels, drawn by ``seed`` from anywhere, are learned from; ``val_share`` of them
    validates; all others are the test, which training never sees."""

    cube: Path
    labels: Path
    variable: str | None = None
    bad_bands: str = "auto"
    per_class: PositiveInt = 50
    seed: int = 0
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.2


@dataclass(frozen=True)
class LabelledScene:
    """A scene with labels, and how a network looks at it. ``lost`` labels lie on pixels without
    data and are none of ``labels``."""

    scene: Scene
    labels: Labels
    preset: Preset
    lost: int = 0

    @classmethod
    def of(cls, data: Labelled, preset: str) -> "LabelledScene":
        layout = Layout(variable=data.variable)
        cube = open_cube(data.cube, layout)
        labels, scene = read_labels(data.labels, cube), Scene.of(cube, data.bad_bands)
        ids = np.where(valid_pixels(scene), labels.ids, 0)
        lost = int((ids != labels.ids).sum())
        return cls(scene, Labels(ids, labels.names, labels.colours), PRESETS[preset], lost)

    @cached_property
    def look(self) -> FittedNetwork:
        """Turns pixels into patches; no network is fitted in it."""
        return FittedNetwork(self.scene, self.preset)

    def split(self, data: Labelled) -> Split:
        return make_split(self.labels.ids, "random", data.per_class, data.seed)

    def kept(self, split: Split) -> Labels:
        """The labels without the classes that are too small for the split."""
        present = np.unique(self.labels.ids.ravel()[split.train])
        ids = np.where(np.isin(self.labels.ids, present), self.labels.ids, 0)
        return Labels(ids, self.labels.names, self.labels.colours)

    def samples(self, pixels: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
        """Patches (N, K, size, size) and their targets 0..K-1."""
        if not len(pixels):
            raise InputError(self.scene.cube.name, "leaves no pixel", "lower data.per_class")
        targets = np.searchsorted(labels.classes, labels.ids.ravel()[pixels])
        return gather(self.scene, self.look, pixels), targets


def held_out(split: Split, ids: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The training pixels of a split as those learned from and those that validate, at least one
    of each class."""
    rng = np.random.default_rng(split.seed)
    flat, val = ids.ravel(), []
    for value in np.unique(flat[split.train]):
        mine = split.train[flat[split.train] == value]
        val.append(rng.choice(mine, max(1, round(share * len(mine))), replace=False))
    chosen = np.sort(np.concatenate(val))
    return np.setdiff1d(split.train, chosen), chosen
