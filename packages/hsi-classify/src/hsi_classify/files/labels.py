"""Labels in every form that people have them: rasters, arrays, points, polygons."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.files import envi
from hsi_classify.files.cube import Cube
from hsi_classify.files.opening import HDF5, MATLAB, NUMPY, read_npy
from hsi_classify.scene.labels import Colour, Labels
from vitrail.errors import InputError
from vitrail.sources import require_file

SQLITE = b"SQLite format 3\0"
GIVE = "give a raster, .mat, .npy, CSV points, GeoPackage or GeoJSON"
MAX_ID = 65535
MAX_SHIFT = 0.5  # pixels that a corner of the labels may lie beside the cube's


def read_labels(path: Path, cube: Cube, variable: str | None = None) -> Labels:
    """The labels of ``cube`` in a file, by its content. Raises InputError for another size, for
    what is outside the scene, and for a file that holds no labels."""
    path = Path(path)
    start = require_file(path).open("rb").read(1024)
    if header := envi.header_of(path):
        labels = _from_envi(path, header, cube)
    elif start.startswith((MATLAB, HDF5)):
        labels = _from_mat(path, cube, variable)
    elif start.startswith(NUMPY):
        labels = Labels(fitted_ids(path, read_npy(path), cube.size))
    elif _is_vector(start):
        from hsi_classify.files.vectors import read_vectors

        labels = read_vectors(path, cube, variable)
    elif _is_text(start):
        from hsi_classify.files.points import read_points

        labels = read_points(path, cube)
    else:
        labels = _from_raster(path, cube)
    if not labels.classes:
        raise InputError(path, "labels no pixel of this scene", "label some")
    return labels


def label_size(path: Path) -> tuple[int, int] | None:
    """Rows and columns that a file of labels has by itself; None for points and polygons, and where
    its reader will refuse it."""
    start = require_file(Path(path)).open("rb").read(1024)
    if header := envi.header_of(Path(path)):
        return envi.open_envi(Path(path), header).size
    if start.startswith(NUMPY):
        array = read_npy(path)
        return (array.shape[0], array.shape[1]) if array.ndim == 2 else None
    if start.startswith((MATLAB, HDF5)):
        from hsi_classify.files.mat import read_variables

        arrays = read_variables(path).arrays.values()
        shapes = {a.shape for a in arrays if a.ndim == 2 and min(a.shape) > 1}
        return shapes.pop() if len(shapes) == 1 else None
    if _is_vector(start) or _is_text(start):
        return None
    from vitrail.raster import Raster

    try:
        with Raster(path) as raster:
            return raster.shape
    except InputError:
        return None


def _from_mat(path: Path, cube: Cube, variable: str | None) -> Labels:
    from hsi_classify.files.mat import read_variables

    found = read_variables(path)
    arrays = {k: v for k, v in found.arrays.items() if v.ndim == 2 and min(v.shape) > 1}
    if variable:
        if variable not in arrays:
            raise InputError(path, f"has no matrix {variable}", f"it has {found.told()}")
        return Labels(fitted_ids(path, arrays[variable], cube.size))
    if not arrays:
        problem = f"holds no label map, but {found.told()}"
        raise InputError(path, problem, "give a matrix of class numbers")
    fitting = {k: v for k, v in arrays.items() if v.shape == cube.size}
    if len(fitting) > 1:
        raise InputError(path, f"holds several: {', '.join(fitting)}"[:90], "name one with --field")
    name, array = next(iter((fitting or arrays).items()))
    return Labels(
        fitted_ids(path, array, cube.size), notes=(f"the labels are the variable {name}",)
    )


def _from_raster(path: Path, cube: Cube) -> Labels:
    from vitrail.raster import Raster

    with Raster(path) as raster:
        found = raster.read()
        place = None if raster.transform.is_identity else raster.transform
        _check_place(path, raster.shape, raster.crs, place, cube)
        names = {k: v for k, v in raster.class_names.items() if k}
        colours = {k: (v[0], v[1], v[2]) for k, v in raster.colour_table.items() if k}
    if found.shape[0] != 1:
        raise InputError(path, f"has {found.shape[0]} bands", "give one band of class numbers")
    known = np.where(np.ma.getmaskarray(found)[0], 0, found.data[0])
    return _present(fitted_ids(path, known, cube.size), names, colours)


def _from_envi(path: Path, header: Path, cube: Cube) -> Labels:
    """By our own reader, which compares sizes: GDAL gives zeros for what a file is short of."""
    found = envi.open_envi(path, header)
    if found.shape[2] != 1:
        raise InputError(path, f"has {found.shape[2]} bands", "give one band of class numbers")
    _check_place(path, found.size, found.crs, found.transform, cube)
    values = found.read(slice(0, found.shape[0]))[:, :, 0]
    if found.nodata is not None:
        values = np.where(values == found.nodata, 0, values)
    names, colours = envi.classes_of(header)
    labels = _present(fitted_ids(path, values, cube.size), names, colours)
    return replace(labels, notes=(*found.damage, *found.notes))


def _present(ids: np.ndarray, names: Mapping[int, str], colours: Mapping[int, Colour]) -> Labels:
    """With the names and colours of those classes alone that are there."""
    there = set(np.unique(ids).tolist())
    return Labels(
        ids,
        {value: name for value, name in names.items() if value in there},
        {value: colour for value, colour in colours.items() if value in there},
    )


def _check_place(path: Path, size: tuple[int, int], crs: Any, place: Any, cube: Cube) -> None:
    """InputError where labels and cube both say where they lie and it is not the same place."""
    if place is None or cube.transform is None or size != cube.size:
        return
    if crs and cube.crs and crs != cube.crs:
        raise InputError(path, "has another coordinate system than the cube", "warp it to the cube")
    rows, columns = cube.size
    corners = np.array([(0, 0), (columns, rows)]).T
    theirs = np.array(~cube.transform @ (place @ tuple(corners)))
    if np.abs(theirs - corners).max() > MAX_SHIFT:
        raise InputError(path, "lies elsewhere than the cube", "warp it to the cube's grid")


def fitted_ids(subject: object, array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class ids (rows, columns) int32; InputError for another size or for what is no class."""
    if array.ndim != 2 or array.shape != size:
        have = " x ".join(map(str, array.shape))
        problem = f"has {have} labels, and the cube {size[0]} x {size[1]} pixels"
        raise InputError(subject, problem, "give the labels of this cube")
    values = np.where(np.isfinite(array), array, 0) if array.dtype.kind == "f" else array
    ids = values.astype(np.int64)
    if (ids != values).any() or ids.min() < 0 or ids.max() > MAX_ID:
        problem = "holds numbers that are no class (0 to 65535)"
        raise InputError(subject, problem, "give whole numbers, 0 for unlabelled pixels")
    return ids.astype(np.int32)


def _is_vector(start: bytes) -> bool:
    return start.startswith(SQLITE) or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _is_text(start: bytes) -> bool:
    try:
        start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # cut within a character
    return b"\0" not in start
