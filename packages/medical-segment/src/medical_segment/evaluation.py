"""Networks measured on cases that training never saw, by the whole job, on the files' own grids."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medical_segment import load
from medical_segment.data import read_label
from medical_segment.files.finding import Case
from medical_segment.files.layouts import Collection, LabelledCase, split
from medical_segment.result import Result
from medical_segment.scores import count_cells, dice, overlap
from medical_segment.training import Recipe, collection_of
from vitrail.errors import UsageError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.report import Table

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
RULES = "absent in both: Dice and NSD 1, HD95 undefined; in one: Dice and NSD 0, HD95 undefined"


@dataclass(frozen=True)
class Measured:
    """One label of one case: ``values`` under ``names``; NaN where a value is undefined."""

    case: str
    label: str
    values: dict[str, float]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table]:
    """Means and single cases of the recipe's network, the bundled one unless weights are named, on
    the test cases.

    Scans: Dice with its 95 % bootstrap interval over cases, HD95 and NSD (undefined values are left
    out and counted). Images of cells: Dice of the foreground, and F1 of counted cells at IoU 0.5
    to 0.9. Networks that the recipe names under ``beside`` stand beside it.
    """
    collection = collection_of(recipe.data)
    if recipe.data.split is None:
        raise UsageError("data.split", "is needed to evaluate", "name the cases of the test")
    _, test = split(collection.cases, recipe.data.split)
    if not test:
        raise UsageError("data.split", "names no case for the test", "list some under test")
    names = [weights or recipe.name.removeprefix("medical-"), *recipe.beside]
    measured = {name: _measure(name, recipe, collection, test) for name in names}
    first = measured[names[0]]
    return [_means(measured, len(test)), _cases(f"{names[0]}, case by case", first)]


def _measure(
    name: str, recipe: Recipe, collection: Collection, cases: Sequence[LabelledCase]
) -> list[Measured]:
    # Eager: figures must not hang on what another machine's converter rounds.
    job = load(name, engine="eager", mirror=recipe.mirror)
    measure = _cells if collection.instances else _structures
    found = []
    for case in cases:
        result = job.predict(Case.of_inputs(case.name, case.images))
        truth = read_label(case.label, result.volume.shape)
        found += measure(case, result, truth, collection, recipe)
    return found


def _structures(
    case: LabelledCase, result: Result, truth: np.ndarray, collection: Collection, recipe: Recipe
) -> list[Measured]:
    """Each label but the background."""
    if collection.regions:
        assert result.regions is not None
        assert result.regions is not None
        masks = {name: np.isin(truth, numbers) for name, numbers in collection.regions.items()}
        predicted = dict(zip(collection.labels, result.regions, strict=True))
    else:
        numbered = list(enumerate(collection.labels))[1:]
        masks = {name: truth == number for number, name in numbered}
        predicted = {name: result.labels == number for number, name in numbered}
    rows = []
    for name, mask in masks.items():
        score = overlap(
            predicted[name].astype(bool),
            mask,
            result.volume.spacing,
            recipe.tolerance,
            recipe.surface,
        )
        rows.append(Measured(case.name, name, vars(score)))
    return rows


def _cells(
    case: LabelledCase, result: Result, truth: np.ndarray, collection: Collection, recipe: Recipe
) -> list[Measured]:
    """The foreground's Dice, and F1 at each threshold."""
    assert result.instances is not None
    counts = count_cells(result.instances, truth, THRESHOLDS)
    values = {"dice": dice(result.instances > 0, truth > 0)}
    values |= {f"f1@{t:g}": count.f1 for t, count in zip(THRESHOLDS, counts, strict=True)}
    values |= {"precision@0.5": counts[0].precision, "recall@0.5": counts[0].recall}
    return [Measured(case.name, "cells", values)]


def _means(measured: dict[str, list[Measured]], cases: int) -> Table:
    """A row per network and label, and one for the mean of all labels."""
    names = list(next(iter(measured.values()))[0].values)
    rows = []
    for network, found in measured.items():
        labels = list(dict.fromkeys(item.label for item in found))
        for label in labels:
            rows.append(
                _mean_row(network, label, [item for item in found if item.label == label], names)
            )
        if len(labels) > 1:
            rows.append(_mean_row(network, "mean", found, names))
    columns = ("network", "label", "dice", "from", "to", *names[1:], "undefined")
    return Table(f"{cases} test cases; {RULES}", columns, rows)


def _mean_row(network: str, label: str, found: Sequence[Measured], names: Sequence[str]) -> tuple:
    values = np.array([[item.values[name] for name in names] for item in found])
    # Cases are what was sampled, so the interval is over them and not over labels.
    by_case = [
        np.mean([i.values["dice"] for i in found if i.case == case])
        for case in {i.case for i in found}
    ]
    low, high = bootstrap_interval(np.mean, np.array(sorted(by_case)))
    means = [_mean(column) for column in values.T]
    return network, label, means[0], low, high, *means[1:], int(np.isnan(values).any(1).sum())


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _cases(title: str, found: Sequence[Measured]) -> Table:
    names = list(found[0].values)
    rows = [(item.case, item.label, *(item.values[name] for name in names)) for item in found]
    return Table(title, ("case", "label", *names), rows)
