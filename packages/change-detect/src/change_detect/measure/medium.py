"""A scene of 30 m with labels of a part of it: change vectors beside reweighted variates."""

from pathlib import Path

import numpy as np
from PIL import Image

from change_detect.job import ChangeJob, Options
from change_detect.measure.scores import Confusion
from vitrail.report import Table
from vitrail.runner import solve
from vitrail.sources import Source

NAMES = {"cva": "change vectors, Otsu", "irmad": "iteratively reweighted MAD"}
COLUMNS = ("method", "F1", "IoU", "precision", "recall", "accuracy", "kappa")


def medium_table(folder: Path) -> Table:
    """``folder`` holds two ENVI files and the images ``change.bmp`` and ``unchanged.bmp``; pixels
    in neither are not counted."""
    changed, unchanged = (_marked(folder / f"{name}.bmp") for name in ("change", "unchanged"))
    dates = tuple(sorted(path for path in folder.iterdir() if not path.suffix))
    rows = []
    for method, name in NAMES.items():
        job = ChangeJob(None, Options(method=method))
        result = solve(job.networks, job.process(Source(folder.name, dates)))
        counts = Confusion.of(result.changed == 1, changed, changed | unchanged)
        rows.append((name, *counts.to_dict().values()))
    title = f"{folder.name}: {int(changed.sum())} changed and {int(unchanged.sum())} other pixels"
    return Table(title, COLUMNS, rows)


def _marked(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L")) > 127
