"""A result as files: class maps, probabilities, areas, the confusion of labels left over, a
report."""

from pathlib import Path

import numpy as np
from PIL import Image

from hsi_classify.result import Result
from hsi_classify.show.envi import write_envi
from hsi_classify.show.picture import draw_confusion, draw_map
from hsi_classify.show.report import build_report
from vitrail.report import Table

AREAS = ("id", "class", "pixels", "share", "m2")


def write(result: Result, folder: Path) -> None:
    """Fills ``folder``: ``classes.tif``, ``classes.img`` with its header, ``probability.tif``,
    ``map.png``, ``areas.csv``, ``report.html``, and with labels left over ``confusion.csv`` and
    ``confusion.png``."""
    from vitrail.raster import create_raster

    shape = result.classes.shape
    place = {"crs": result.crs, "transform": result.transform}
    names = {value: result.names[value] for value in result.ids}
    is_small = max(result.ids) < 256
    # A colour table is for one byte; larger ids keep their names alone.
    table = {0: (0, 0, 0), **{v: result.colours[v] for v in result.ids}} if is_small else None
    dtype = np.uint8 if is_small else np.uint16
    with create_raster(
        folder / "classes.tif",
        shape,
        dtype,
        nodata=0,
        colour_table=table,
        class_names=names,
        **place,
    ) as raster:
        raster.write(result.classes)
    with create_raster(
        folder / "probability.tif",
        shape,
        np.float32,
        bands=2,
        nodata=0,
        names=("probability", "margin"),
        **place,
    ) as raster:
        raster.write(np.stack([result.probability, result.margin]))
    write_envi(folder / "classes.img", result)
    Image.fromarray(draw_map(result)).save(folder / "map.png")
    (folder / "areas.csv").write_text(Table("", AREAS, result.areas).to_csv(), "utf-8")
    if result.score is not None:
        columns = [str(value) for value in result.score.classes]
        rows = [
            (name, *counts)
            for name, counts in zip(columns, result.score.confusion.tolist(), strict=True)
        ]
        table = Table("", ("true class", *columns), rows)
        (folder / "confusion.csv").write_text(table.to_csv(), "utf-8")
        Image.fromarray(draw_confusion(result)).save(folder / "confusion.png")
    build_report(result).write(folder / "report.html")
