"""The tables that the model card quotes: every method fitted to few labels of a scene, on pixels
that none of them saw."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from hsi_classify import system
from hsi_classify.checkpoint import read_checkpoint
from hsi_classify.data import Labelled, LabelledScene
from hsi_classify.figures import Figures
from hsi_classify.fit.choose import MEAN, choose
from hsi_classify.fit.learn import makers
from hsi_classify.fit.methods import gather
from hsi_classify.fit.network import FittedNetwork
from hsi_classify.fit.presets import Preset
from hsi_classify.job import SceneJob
from hsi_classify.networks import load_network
from hsi_classify.scores import Score, score
from hsi_classify.splits import (
    GUARD,
    PATCH_LABELS,
    Split,
    make_split,
    read_splits,
    write_splits,
)
from hsi_classify.training import Measured, Recipe
from hsi_classify.training.adapting import Adapters, adapt
from hsi_classify.training.recipe import Way
from vitrail.errors import UsageError
from vitrail.report import Table
from vitrail.weights.catalogue import catalogue

ADAPTERS = Adapters(kind="lora", rank=8, alpha=16, frozen="levels")
BUILT_IN = ("network", "conv", "svm", "svm-mean", "angle", MEAN, "auto")
COLUMNS = ("method", "OA", "±", "AA", "± ", "kappa", "lowest OA")


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """A table for the weights on the recipe's test pixels, by the whole job, where there are any;
    then one for each way of splitting, with the mean and the spread over seeds of every built-in
    method, and what ``auto`` chose. With ``measured.ways`` only those."""
    if not isinstance(recipe.data, Labelled):
        problem = "has no labels to measure by"
        raise UsageError(recipe.name, problem, "name its weights in another's measured.base")
    scene = LabelledScene.of(recipe.data, recipe.preset)
    if recipe.measured.ways:
        return [_by_ways(recipe, scene, kind) for kind in recipe.measured.splits]
    name = weights or recipe.name.removeprefix("hsi-")
    # A recipe without bundled weights still measures what is fitted to few labels.
    bundled = {entry.name for entry in catalogue(system)}
    tables = [_of_weights(recipe, scene, name)] if weights or name in bundled else []
    for kind in recipe.measured.splits:
        tables += _fitted(recipe, scene, _splits(recipe, scene, kind))
    return tables


def _kept(recipe: Recipe) -> Figures:
    """Figures of the same scene, network and number of labels; which seeds there are may differ."""
    measured = recipe.measured.model_copy(
        update={"seeds": (), "splits": (), "ways": (), "lists": None, "figures": None}
    )
    return Figures(recipe.measured.figures, recipe.model_copy(update={"measured": measured}).sha256)


def _splits(recipe: Recipe, scene: LabelledScene, kind: str) -> list[Split]:
    found = listed_splits(scene.labels.ids, recipe.measured)
    return [split for split in found if split.kind == kind]


def _by_ways(recipe: Recipe, scene: LabelledScene, kind: str) -> Table:
    """Ways of making and starting the network, of which the recipe names some."""
    measured, preset = recipe.measured, scene.preset
    state = read_checkpoint(measured.base).state if measured.base else {}
    config = {**preset.config, "rank": ADAPTERS.rank, "alpha": float(ADAPTERS.alpha)}
    all_ways: dict[Way, tuple[Preset, dict[str, Any]]] = {
        "network": (preset, {}),
        "per-patch": (replace(preset, per_patch=True), {}),
        "gated": (replace(preset, config=config), {}),
        "base": (preset, {"initial": state}),
        "adapters": (preset, {"initial": state, "adapt": partial(adapt, how=ADAPTERS)}),
    }
    splits, kept = _splits(recipe, scene, kind), _kept(recipe)
    figures: dict[str, list[Score]] = {way: [] for way in measured.ways}
    for split in splits:
        classes, targets, truth = _targets(scene, split)
        for way in measured.ways:
            where = f"{kind} {split.seed} {way}"
            if (entry := kept.get(where)) is None:
                how, more = all_ways[way]
                method = FittedNetwork(scene.scene, how, way, split.seed, **more)
                method.fit(gather(scene.scene, method, split.train), targets)
                shares = method.probabilities(gather(scene.scene, method, split.test))
                entry = kept.put(where, {way: score(truth, classes[shares.argmax(1)])})
            figures[way].append(entry[0][way])
    rows = [_row(way, found) for way, found in figures.items()]
    return Table(_title(recipe, scene, splits), ("way", *COLUMNS[1:]), rows)


def _of_weights(recipe: Recipe, scene: LabelledScene, name: str) -> Table:
    """The whole job on the scene, with the weights; only the test part counts."""
    assert isinstance(recipe.data, Labelled)
    split = scene.split(recipe.data)
    job = SceneJob([load_network(name)], engine="eager")
    found = job.predict(recipe.data.cube).classes.ravel()[split.test]
    result = score(scene.labels.ids.ravel()[split.test], found)
    without = _left_out(scene, [split])
    title = f"{name}: {result.count} test pixels, {len(split.train)} learned from{without}"
    row = (name, result.oa, result.aa, result.kappa)
    return Table(title, ("weights", "OA", "AA", "kappa"), [row])


def listed_splits(ids: np.ndarray, measured: Measured) -> list[Split]:
    """The splits that a recipe measures: from its file of lists as far as they stand there, else
    drawn, and then kept in it."""
    path = measured.lists
    listed = read_splits(path, ids.shape) if path and path.exists() else []
    known = {(split.kind, split.seed): split for split in listed}
    wanted = [(kind, seed) for kind in measured.splits for seed in measured.seeds]
    drawn = {
        (kind, seed): make_split(ids, kind, measured.per_class, seed)
        for kind, seed in wanted
        if (kind, seed) not in known
    }
    if path and drawn:
        write_splits(path, ids.shape, [*listed, *drawn.values()])
    return [(known | drawn)[one] for one in wanted]


def _fitted(recipe: Recipe, scene: LabelledScene, splits: Sequence[Split]) -> list[Table]:
    figures: dict[str, list[Score]] = {name: [] for name in BUILT_IN}
    chosen, kept = [], _kept(recipe)
    for split in splits:
        where = f"{split.kind} {split.seed}"
        scores, name = kept.get(where) or kept.put(where, *run_split(scene, split, recipe.preset))
        for method, found in scores.items():
            figures[method].append(found)
        best = max((m for m in BUILT_IN if m != "auto"), key=lambda m: scores[m].aa)
        chosen.append((split.seed, name, scores["auto"].aa, best, scores[best].aa))
    rows = [_row(name, found) for name, found in figures.items()]
    columns = ("seed", "auto took", "its AA", "best built-in", "AA of that")
    return [
        Table(_title(recipe, scene, splits), COLUMNS, rows),
        Table(f"{splits[0].kind}: what auto took", columns, chosen),
    ]


def _title(recipe: Recipe, scene: LabelledScene, splits: Sequence[Split]) -> str:
    """How the splits were made, and how large they are."""
    train, test = np.mean([(len(split.train), len(split.test)) for split in splits], axis=0)
    how = {
        "random": f"{recipe.measured.per_class} labels a class from anywhere",
        "patch": f"one patch of at most {PATCH_LABELS} labels a class, a guard of {GUARD} pixels",
    }
    kind = splits[0].kind
    flat = scene.labels.ids.ravel()
    tested = np.mean([len(np.unique(flat[split.test])) for split in splits])
    return (
        f"{kind}: {how[kind]}; {len(splits)} seeds, {train:.0f} learned from, {test:.0f} tested "
        f"of {tested:.1f} classes{_left_out(scene, splits)}"
    )


def _left_out(scene: LabelledScene, splits: Sequence[Split]) -> str:
    """Which classes are in no split, as they have too few labels."""
    flat = scene.labels.ids.ravel()
    learned = np.unique(np.concatenate([flat[split.train] for split in splits]))
    counts = scene.labels.counts
    few = [f"{scene.labels.name(v)} ({counts[v]})" for v in counts if v not in learned]
    without = f"; left out, with too few labels: {', '.join(few)}" if few else ""
    lost = f"; {scene.lost} labels lie on pixels without data" if scene.lost else ""
    return without + lost


def run_split(scene: LabelledScene, split: Split, preset: str) -> tuple[dict[str, Score], str]:
    """The score of every built-in method on a split's test pixels, and what ``auto`` chose."""
    classes, targets, truth = _targets(scene, split)
    candidates = makers(scene.scene, "auto", preset, split.seed)
    choice = choose(scene.scene, candidates, split.train, targets)
    shares = {
        name: method.probabilities(gather(scene.scene, method, split.test))
        for name, method in choice.fitted.items()
    }
    mean = np.mean(list(shares.values()), axis=0)
    taken = np.mean([shares[method.name] for method in choice.methods], axis=0)
    shares |= {MEAN: mean, "auto": taken}
    scores = {name: score(truth, classes[share.argmax(1)]) for name, share in shares.items()}
    return scores, choice.name


def _targets(scene: LabelledScene, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of the classes, targets 0..K-1 of what is learned from, and ids of what is tested."""
    flat = scene.labels.ids.ravel()
    classes = np.unique(flat[split.train])
    return classes, np.searchsorted(classes, flat[split.train]), flat[split.test]


def _row(name: str, found: Sequence[Score]) -> tuple:
    oa, aa = np.array([s.oa for s in found]), np.array([s.aa for s in found])
    kappa = float(np.mean([s.kappa for s in found]))
    spread = (oa.mean(), oa.std(), aa.mean(), aa.std())
    return name, *map(float, spread), kappa, float(oa.min())
