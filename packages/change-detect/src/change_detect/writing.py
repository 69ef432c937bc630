"""A result as files: maps, polygons, a quick look, a page to look through, a style."""

from importlib.resources import files
from pathlib import Path

import numpy as np

from change_detect.polygons import Outline, outlines, write_geojson, write_geopackage
from change_detect.result import Result
from change_detect.scene.spool import Spool
from change_detect.show.map import write_map_page
from change_detect.show.quick_look import draw
from vitrail.raster import create_raster

MASK, PROBABILITY = "change.tif", "probability.tif"
COLOURS = {0: (236, 236, 230, 255), 1: (213, 62, 0, 255), 255: (0, 0, 0, 0)}
CLASSES = {0: "unchanged", 1: "changed", 255: "no data"}
LEVELS = "probability of change: 0 to 200 mean 0 to 1"


def write(result: Result, folder: Path) -> None:
    """Fills ``folder``, which appears whole or not at all."""
    write_map(folder / MASK, result.mask, result, colour_table=COLOURS, class_names=CLASSES)
    levels = result.probabilities.dtype == np.uint8
    names = [LEVELS if levels else "probability of change"]
    write_map(folder / PROBABILITY, result.probabilities, result, names=names)
    found = outlines(result)
    write_polygons(folder, found, result)
    draw(result, folder / "overview.png")
    write_map_page(result, found, folder / "map.html")
    style = files("change_detect.show").joinpath("change.qml").read_text("utf-8")
    (folder / "changes.qml").write_text(style)


def write_polygons(folder: Path, found: list[Outline], result: Result) -> None:
    if result.place.crs is None or result.place.gsd is not None:
        write_geojson(folder / "changes.geojson", found, result.place)
    write_geopackage(folder / "changes.gpkg", found, result.place)


def write_map(path: Path, spool: Spool, result: Result, **options: object) -> None:
    """One band on the grid of the first date, strip by strip."""
    place = result.place
    nodata = 255 if spool.dtype == np.uint8 else np.nan
    where = {"crs": place.crs, "transform": place.transform, "nodata": nodata}
    with create_raster(path, spool.shape, spool.dtype, **where, **options) as writer:  # pyright: ignore
        for _, strip in spool.strips():
            writer.write(strip)
