"""``OpenDrive`` to a file that CARLA and ``reading`` take."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from carla_drive.roads.curves import Cubic, Geometry
from carla_drive.roads.opendrive import Lane, OpenDrive, Road, Signal

NUMBERS = {
    "arc": ("curvature",),
    "spiral": ("curvStart", "curvEnd"),
    "poly3": ("a", "b", "c", "d"),
    "paramPoly3": ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV"),
}


def write_map(map: OpenDrive) -> str:
    """The whole file. Crosswalks are left out: they are stored as drawings of one tool."""
    root = Element("OpenDRIVE")
    SubElement(root, "header", revMajor="1", revMinor="4", name=map.name, version="1")
    for road in map.roads.values():
        _road(root, road)
    for id, signals in map.controllers.items():
        controller = SubElement(root, "controller", name=f"ctrl{id}", id=id)
        for signal in signals:
            SubElement(controller, "control", signalId=signal, type="")
    for junction in map.junctions.values():
        element = SubElement(root, "junction", id=junction.id, name=f"junction{junction.id}")
        for number, one in enumerate(junction.connections):
            connection = SubElement(
                element,
                "connection",
                id=str(number),
                incomingRoad=one.incoming,
                connectingRoad=one.connecting,
                contactPoint=one.contact,
            )
            for came, goes in one.lanes:
                SubElement(connection, "laneLink", {"from": str(came), "to": str(goes)})
        for number, id in enumerate(junction.controllers):
            SubElement(element, "controller", id=id, type="", sequence=str(number))
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "unicode") + "\n"


def _road(root: Element, road: Road) -> None:
    attributes = {"rule": "LHT"} if road.left_hand else {}
    element = SubElement(
        root,
        "road",
        name=f"Road {road.id}",
        length=_text(road.length),
        id=road.id,
        junction=road.junction or "-1",
        attrib=attributes,
    )
    link = SubElement(element, "link")
    for name, other in (("predecessor", road.predecessor), ("successor", road.successor)):
        if other is not None:
            one = SubElement(link, name, elementType=other.kind, elementId=other.id)
            if other.contact:
                one.set("contactPoint", other.contact)
    if road.speed_limit is not None:
        kind = SubElement(element, "type", s="0", type="town")
        SubElement(kind, "speed", max=_text(road.speed_limit), unit="m/s")
    plan = SubElement(element, "planView")
    for piece in road.geometry:
        _geometry(plan, piece)
    _cubics(SubElement(element, "elevationProfile"), "elevation", "s", road.elevation)
    lanes = SubElement(element, "lanes")
    _cubics(lanes, "laneOffset", "s", road.offset)
    for section in road.sections:
        part = SubElement(lanes, "laneSection", s=_text(section.s))
        for name, ids in (
            ("left", sorted((id for id in section.lanes if id > 0), reverse=True)),
            ("center", [0]),
            ("right", sorted((id for id in section.lanes if id < 0), reverse=True)),
        ):
            if ids:
                side = SubElement(part, name)
                for id in ids:
                    _lane(side, section.lanes.get(id, Lane(0, "none")))
    if road.signals:
        signals = SubElement(element, "signals")
        for signal in road.signals:
            _signal(signals, signal)


def _geometry(plan: Element, piece: Geometry) -> None:
    element = SubElement(
        plan,
        "geometry",
        s=_text(piece.s),
        x=_text(piece.x),
        y=_text(piece.y),
        hdg=_text(piece.heading),
        length=_text(piece.length),
    )
    shape = SubElement(element, piece.kind)
    for name, value in zip(NUMBERS.get(piece.kind, ()), piece.numbers, strict=True):
        shape.set(name, _text(value))
    if piece.kind == "paramPoly3":
        shape.set("pRange", "normalized" if piece.normalised else "arcLength")


def _lane(side: Element, lane: Lane) -> None:
    element = SubElement(side, "lane", id=str(lane.id), type=lane.kind, level="false")
    link = SubElement(element, "link")
    for name, other in (("predecessor", lane.predecessor), ("successor", lane.successor)):
        if other is not None:
            SubElement(link, name, id=str(other))
    _cubics(element, "width", "sOffset", lane.width)
    for mark in lane.marks:
        SubElement(
            element,
            "roadMark",
            sOffset=_text(mark.offset),
            type=mark.kind,
            color=mark.colour,
            laneChange=mark.lane_change,
        )


def _signal(signals: Element, signal: Signal) -> None:
    place = {
        "id": signal.id,
        "s": _text(signal.s),
        "t": _text(signal.t),
        "orientation": signal.orientation,
    }
    if signal.reference:
        element = SubElement(signals, "signalReference", place)
    else:
        element = SubElement(
            signals,
            "signal",
            place,
            name=f"Signal {signal.id}",
            dynamic="yes" if signal.kind == "1000001" else "no",
            zOffset=_text(signal.z),
            hOffset=_text(signal.heading),
            country="OpenDRIVE",
            type=signal.kind,
            subtype="-1",
            value="-1",
        )
    if signal.lanes is not None:
        ids = signal.lanes or (0,)
        SubElement(element, "validity", fromLane=str(min(ids)), toLane=str(max(ids)))


def _cubics(parent: Element, name: str, start: str, cubic: Cubic) -> None:
    for row in cubic.rows.tolist():
        SubElement(
            parent, name, dict(zip((start, "a", "b", "c", "d"), map(_text, row), strict=True))
        )


def _text(value: float) -> str:
    return repr(float(value))
