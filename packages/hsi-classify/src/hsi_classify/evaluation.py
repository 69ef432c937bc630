"""The tables that the model card quotes: every method fitted to few labels of a scene, on pixels
that none of them saw."""

from collections.abc import Mapping, Sequence

import numpy as np

from hsi_classify import system
from hsi_classify.data import LabelledScene
from hsi_classify.fit.choose import MEAN, choose
from hsi_classify.fit.learn import makers
from hsi_classify.fit.methods import Method, gather
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
from vitrail.report import Table
from vitrail.weights.catalogue import catalogue

BUILT_IN = ("network", "conv", "svm", "svm-mean", "angle", MEAN, "auto")
COLUMNS = ("method", "OA", "±", "AA", "± ", "kappa", "lowest OA")


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """A table for the weights on the recipe's test pixels, by the whole job, where there are any;
    then one for each way of splitting, with the mean and the spread over seeds of every built-in
    method, and what ``auto`` chose."""
    scene = LabelledScene.of(recipe.data, recipe.preset)
    name = weights or recipe.name.removeprefix("hsi-")
    # A recipe without bundled weights still measures what is fitted to few labels.
    bundled = {entry.name for entry in catalogue(system)}
    tables = [_of_weights(recipe, scene, name)] if weights or name in bundled else []
    splits = listed_splits(scene.labels.ids, recipe.measured)
    for kind in recipe.measured.splits:
        tables += _fitted(recipe, scene, [split for split in splits if split.kind == kind])
    return tables


def _of_weights(recipe: Recipe, scene: LabelledScene, name: str) -> Table:
    """The whole job on the scene, with the weights; only the test part counts."""
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
    chosen, sizes = [], []
    for split in splits:
        scores, name = run_split(scene, split, recipe.preset)
        for method, found in scores.items():
            figures[method].append(found)
        best = max((m for m in BUILT_IN if m != "auto"), key=lambda m: scores[m].aa)
        chosen.append((split.seed, name, scores["auto"].aa, best, scores[best].aa))
        sizes.append((len(split.train), len(split.test)))
    train, test = np.mean(sizes, axis=0)
    how = {
        "random": f"{recipe.measured.per_class} labels a class from anywhere",
        "patch": f"one patch of at most {PATCH_LABELS} labels a class, a guard of {GUARD} pixels",
    }
    kind = splits[0].kind
    flat = scene.labels.ids.ravel()
    tested = np.mean([len(np.unique(flat[split.test])) for split in splits])
    title = (
        f"{kind}: {how[kind]}; {len(splits)} seeds, {train:.0f} learned from, {test:.0f} tested "
        f"of {tested:.1f} classes{_left_out(scene, splits)}"
    )
    rows = [_row(name, found) for name, found in figures.items()]
    columns = ("seed", "auto took", "its AA", "best built-in", "AA of that")
    return [Table(title, COLUMNS, rows), Table(f"{kind}: what auto took", columns, chosen)]


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
    flat = scene.labels.ids.ravel()
    classes = np.unique(flat[split.train])
    targets, truth = np.searchsorted(classes, flat[split.train]), flat[split.test]
    candidates = makers(scene.scene, "auto", preset, split.seed)
    choice = choose(scene.scene, candidates, split.train, targets)
    conv = makers(scene.scene, "conv", preset, split.seed)["conv"]()
    conv.fit(gather(scene.scene, conv, split.train), targets)
    fitted: Mapping[str, Method] = {**choice.fitted, conv.name: conv}
    shares = {
        name: method.probabilities(gather(scene.scene, method, split.test))
        for name, method in fitted.items()
    }
    candidates_mean = np.mean([shares[name] for name in choice.fitted], axis=0)
    taken = np.mean([shares[method.name] for method in choice.methods], axis=0)
    shares |= {MEAN: candidates_mean, "auto": taken}
    scores = {name: score(truth, classes[share.argmax(1)]) for name, share in shares.items()}
    return scores, choice.name


def _row(name: str, found: Sequence[Score]) -> tuple:
    oa, aa = np.array([s.oa for s in found]), np.array([s.aa for s in found])
    kappa = float(np.mean([s.kappa for s in found]))
    spread = (oa.mean(), oa.std(), aa.mean(), aa.std())
    return name, *map(float, spread), kappa, float(oa.min())
