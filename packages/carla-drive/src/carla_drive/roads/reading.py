"""An OpenDRIVE file to ``OpenDrive``."""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from carla_drive.roads.curves import Cubic, Geometry, Kind, reference_line
from carla_drive.roads.opendrive import (
    Connection,
    Crosswalk,
    Junction,
    Lane,
    Mark,
    OpenDrive,
    Road,
    RoadLink,
    Section,
    Signal,
)
from vitrail.errors import InputError
from vitrail.sources import require_file

MAX_BYTES = 200 << 20
UNITS = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704, None: 1.0}


def read_map(path: Path | str) -> OpenDrive:
    """Raises InputError for what is not OpenDRIVE, is damaged, or has no road."""
    path = require_file(Path(path))
    if path.stat().st_size > MAX_BYTES:
        raise InputError(path, "is larger than 200 MB", "give a smaller map")
    return parse_map(path.read_bytes(), path.stem, path)


def parse_map(text: bytes | str, name: str, subject: object = "map") -> OpenDrive:
    """As ``read_map``, from the file's content."""
    root = parse_xml(text, subject)
    if root.tag != "OpenDRIVE":
        raise InputError(subject, f"holds <{root.tag}>, not <OpenDRIVE>", "give an OpenDRIVE file")
    problems: list[str] = []
    try:
        roads = {}
        for element in root.iterfind("road"):
            road = _road(element, problems)
            if road.id in roads:
                raise InputError(subject, f"has two roads with the id {road.id}", "rename one")
            roads[road.id] = road
        junctions = {one.id: one for one in map(_junction, root.iterfind("junction"))}
        controllers = {
            _text(element, "id"): tuple(
                dict.fromkeys(_text(one, "signalId") for one in element.iterfind("control"))
            )
            for element in root.iterfind("controller")
        }
    except (ValueError, OverflowError) as error:
        raise InputError(subject, f"is damaged ({error})", "export the map again") from error
    if not roads:
        raise InputError(subject, "has no road", "give a map with roads")
    problems += [
        f"junction {one.id} has no connection" for one in junctions.values() if not one.connections
    ]
    return OpenDrive(name, roads, junctions, controllers, tuple(problems))


def parse_xml(text: bytes | str, subject: object) -> Element:
    """The root of a file without DTD; InputError otherwise."""
    content = text.encode() if isinstance(text, str) else text
    if re.search(rb"<!(DOCTYPE|ENTITY)", content.replace(b"\0", b"")):
        raise InputError(subject, "has a document type definition", "remove <!DOCTYPE ...> from it")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(subject, f"is not XML ({error})", "export it again") from error


def _road(element: Element, problems: list[str]) -> Road:
    id = _text(element, "id")
    where = f"road {id}"
    geometry = sorted(
        (_geometry(one) for one in element.iterfind("planView/geometry")), key=lambda g: g.s
    )
    if not geometry:
        raise ValueError(f"{where} has no geometry")
    length = _number(element, "length", 0.0) or geometry[-1].s + geometry[-1].length
    if not 0 < length < 1e6:
        raise ValueError(f"{where} is {length:g} m long")
    sections = sorted(
        (_section(one, where, problems) for one in element.iterfind("lanes/laneSection")),
        key=lambda section: section.s,
    )
    if not sections:
        problems.append(f"{where} has no lane")
    limits = [
        one
        for one in element.iterfind("type/speed")
        if one.get("max") not in (None, "no limit", "undefined")
    ]
    limit = _number(limits[0], "max") * UNITS.get(limits[0].get("unit"), 1.0) if limits else None
    return Road(
        id=id,
        length=length,
        junction=None if element.get("junction", "-1") == "-1" else element.get("junction"),
        geometry=geometry,
        sections=[section for section in sections if section.s < length - 1e-6],
        elevation=_cubic(element.iterfind("elevationProfile/elevation"), "s"),
        offset=_cubic(element.iterfind("lanes/laneOffset"), "s"),
        predecessor=_link(element.find("link/predecessor")),
        successor=_link(element.find("link/successor")),
        signals=tuple(_signals(element)),
        crosswalks=tuple(_crosswalks(element, geometry)),
        speed_limit=limit,
        left_hand=element.get("rule") == "LHT",
    )


