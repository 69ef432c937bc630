"""Leave scenes out: a network trained anew without them, and measured there."""

import sys
from collections.abc import Sequence
from pathlib import Path

from change_detect.data import Pair, find_pairs
from change_detect.job import ChangeJob, Options
from change_detect.measure.scores import Confusion
from change_detect.networks import load_network
from change_detect.training.recipe import Recipe
from vitrail.errors import UsageError
from vitrail.report import Table
from vitrail.training.loop import train

COLUMNS = ("left out", "changed", "F1", "IoU", "precision", "recall", "threshold")


def rounds_table(recipe: Recipe) -> Table:
    """A row per scene of ``data.rounds``, and all their pixels pooled, change vectors beside.

    Each training has a folder below ``runs/<name of the recipe>``; what is finished there is not
    trained again, and what was interrupted goes on.
    """
    pairs = [pair for folder in recipe.data.train for pair in find_pairs(folder)]
    vectors = ChangeJob(None, Options(method="cva"))
    totals, rows = [Confusion(0, 0, 0, 0), Confusion(0, 0, 0, 0)], []
    for number, scenes in enumerate(recipe.data.rounds, 1):
        name = "+".join(scenes)
        print(f"{number} of {len(recipe.data.rounds)}: without {name}", file=sys.stderr)
        weights = train(without(recipe, scenes), Path("runs") / recipe.name / name)
        job = ChangeJob(load_network(str(weights)), engine="eager")
        for scene in scenes:
            left_out = [pair for pair in pairs if pair.scene == scene]
            counts = [_counted(one, left_out) for one in (job, vectors)]
            totals = [total + one for total, one in zip(totals, counts, strict=True)]
            rows.append(_row(scene, counts[0], job.threshold))
    rows.append(_row("all pooled", totals[0], None))
    rows.append(_row("all pooled, change vectors", totals[1], None))
    title = f"{len(rows) - 2} scenes, none of which its network learned from"
    return Table(title, COLUMNS, rows)


def without(recipe: Recipe, scenes: Sequence[str]) -> Recipe:
    """The recipe of one round. UsageError where no other scene is named that chooses."""
    chosen = next((one for one in recipe.data.val_scenes if one not in scenes), None)
    if chosen is None:
        problem = f"names none beside {', '.join(scenes)}"
        raise UsageError("data.val_scenes", problem, "name one more")
    data = recipe.data.model_copy(
        update={"left_out": tuple(scenes), "val_scenes": (chosen,), "rounds": ()}
    )
    return recipe.model_copy(update={"data": data})


def _counted(job: ChangeJob, pairs: list[Pair]) -> Confusion:
    counts = Confusion(0, 0, 0, 0)
    for pair in pairs:
        counts += Confusion.of(job.predict(*pair.images).changed == 1, pair.changed)
    return counts


def _row(name: str, counts: Confusion, threshold: float | None) -> tuple:
    share = (counts.tp + counts.fn) / (counts.tp + counts.fp + counts.fn + counts.tn)
    figures = (counts.f1, counts.iou, counts.precision, counts.recall)
    return name, f"{share:.1%}", *figures, threshold
