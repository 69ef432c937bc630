"""The tables that the model card quotes: what the quality is worth to matchers, beside the simple
measures, and how it behaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_quality.edc import fixed_threshold
from face_quality.evaluation.behaviour import (
    alignments,
    best_shot,
    gammas,
    ladders,
    percentiles,
    spread,
)
from face_quality.evaluation.gain import SHARES, Matched, spearman, utility, utility_interval
from face_quality.evaluation.matchers import (
    Embed,
    dlib_matcher,
    linear_matcher,
    rows_of,
    similarities,
)
from face_quality.evaluation.rivals import joined, simple_qualities
from face_quality.evaluation.sets import TestSet, partly_degraded, read_crops, read_test_set
from face_quality.networks import load_network
from face_quality.training.recipe import Recipe
from vitrail.errors import UsageError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.report import Chart, Series, Table

FMRS = (1e-2, 1e-3)


@dataclass(frozen=True)
class Judged:
    """A test set with qualities (n,) by the name of what gave them, ours first, and vectors (n, D)
    by matcher."""

    test: TestSet
    qualities: Mapping[str, np.ndarray]
    vectors: Mapping[str, np.ndarray]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """The recipe's network, the bundled one unless weights are named, on the test people.

    dlib is a matcher, and the source of two of the rows, only where the recipe's teacher lies where
    it says. Exit blocks stand in the tables of gain.
    """
    if recipe.data.test is None:
        raise UsageError("data.test", "is needed to evaluate", "name the folder with test.csv")
    name = weights or recipe.name.removeprefix("face-")
    usual = read_test_set(recipe.data.test)
    teacher = recipe.teacher.path
    dlib = dlib_matcher(teacher) if teacher and teacher.is_file() else None
    linear = linear_matcher(*read_crops(recipe.data.test / "train.csv"))
    measured = Measured(name, dlib, linear, recipe.data.ediffiqa)
    judged = {"(a) as they are": measured.judge(usual)}
    # Three quarters of both sets are the same crops.
    judged["(b) a quarter degraded"] = measured.judge(partly_degraded(usual), usual)
    tables: list[Table | Chart] = [_verification(judged["(a) as they are"])]
    for title, one in judged.items():
        for matcher in one.vectors:
            tables += [_gains(title, one, matcher, fmr) for fmr in FMRS]
        tables.append(_utilities(title, one))
    tables += [_chart(judged["(b) a quarter degraded"])]
    network = load_network(name)
    quality = judged["(a) as they are"].qualities["ours"]
    degraded = judged["(b) a quarter degraded"].qualities["ours"]
    if (told := percentiles(network)) is not None:
        tables.append(told)
    if (recipe.data.test / "raw.csv").is_file():
        tables.append(alignments(network, recipe.data.test))
    return [
        *tables,
        spread(network, quality, degraded),
        ladders(network, usual),
        gammas(network, usual),
        best_shot(network, usual, judged["(a) as they are"].qualities["detector score"]),
    ]


class Measured:
    """All that is asked of a crop by itself; of a crop that two sets share, once."""

    def __init__(self, name: str, dlib: Embed | None, linear: Embed, ediffiqa: Path | None):
        self.whole = load_network(name, embeds=True)
        blocks = range(1, self.whole.config.depth)
        self.exits = {block: load_network(name, exit_block=block) for block in blocks}
        self.dlib, self.linear, self.ediffiqa = dlib, linear, ediffiqa
        self.columns: dict[str, np.ndarray] = {}

    def judge(self, test: TestSet, before: TestSet | None = None) -> Judged:
        """``before`` is the set of the last call, whose crops lie in the same order."""
        changed = np.full(len(test.crops), True)
        if before is not None:
            changed = (test.crops != before.crops).any(axis=(1, 2, 3))
        for name, rows in self._of(test.part(changed)).items():
            shape = (len(changed), *rows.shape[1:])
            whole = self.columns.setdefault(name, np.zeros(shape, rows.dtype)).copy()
            whole[changed] = rows
            self.columns[name] = whole
        vectors = {"ours": self.columns["ours"][:, 1:], "pixels, PCA, LDA": self.columns["pixels"]}
        if self.dlib is not None:
            vectors["dlib"] = self.columns["dlib"]
        simple = set(self.columns) - {"ours", "pixels", "dlib"}
        qualities = {"ours": self.columns["ours"][:, 0]}
        qualities |= {name: self.columns[name] for name in self.columns if name in simple}
        return Judged(test, qualities | joined(qualities), vectors)

    def _of(self, test: TestSet) -> dict[str, np.ndarray]:
        columns = {"ours": rows_of(self.whole, test.crops), "pixels": self.linear(test.crops)}
        for block, network in self.exits.items():
            columns[f"ours, after block {block}"] = rows_of(network, test.crops)[:, 0]
        if self.dlib is not None:
            columns["dlib"] = self.dlib(test.crops)
        return columns | simple_qualities(test, self.dlib, self.ediffiqa)


def _verification(judged: Judged) -> Table:
    """Each matcher on the pairs as they are."""
    from sklearn.metrics import roc_auc_score

    test, rows = judged.test, []
    people = test.people[test.pairs[:, 0]]
    for name, vectors in judged.vectors.items():
        likeness = similarities(vectors, test.pairs)
        auc = float(roc_auc_score(test.same, likeness))
        low, high = bootstrap_interval(_auc, test.same, likeness, groups=people)
        rates = [
            float((likeness[test.same] < fixed_threshold(likeness[~test.same], fmr)).mean())
            for fmr in FMRS
        ]
        rows.append((name, auc, low, high, *rates))
    columns = ("matcher", "AUC", "from", "to", *(f"FNMR at FMR {fmr:g}" for fmr in FMRS))
    title = f"Verification: {test.same.sum()} genuine pairs, {(~test.same).sum()} of impostors"
    return Table(title, columns, rows)


def _auc(same: np.ndarray, likeness: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(same, likeness)) if 0 < same.sum() < len(same) else np.nan


def _gains(title: str, judged: Judged, matcher: str, fmr: float) -> Table:
    matched = Matched.of(judged.test, judged.vectors[matcher], fmr)
    rows = []
    for name, quality in judged.qualities.items():
        rates = matched.rates(quality)
        # At the lower rate a handful of pairs decides; blocks differ less than intervals are wide.
        is_told = fmr == FMRS[0] and not name.startswith("ours,")
        interval = matched.gain_interval(quality) if is_told else (None, None)
        gain = matched.gain(quality)
        rows.append((name, *rates[[0, 4, 8]], matched.ratio(quality), gain, *interval))
    best = _best_rates(matched)
    rows.append(("the best possible", *best, matched.best_ratio, 1.0, None, None))
    columns = ("quality", "FNMR", "after 20 %", "after 40 %", "area ratio", "gain", "from", "to")
    return Table(f"{title}, matcher {matcher}, FMR {fmr:g}", columns, rows)


def _best_rates(matched: Matched) -> tuple[float, ...]:
    ordered = matched.missed[np.argsort(matched.similarity)]
    return tuple(float(ordered[int(SHARES[at] * len(ordered)) :].mean()) for at in (0, 4, 8))


def _utilities(title: str, judged: Judged) -> Table:
    rows, useful = [], {}
    for matcher, vectors in judged.vectors.items():
        useful[matcher] = utility(judged.test, vectors)
    for name, quality in judged.qualities.items():
        cells: list[object] = [name]
        for of_matcher in useful.values():
            interval = (None, None)
            if name == "ours":
                interval = utility_interval(judged.test, quality, of_matcher)
            cells += [spearman(quality, of_matcher), *interval]
        rows.append(tuple(cells))
    columns = ["quality"]
    for matcher in judged.vectors:
        columns += [matcher, "from", "to"]
    return Table(f"{title}: rank correlation with the use to a matcher", columns, rows)


def _chart(judged: Judged) -> Chart:
    name = "dlib" if "dlib" in judged.vectors else "ours"
    matched = Matched.of(judged.test, judged.vectors[name], FMRS[0])
    series = [
        Series(quality, 100 * SHARES, matched.rates(values))
        for quality, values in judged.qualities.items()
        if not quality.startswith("ours,")
    ]
    title = f"(b) a quarter degraded, matcher {name}, FMR {FMRS[0]:g}"
    return Chart(title, series, y_label="FNMR", x_label="% of genuine pairs discarded")
