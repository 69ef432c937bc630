"""What changed as one HTML file: both dates under each other behind a slider, the outlines over
them, a list to go through."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np

from change_detect.polygons import Outline, in_degrees
from change_detect.result import Place, Result, area_text
from vitrail.report.markup import escape
from vitrail.report.page import Page, data_uri

MAX_OUTLINES = 2000  # the largest ones
MAX_POINTS = 200  # of an outline
CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1))  # across and down, as shares of the scene


def write_map_page(result: Result, found: list[Outline], path: Path) -> None:
    """Writes the page: nothing in it is fetched from elsewhere."""
    shown = sorted(found, key=lambda one: one.pixels, reverse=True)[:MAX_OUTLINES]
    page = Page(f"What changed: {result.names[0]}, {result.names[1]}")
    known = result.areas and area_text(result.areas["changed"])
    page.facts(
        {
            "changed": f"{result.share:.2%}" + (f", {known}" if known else ""),
            "objects": len(found),
            "method": result.method,
            "threshold": f"{result.threshold:.3g}",
        }
    )
    for sentence in (*result.damage, *result.reasons):
        page.text(sentence)
    if len(shown) < len(found):
        page.text(f"The {len(shown)} largest of {len(found)} objects are on the map.")
    page.markup(_stage(result, shown))
    page.script(files("change_detect.show").joinpath("map.js").read_text("utf-8"))
    page.write(path)


def _stage(result: Result, shown: list[Outline]) -> str:
    """The pictures, the outlines in pixels of the scene, and what the script has to know."""
    rows, columns = result.mask.shape
    shapes = "".join(
        f'<path data-id="{one.id}" d="{_path(one, result.place)}" fill="none" stroke="#e65000"'
        ' vector-effect="non-scaling-stroke" pointer-events="all">'
        f"<title>{escape(_told(one))}</title></path>"
        for one in shown
    )
    lines = "".join(
        f'<tr data-id="{one.id}" tabindex="0"><td>{one.id}</td><td>{escape(_size(one))}</td>'
        f"<td>{one.mean_probability:.2f}</td></tr>"
        for one in shown
    )
    first, second = (data_uri(picture) for picture in result.pictures)
    facts = escape(json.dumps({"corners": _corners(result), "size": [columns, rows]}))
    return f"""<p><label>later to earlier <input id="swipe" type="range" value="50"
aria-label="how much of the earlier date is seen"></label>
<label><input id="outlines" type="checkbox" checked> outlines</label>
<button id="nearer" type="button">+</button> <button id="farther" type="button">-</button>
<button id="all" type="button">all</button> <output id="where"></output></p>
<div id="map" tabindex="0" data-facts="{facts}"><div id="ground">
<img id="after" src="{second}" alt="{escape(result.names[1])}">
<img id="before" src="{first}" alt="{escape(result.names[0])}">
<svg id="shapes" viewBox="0 0 {columns} {rows}" preserveAspectRatio="none">{shapes}</svg>
</div></div>
<table id="list"><thead><tr><th>object</th><th>area</th><th>probability</th></tr></thead>
<tbody>{lines}</tbody></table>"""


def _told(one: Outline) -> str:
    return f"{one.id}: {_size(one)}, probability {one.mean_probability:.2f}"


def _size(one: Outline) -> str:
    return f"{one.pixels} pixels" if one.area_m2 is None else area_text(one.area_m2)


def _path(one: Outline, place: Place) -> str:
    """An outline as SVG draws it, in pixels from the upper left corner."""
    geometry = one.geometry
    parts = geometry.geoms if hasattr(geometry, "geoms") else [geometry]
    rings = [ring for part in parts for ring in (part.exterior, *part.interiors)]
    return "".join(_ring(np.asarray(ring.coords)[:-1, :2], place) for ring in rings)


def _ring(points: np.ndarray, place: Place) -> str:
    points = points[:: -(-len(points) // MAX_POINTS)]
    if place.transform is not None:
        inverse = ~place.transform
        a, b, c, d, e, f = inverse[:6]
        points = points @ np.array([[a, d], [b, e]]) + (c, f)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z"


def _corners(result: Result) -> list[list[float]] | None:
    """Longitude and latitude of the scene's corners, clockwise from the upper left; None where its
    place is unknown."""
    place, (rows, columns) = result.place, result.mask.shape
    if place.crs is None or place.gsd is None:
        return None
    from shapely.geometry import LineString

    t = place.transform
    pixels = [(across * columns, down * rows) for across, down in CORNERS]
    points = [(t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f) for x, y in pixels]
    (line,) = in_degrees([LineString(points)], place)
    return [[round(x, 7), round(y, 7)] for x, y in line.coords]
