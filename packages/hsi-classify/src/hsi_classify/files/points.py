"""Labels as points in a table: row and column, or x and y in a coordinate system."""

import csv
import io
from pathlib import Path

import numpy as np

from hsi_classify.files.cube import Cube
from hsi_classify.scene.labels import Labels
from vitrail.errors import InputError, plain

ROW, COLUMN = ("row", "line"), ("column", "col", "sample")
X, Y = ("x", "lon", "longitude", "easting"), ("y", "lat", "latitude", "northing")
CLASS, CRS = ("class", "label", "id", "class_id"), ("crs", "epsg")
MAX_BYTES = 200_000_000
EXPECTED = "name the columns row,column,class or x,y,class (and crs)"


def read_points(path: Path, cube: Cube) -> Labels:
    """A CSV with a header: ``row`` and ``column`` count from 0 at the upper left; ``x`` and ``y``
    are in the cube's coordinate system, or in that of a column ``crs``. ``class`` is a number or a
    name. InputError names the line of what is wrong."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(path, "is too long for a table of points", "give a raster of labels")
    first_line, *points = _rows(path)
    head = [cell.strip().lower() for cell in first_line[1]]
    classes, crs = _place(head, CLASS), _place(head, CRS)
    pixel = _place(head, ROW), _place(head, COLUMN)
    ground = _place(head, X), _place(head, Y)
    if classes is None or (None in pixel and None in ground):
        raise InputError(path, f"has the columns {', '.join(head)[:60]}", EXPECTED)
    texts = [_cell(path, line, classes, n) for n, line in points]
    ids, names = numbered(texts)
    if (ids <= 0).any():
        number = points[int(np.flatnonzero(ids <= 0)[0])][0]
        problem = f"has the class {ids.min()} in line {number}"
        raise InputError(path, problem, "number classes from 1, or name them")
    first, second = pixel if None not in pixel else ground
    pairs = np.array(
        [[_number(path, line, column, n) for column in (first, second)] for n, line in points]
    ).reshape(-1, 2)
    numbers = [n for n, _ in points]
    if None not in pixel:
        note = "rows and columns of the points are counted from 0"
        return Labels(_painted(path, cube, pairs, ids, numbers), names, notes=(note,))
    systems = {_cell(path, line, crs, n) for n, line in points} if crs is not None else {""}
    places = _placed(path, cube, pairs, systems)
    note = "the points name no coordinate system: taken for that of the cube"
    painted = _painted(path, cube, places, ids, numbers)
    return Labels(painted, names, notes=() if crs is not None else (note,))


def numbered(texts: list[str]) -> tuple[np.ndarray, dict[int, str]]:
    """Class numbers (N,), and the names where the texts are none: then numbered in alphabetical
    order from 1."""
    try:
        values = [float(text) for text in texts]
        if all(value == int(value) and value <= 65535 for value in values):
            return np.array(values, np.int64), {}
    except (ValueError, OverflowError):
        pass
    known = {name: number for number, name in enumerate(sorted(set(texts)), 1)}
    return np.array([known[text] for text in texts]), {n: name for name, n in known.items()}


def _placed(path: Path, cube: Cube, pairs: np.ndarray, systems: set[str]) -> np.ndarray:
    """x and y -> row and column."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError
    from rasterio.warp import transform

    if cube.transform is None:
        problem = "gives places on the ground, and the cube has none"
        raise InputError(path, problem, "give row and column")
    if len(systems) > 1:
        raise InputError(path, f"has {len(systems)} coordinate systems", "use one")
    x, y, text = pairs[:, 0], pairs[:, 1], systems.pop()
    if text:
        try:
            given = CRS.from_user_input(int(text) if text.isdigit() else text)
        except CRSError:
            raise InputError(
                path, f"has the unknown system {text[:30]}", "use EPSG:4326 or such"
            ) from None
        if cube.crs is None:
            raise InputError(path, "has a coordinate system and the cube none", "leave it out")
        with plain(path, f"holds places that are none in {text[:30]}", "correct crs"):
            x, y = (np.array(part) for part in transform(given, cube.crs, x, y)[:2])
    columns, rows = ~cube.transform @ (x, y)
    return np.floor(np.stack([rows, columns], 1))


def _painted(
    path: Path, cube: Cube, places: np.ndarray, ids: np.ndarray, lines: list[int]
) -> np.ndarray:
    if len(places) and (places != np.floor(places)).any():
        raise InputError(path, "has fractions for rows or columns", "count whole pixels from 0")
    inside = (places >= 0).all(1) & (places < cube.size).all(1)
    if not inside.all():
        line = lines[int(np.flatnonzero(~inside)[0])]
        swapped = (places[:, ::-1] >= 0).all() and (places[:, ::-1] < cube.size).all()
        problem = f"line {line} lies outside the {cube.size[0]} x {cube.size[1]} scene"
        remedy = "its two columns seem swapped" if swapped else "check rows, columns and crs"
        raise InputError(path, problem, remedy)
    rows, columns = places.astype(np.int64).T
    painted = np.zeros(cube.size, np.int32)
    painted[rows, columns] = ids
    if (clash := painted[rows, columns] != ids).any():
        problem = f"line {lines[int(np.flatnonzero(clash)[0])]} labels a pixel a second time"
        raise InputError(path, f"{problem}, otherwise", "keep one label of it")
    return painted


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, each with its number in the file."""
    try:
        text = path.read_text("utf-8-sig")
        dialect = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text), delimiter=dialect)
        lines = [(reader.line_num, row) for row in reader if any(row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, "is no table of points", EXPECTED) from error
    if len(lines) < 2:
        raise InputError(path, "holds no point", EXPECTED)
    return lines


def _place(head: list[str], names: tuple[str, ...]) -> int | None:
    return next((head.index(name) for name in names if name in head), None)


def _cell(path: Path, line: list[str], column: int, number: int) -> str:
    text = line[column].strip() if column < len(line) else ""
    if not text:
        raise InputError(path, f"has an empty cell in line {number}", "fill it or leave it out")
    return text


def _number(path: Path, line: list[str], column: int | None, number: int) -> float:
    assert column is not None
    text = _cell(path, line, column, number)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InputError(path, f"has {text[:20]!r} for a number in line {number}", "correct it")
    return value