def _geometry(element: Element) -> Geometry:
    names = {
        "line": (),
        "arc": ("curvature",),
        "spiral": ("curvStart", "curvEnd"),
        "poly3": ("a", "b", "c", "d"),
        "paramPoly3": ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV"),
    }
    shape = next((one for one in element if one.tag in names), None)
    if shape is None:
        raise ValueError(f"a geometry is of no known kind: {', '.join(e.tag for e in element)}")
    numbers = tuple(_number(shape, name) for name in names[shape.tag])
    s, x, y, heading, length = (_number(element, name) for name in ("s", "x", "y", "hdg", "length"))
    normalised = shape.get("pRange", "normalized") == "normalized"
    kind = cast(Kind, shape.tag)
    return Geometry(s, x, y, heading, length, kind, numbers, normalised)


def _section(element: Element, where: str, problems: list[str]) -> Section:
    lanes = {}
    for one in element.iterfind("*/lane"):
        id = int(_text(one, "id"))
        if one.find("border") is not None and one.find("width") is None:
            problems.append(
                f"{where}, lane {id} has borders in place of widths, which are not read"
            )
        marks = [
            Mark(
                _number(mark, "sOffset", 0.0),
                mark.get("type", "none"),
                mark.get("color", "white"),
                mark.get("laneChange", "both"),
            )
            for mark in one.iterfind("roadMark")
        ]
        lanes[id] = Lane(
            id,
            one.get("type", "none"),
            _cubic(one.iterfind("width"), "sOffset"),
            _lane_link(one.find("link/predecessor")),
            _lane_link(one.find("link/successor")),
            tuple(sorted(marks, key=lambda mark: mark.offset)),
        )
    return Section(_number(element, "s"), lanes)


def _signals(road: Element) -> Iterable[Signal]:
    for element in (*road.iterfind("signals/signal"), *road.iterfind("signals/signalReference")):
        validities = element.findall("validity")
        lanes: set[int] = set()
        for one in validities:
            ends = sorted((int(_text(one, "fromLane")), int(_text(one, "toLane"))))
            lanes |= set(range(max(ends[0], -64), min(ends[1], 64) + 1)) - {0}
        yield Signal(
            _text(element, "id"),
            _number(element, "s"),
            _number(element, "t"),
            element.get("orientation", "none"),
            element.get("type", ""),
            tuple(sorted(lanes)) if validities else None,
            _number(element, "zOffset", 0.0),
            _number(element, "hOffset", 0.0),
            element.tag == "signalReference",
        )


def _crosswalks(road: Element, geometry: list[Geometry]) -> Iterable[Crosswalk]:
    for element in road.iterfind("objects/object"):
        corners = [
            (_number(one, "u"), _number(one, "v")) for one in element.iterfind(".//cornerLocal")
        ]
        if element.get("type") != "crosswalk" or len(corners) < 3:
            continue
        x, y, heading = reference_line(geometry, np.array([_number(element, "s")]))[0]
        t, turned = _number(element, "t"), heading + _number(element, "hdg", 0.0)
        centre = np.array([x - t * math.sin(heading), y + t * math.cos(heading)])
        cos, sin = math.cos(turned), math.sin(turned)
        yield Crosswalk(centre + np.array(corners) @ np.array([[cos, sin], [-sin, cos]]))


def _junction(element: Element) -> Junction:
    connections = tuple(
        Connection(
            _text(one, "incomingRoad"),
            _text(one, "connectingRoad"),
            one.get("contactPoint", "start"),
            tuple(
                (int(_text(link, "from")), int(_text(link, "to")))
                for link in one.iterfind("laneLink")
            ),
        )
        for one in element.iterfind("connection")
        if one.get("connectingRoad") is not None
    )
    controllers = tuple(_text(one, "id") for one in element.iterfind("controller"))
    return Junction(_text(element, "id"), connections, controllers)


def _link(element: Element | None) -> RoadLink | None:
    if element is None or element.get("elementId") is None:
        return None
    kind = element.get("elementType", "road")
    return RoadLink(kind, _text(element, "elementId"), element.get("contactPoint", ""))


def _lane_link(element: Element | None) -> int | None:
    return None if element is None else int(_text(element, "id"))


def _cubic(elements: Iterable[Element], start: str) -> Cubic:
    rows = [[_number(one, name) for name in (start, "a", "b", "c", "d")] for one in elements]
    rows.sort(key=lambda row: row[0])
    return Cubic(np.array(rows)) if rows else Cubic()


def _text(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise ValueError(f"<{element.tag}> lacks {name}")
    return value


def _number(element: Element, name: str, default: float | None = None) -> float:
    text = element.get(name)
    if text is None and default is not None:
        return default
    value = float(_text(element, name))
    if not math.isfinite(value):
        raise ValueError(f"{name} of <{element.tag}> is {value}")
    return value
