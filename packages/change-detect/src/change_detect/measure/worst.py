"""The crops of a recipe's test that its network gets most wrong, as a picture:

python -m change_detect.measure.worst RECIPE PICTURE [WEIGHTS]
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from change_detect.data import Pair, find_pairs
from change_detect.job import ChangeJob
from change_detect.measure.scores import Confusion
from change_detect.networks import load_network
from change_detect.training.recipe import Recipe
from vitrail.grids import axis_starts
from vitrail.training.recipe import load_recipe

SIDE = 256  # pixels of a crop
MIN_CHANGED = 0.01  # of a crop: where next to nothing changed, F1 says nothing
PAPER, INK, GROUND = (253, 253, 252), (35, 39, 43), (225, 225, 220)
HIT, MISSED, WRONG = (60, 140, 70), (40, 90, 200), (230, 80, 0)
LEGEND = "found green, missed blue, wrong orange"
PANELS = 3
GAP, HEAD = 10, 24


class Crop(NamedTuple):
    """Two images (S, S, 3) uint8, two masks (S, S), and where they were cut."""

    name: str
    before: np.ndarray
    after: np.ndarray
    found: np.ndarray
    truth: np.ndarray

    @property
    def f1(self) -> float:
        return Confusion.of(self.found, self.truth).f1


def worst_crops(job: ChangeJob, pairs: Sequence[Pair], count: int = 3) -> list[Crop]:
    """The ``count`` crops side by side of least F1, of those where something changed; each pair is
    looked at as a whole."""
    crops = []
    for pair in pairs:
        (before, after), truth = pair.images, pair.changed
        found = job.predict(before, after).changed == 1
        for top in axis_starts(truth.shape[0], SIDE, 0):
            for left in axis_starts(truth.shape[1], SIDE, 0):
                part = (slice(top, top + SIDE), slice(left, left + SIDE))
                where = f"{pair.name}, rows from {top}, columns from {left}"
                crops.append(Crop(where, before[part], after[part], found[part], truth[part]))
    changed = [crop for crop in crops if crop.truth.mean() >= MIN_CHANGED]
    return sorted(changed, key=lambda crop: crop.f1)[:count]


def draw(crops: Sequence[Crop], path: Path) -> None:
    """A row for each: both dates, and what was found."""
    side = max(crop.truth.shape[0] for crop in crops)
    size = (PANELS * (side + GAP) + GAP, len(crops) * (side + HEAD + GAP) + GAP)
    sheet, font = Image.new("RGB", size, PAPER), ImageFont.load_default(13)
    pen = ImageDraw.Draw(sheet)
    for row, crop in enumerate(crops):
        top = row * (side + HEAD + GAP) + GAP
        title = f"{crop.name}: F1 {crop.f1:.2f}"
        for column, (panel, text) in enumerate(
            zip((crop.before, crop.after, _judged(crop)), (title, "", LEGEND), strict=True)
        ):
            left = GAP + column * (side + GAP)
            pen.text((left, top + 2), text, INK, font)
            sheet.paste(Image.fromarray(panel), (left, top + HEAD))
    sheet.save(path)


def _judged(crop: Crop) -> np.ndarray:
    panel = np.full((*crop.truth.shape, 3), GROUND, np.uint8)
    panel[crop.found & crop.truth] = HIT
    panel[~crop.found & crop.truth] = MISSED
    panel[crop.found & ~crop.truth] = WRONG
    return panel


def main() -> None:
    recipe, picture = load_recipe(sys.argv[1]), Path(sys.argv[2])
    assert isinstance(recipe, Recipe)
    job = ChangeJob(load_network(sys.argv[3] if len(sys.argv) > 3 else recipe.name))
    pairs = [pair for folder in recipe.data.test for pair in find_pairs(folder)]
    crops = worst_crops(job, pairs)
    for crop in crops:
        print(f"{crop.f1:.3f}  {crop.name}")
    draw(crops, picture)


if __name__ == "__main__":
    main()
