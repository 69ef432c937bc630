"""The cube in a file, by its content."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.files import envi
from hsi_classify.files.cube import Cube, Layout, in_nanometres
from hsi_classify.files.mat import Variables, read_variables
from vitrail.errors import InputError, plain
from vitrail.sources import require_file

MIN_BANDS = 2
MAX_BANDS = 4096
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MATLAB, HDF5, NUMPY = b"MATLAB 5.0", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY"
GIVE = "give ENVI (.hdr), GeoTIFF, .mat or .npy"


def open_cube(path: Path, layout: Layout = Layout()) -> Cube:
    """The cube in a file, by its content: ENVI (header or data file), GeoTIFF, MATLAB, NumPy.

    Raises InputError for what is none of these, is damaged or cut short, or leaves open which
    array is the cube.
    """
    path = Path(path)
    if header := envi.header_of(path):
        return _checked(envi.open_envi(path, header))
    start = require_file(path).open("rb").read(128)
    if start.startswith(TIFF):
        return _checked(_from_raster(path))
    if start.startswith(NUMPY):
        return _checked(_from_array(path, read_npy(path), layout))
    if start.startswith(MATLAB) or HDF5 in (start[:8], *_user_blocks(path)):
        return _checked(_from_array(path, *_choose(path, read_variables(path), layout)))
    raise InputError(path, "is no cube that can be read", GIVE)


def _checked(cube: Cube) -> Cube:
    rows, columns, bands = cube.shape
    if not MIN_BANDS <= bands <= MAX_BANDS or min(rows, columns) < 1:
        problem = f"has {rows} x {columns} pixels and {bands} bands"
        raise InputError(cube.name, problem, "give a hyperspectral cube")
    return cube


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, mapped into memory. InputError for objects, and for a file that is
    shorter than its header says."""
    problem = "is damaged, shorter than its header says, or holds objects"
    with plain(path, problem, "save it again with numpy.save"):
        array = np.load(path, mmap_mode="r")
    return _numbers(path, array)


