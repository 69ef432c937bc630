"""World files: six numbers beside an image that say where it lies, though not in which system."""

from pathlib import Path
from typing import Any

import numpy as np

from vitrail.companions import world_file
from vitrail.raster import Raster

HOLD_A_PLACE = ("GTiff", "JP2OpenJPEG")  # formats that may, without a reference system too
MAX_BYTES = 1000  # six numbers and what may be said behind them


def place(raster: Raster) -> str | None:
    """Gives a raster without a place the transform of the world file beside it; a sentence on what
    was read, or why it was left out; None where there is no such file or the raster has a place."""
    path, driver = world_file(raster.path), raster.dataset.driver
    # Of the others GDAL reads the world file for some, though it was told to look for none.
    stored = driver in HOLD_A_PLACE and not raster.transform.is_identity
    if path is None or stored or raster.crs is not None:
        return None
    transform = _read(path, type(raster.transform))
    if transform is None:
        raster.transform = type(raster.transform).identity()
        return f"{path.name} is left out: it does not hold the six numbers of a world file"
    raster.transform = transform
    return f"{raster.path.name} lies where {path.name} says"


def _read(path: Path, affine: Any) -> Any:
    """The file counts from the centre of the first pixel, a transform from its corner."""
    with path.open("rb") as file:
        words = file.read(MAX_BYTES).decode("utf-8", "replace").split()
    try:
        a, d, b, e, x, y = (float(word.replace(",", ".")) for word in words)
    except ValueError:
        return None
    transform = affine(a, b, x, d, e, y) * affine.translation(-0.5, -0.5)
    return transform if np.isfinite(transform).all() and transform.determinant else None
