"""The network measured on scenes that neither training nor any choice ever saw, beside the
baselines."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from change_detect.data import Pair, find_pairs
from change_detect.job import ChangeJob, Options
from change_detect.measure.calm import calm_table
from change_detect.measure.medium import medium_table
from change_detect.measure.rounds import rounds_table
from change_detect.measure.scores import BINS, Confusion, Curve, object_counts
from change_detect.measure.yardstick import YARDSTICK, yardstick_network
from change_detect.networks import load_network
from change_detect.result import Result
from change_detect.training.recipe import Recipe
from vitrail.errors import UsageError
from vitrail.report import Chart, Table
from vitrail.report.chart import Series

COLUMNS = ("method", "F1", "IoU", "precision", "recall", "accuracy", "kappa", "objects F1")
RUN_WEIGHTS = "runs/unet/weights.safetensors"  # where its training leaves them
SMALL = "change vectors on 5x5 means"

Predict = Callable[[np.ndarray, np.ndarray], Result]


def evaluate(recipe: Recipe, weights: str | None = None) -> list[Table | Chart]:
    """Tables of the recipe's network on its test folders, by the whole job: the bundled one unless
    weights are named.

    Of the yardstick's recipe: the weights that its training left. Per folder all methods, pooled
    over pixels; per scene the network; the curve over thresholds; how much of an unchanged pair is
    called changed; and a scene of 30 m where the recipe names one.
    A recipe with ``data.rounds`` is that table alone (``measure.rounds``), for which it trains.
    UsageError for a recipe without a test.
    """
    if recipe.data.rounds:
        return [rounds_table(recipe)]
    if not recipe.data.test:
        raise UsageError("data.test", "names no folder", "give one that training never sees")
    if recipe.model.architecture == YARDSTICK:
        job = ChangeJob(yardstick_network(Path(weights or RUN_WEIGHTS)))
    else:
        job = ChangeJob(load_network(weights or recipe.name))
    methods: dict[str, Predict] = {weights or recipe.name: job.predict}
    vectors = ChangeJob(None, Options(method="cva"))
    methods["change vectors, Otsu"] = vectors.predict
    methods[SMALL] = lambda before, after: vectors.predict(_blurred(before), _blurred(after))
    parts: list[Table | Chart] = []
    curve, scenes = Curve(), []
    for folder in recipe.data.test:
        pairs, rows = find_pairs(folder), []
        for number, (name, predict) in enumerate(methods.items()):
            pixels, objects = Confusion(0, 0, 0, 0), Confusion(0, 0, 0, 0)
            for pair in pairs:
                result = predict(*pair.images)
                found = result.changed == 1
                one = Confusion.of(found, pair.changed)
                pixels, objects = pixels + one, objects + object_counts(found, pair.changed)
                if not number:
                    curve.add(result.probability, pair.changed)
                    scenes.append(_row(f"{folder.parent.name}/{pair.name}", one))
            rows.append((*_row(name, pixels), objects.f1))
        title = f"{folder.parent.name}/{folder.name}: {_counted(pairs)}"
        parts.append(Table(title, COLUMNS, rows))
    parts.append(Table("The network, scene by scene", COLUMNS[:-1], scenes))
    parts.append(_chart(curve, job.threshold or 0.5))
    whole = find_pairs(recipe.data.test[0])[0].images[0]
    parts.append(calm_table(whole, {name: methods[name] for name in list(methods)[:2]}))
    if recipe.data.medium:
        parts.append(medium_table(recipe.data.medium))
    return parts


def _row(name: str, counts: Confusion) -> tuple:
    return name, *counts.to_dict().values()


def _counted(pairs: Sequence[Pair]) -> str:
    changed = sum(int(pair.changed.sum()) for pair in pairs)
    share = changed / sum(pair.changed.size for pair in pairs)
    return f"{len(pairs)} pair{'s' * (len(pairs) != 1)}, {share:.1%} changed"


def _blurred(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    channels = [uniform_filter(image[..., n].astype(np.float32), 5) for n in range(image.shape[2])]
    return np.stack(channels, axis=-1)


def _chart(curve: Curve, threshold: float) -> Chart:
    """F1, precision and recall over the threshold; the chosen one was found on other scenes."""
    numbers = range(2, BINS - 1, 2)
    counts = [curve.at(number) for number in numbers]
    xs = [number / BINS for number in numbers]
    lines = [
        Series(name, xs, [getattr(one, name) for one in counts])
        for name in ("f1", "precision", "recall")
    ]
    title = f"All test pixels over the threshold (chosen: {threshold:.2f})"
    return Chart(title, lines, x_label="threshold", y_range=(0, 1))