def _numbers(path: Path, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "uifb":
        raise InputError(path, f"holds {array.dtype}, no real numbers", "give reflectances")
    return array


def _user_blocks(path: Path) -> tuple[bytes, ...]:
    """Where a MATLAB 7.3 file, which begins with a block of its own, has HDF5's signature."""
    with path.open("rb") as file:
        file.seek(512)
        return (file.read(8),)


def _choose(path: Path, variables: Variables, layout: Layout) -> tuple[np.ndarray, Layout, str]:
    """The array that is the cube, by its shape; a matrix of bands x pixels takes the file's own
    counts of rows and columns where it has them."""
    arrays = variables.arrays
    if layout.variable:
        if layout.variable not in arrays:
            problem = f"has no array {layout.variable}"
            raise InputError(path, problem, f"it has {variables.told()}")
        return arrays[layout.variable], _with_counts(layout, arrays), layout.variable
    found = {k: v for k, v in arrays.items() if v.ndim == 3 and v.shape[-1] > 4 and v.shape[0] > 4}
    if not found:
        found = {k: v for k, v in arrays.items() if v.ndim == 3}
    if not found:
        found = {k: v for k, v in arrays.items() if v.ndim == 2 and min(v.shape) >= MIN_BANDS}
    if layout.count and len(found) > 1:
        fitting = {k: v for k, v in found.items() if layout.count in v.shape}
        found = fitting or found
    if not found:
        raise InputError(path, f"holds no cube, but {variables.told()}", GIVE)
    if len(found) > 1:
        listed = ", ".join(f"{k} {'x'.join(map(str, v.shape))}" for k, v in found.items())[:60]
        raise InputError(path, f"holds several: {listed}", "choose with --variable")
    name, array = next(iter(found.items()))
    return array, _with_counts(layout, arrays), name


def _with_counts(layout: Layout, arrays: Mapping[str, np.ndarray]) -> Layout:
    """The file's own numbers of rows and columns, for a matrix that needs them."""
    if layout.shape:
        return layout
    single = {k.lower(): int(v.flat[0]) for k, v in arrays.items() if v.size == 1}
    for names in (("nrow", "ncol"), ("rows", "cols"), ("rows", "columns"), ("h", "w")):
        if names[0] in single and names[1] in single:
            return replace(layout, shape=(single[names[0]], single[names[1]]))
    return layout


def _from_array(path: Path, array: np.ndarray, layout: Layout, name: str = "") -> Cube:
    notes = [f"the cube is the variable {name}"] if name and not layout.variable else []
    cube = arrange(path, array, layout, notes)

    def read(rows: slice) -> np.ndarray:
        if not isinstance(array, np.memmap):
            return np.asarray(cube[rows])
        # Mapped anew each time, so that what was read leaves the memory again.
        return np.array(arrange(path, read_npy(path), layout, [])[rows])

    return Cube(str(path), cube.shape, read, notes=tuple(notes))


def arrange(subject: object, array: np.ndarray, layout: Layout, notes: list[str]) -> np.ndarray:
    """An array as (rows, columns, bands), a view; what was guessed is added to ``notes``."""
    if array.ndim == 2:
        return _from_matrix(subject, array, layout, notes)
    if array.ndim != 3:
        problem = f"has {array.ndim} axes {array.shape}"
        raise InputError(subject, problem, "give rows x columns x bands")
    first, last = np.moveaxis(array, 0, -1), array
    if layout.bands:
        return first if layout.bands == "first" else last
    fits_first = layout.size == array.shape[1:] or layout.count == array.shape[0]
    fits_last = layout.size == array.shape[:2] or layout.count == array.shape[2]
    if layout.size and not (fits_first or fits_last):
        return last  # whose size the labels contradict, as will be said
    if fits_first and not fits_last:
        why = "the labels' size" if layout.size else "the number of bands"
        notes.append(f"the bands are the first axis of {array.shape}, by {why}")
        return first
    if fits_first == fits_last:
        notes.append(f"the last axis of {array.shape} is taken for the bands: see --bands")
    return last


def _from_matrix(
    subject: object, array: np.ndarray, layout: Layout, notes: list[str]
) -> np.ndarray:
    """Bands x pixels, the pixels column by column as MATLAB counts them; or pixels x bands."""
    shape = layout.shape or layout.size
    if shape is None:
        problem = f"is a matrix {array.shape[0]} x {array.shape[1]}"
        raise InputError(subject, problem, "say its rows and columns with --shape ROWS,COLUMNS")
    pixels = shape[0] * shape[1]
    if array.shape[1] != pixels and array.shape[0] == pixels:
        array = array.T
    if array.shape[1] != pixels:
        problem = (
            f"is a matrix {array.shape[0]} x {array.shape[1]}, no {shape[0]} x {shape[1]} pixels"
        )
        raise InputError(subject, problem, "correct --shape ROWS,COLUMNS")
    notes.append(f"a matrix of bands x pixels, counted by columns of {shape[0]} rows")
    if layout.shape is None:
        notes[-1] += ", by the labels' size"
    # Column-major: the row runs fastest.
    return array.reshape(array.shape[0], shape[1], shape[0]).transpose(2, 1, 0)


def _from_raster(path: Path) -> Cube:
    from vitrail.raster import Raster, count_pages

    raster = Raster(path)
    rows, columns = raster.shape
    notes: list[str] = []
    with plain(path, "is damaged in what it says of its bands"):
        if (pages := count_pages(path)) > 1:
            notes.append(f"the cube is the first of {pages} pages of the file")
        if raster.alpha is not None:
            notes.append(f"band {raster.alpha} is taken for a mask (alpha), no band of light")
        if len(set(raster.dataset.scales)) > 1 or len(set(raster.dataset.offsets)) > 1:
            notes.append("the bands' own scales and offsets are not applied")
        waves = _raster_wavelengths(raster, notes)

    def read(part: slice) -> np.ndarray:
        start, stop, _ = part.indices(rows)
        found = raster.read((slice(start, stop), slice(0, columns)))
        pixels, mask = found.data, np.ma.getmaskarray(found)
        if mask.any():  # by the ignore value, by alpha or by the file's own mask
            pixels = np.where(mask, np.nan, pixels.astype(np.float32))
        return np.moveaxis(pixels, 0, -1)

    return Cube(
        str(path),
        (rows, columns, raster.bands),
        read,
        waves,
        nodata=raster.nodata,
        crs=raster.crs,
        transform=None if raster.transform.is_identity else raster.transform,
        notes=tuple(notes),
    )


def _raster_wavelengths(raster: Any, notes: list[str]) -> tuple[float, ...] | None:
    """From the bands' tags as GDAL keeps ENVI's, or their names (``842.0 nm``); all bands must have
    one."""
    found, unit = [], ""
    for number, name in zip(raster.indexes, raster.names, strict=True):
        tags = {key.lower(): value for key, value in raster.dataset.tags(number).items()}
        text = tags.get("wavelength") or name
        match = re.search(r"\d+(\.\d+)?", text or "")
        spoken = re.search(r"(?i)nm|nano|mic|um", text or "")
        if not match or not (tags.get("wavelength") or spoken):
            break
        unit = tags.get("wavelength_units") or (spoken[0] if spoken else "")
        found.append(float(match[0]))
    if not found:
        return None
    if len(found) < raster.bands:
        notes.append(f"only {len(found)} of {raster.bands} bands have a wavelength: not used")
        return None
    return in_nanometres(found, unit, notes)
