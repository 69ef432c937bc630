"""A class map as an ENVI classification."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from hsi_classify.result import Result
from vitrail.errors import one_line

DATA_TYPES = {"uint8": 1, "uint16": 12}
MAX_NAME = 60


def write_envi(path: Path, result: Result) -> None:
    """``path`` with the numbers, and ``.hdr`` beside it. ENVI counts classes from 0 on, so that
    ids with gaps have empty names between them."""
    dtype = np.uint8 if max(result.ids) < 256 else np.dtype("<u2")
    values = result.classes.astype(dtype)
    values.tofile(path)
    count = max(result.ids) + 1
    names = ["unclassified"] + [_plain(result.names.get(n, "")) for n in range(1, count)]
    tones = [result.colours.get(n, (0, 0, 0)) if n else (0, 0, 0) for n in range(count)]
    rows, columns = values.shape
    lines = [
        "ENVI",
        "description = {Classes of a hyperspectral scene}",
        f"samples = {columns}",
        f"lines = {rows}",
        "bands = 1",
        "header offset = 0",
        "file type = ENVI Classification",
        f"data type = {DATA_TYPES[values.dtype.name]}",
        "interleave = bsq",
        "byte order = 0",
        f"classes = {count}",
        f"class names = {{{', '.join(names)}}}",
        f"class lookup = {{{', '.join(str(part) for tone in tones for part in tone)}}}",
        "data ignore value = 0",
        *_place(result),
    ]
    path.with_suffix(".hdr").write_text("\n".join(lines) + "\n", "utf-8")


def tilt(place: Any) -> tuple[float, float, float] | None:
    """Width and height of a pixel, and the degrees by which the grid is turned, as ``map info``
    tells them; None for a grid that is sheared or mirrored, of which it can tell nothing."""
    width, height = math.hypot(place.a, place.d), math.hypot(place.b, place.e)
    angle = math.atan2(place.d, place.a)
    wanted = height * math.sin(angle), -height * math.cos(angle)
    if not np.allclose((place.b, place.e), wanted, rtol=0, atol=1e-6 * height):
        return None
    return width, height, math.degrees(angle)


def _place(result: Result) -> list[str]:
    """``map info``, and the coordinate system's own words."""
    place = result.transform
    if place is None or (turned := tilt(place)) is None:
        return []
    epsg = result.crs.to_epsg() if result.crs else None
    kind, more = "Arbitrary", ""
    if epsg and 32601 <= epsg <= 32660:
        kind, more = "UTM", f", {epsg - 32600}, North, WGS-84"
    elif epsg and 32701 <= epsg <= 32760:
        kind, more = "UTM", f", {epsg - 32700}, South, WGS-84"
    elif result.crs and result.crs.is_geographic:
        kind, more = "Geographic Lat/Lon", ", WGS-84"
    width, height, angle = turned
    if angle:
        more += f", rotation={angle!r}"
    info = f"{kind}, 1, 1, {place.c!r}, {place.f!r}, {width!r}, {height!r}{more}"
    lines = [f"map info = {{{info}}}"]
    if result.crs:
        lines.append(f"coordinate system string = {{{result.crs.to_wkt(version='WKT1_ESRI')}}}")
    return lines


def _plain(name: str) -> str:
    return one_line(name, MAX_NAME).translate(str.maketrans("{},", "();")) or "-"
