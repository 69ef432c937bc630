"""Where lights and stop signs hold: control points on lanes, and which lights change together."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from carla_drive.roads.curves import reference_line
from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.opendrive import LIGHT, STOP, Road, Signal

LIGHT_BACK, STOP_BACK = 3.0, 1.5  # m from a junction's edge back to the line where cars stop


@dataclass(frozen=True)
class Control:
    """A stop line on a lane at ``s`` metres of it; negative on the lane before. ``subject`` is the
    number of the light or of the sign."""

    kind: str  # "light" or "stop"
    lane: int
    s: float
    subject: int


@dataclass(frozen=True)
class Light:
    """A traffic light: its post (3,), the direction ``yaw`` (radians) in which it shines, the
    ``group`` of lights that share a junction and its ``phase`` among the group's."""

    id: str
    place: np.ndarray
    yaw: float
    group: int
    phase: int


@dataclass(frozen=True)
class Sign:
    id: str
    place: np.ndarray
    yaw: float


@dataclass(frozen=True)
class Rules:
    lights: list[Light]
    signs: list[Sign]
    phases: Mapping[int, int]  # how many a group has
    controls: Mapping[int, Control]  # by the number of the lane


def build_rules(graph: LaneGraph) -> Rules:
    map = graph.map
    by_key = {lane.key: lane for lane in graph.lanes}
    uses: dict[str, list[tuple[Road, Signal]]] = defaultdict(list)
    posts: dict[str, tuple[Road, Signal]] = {}
    for road in map.roads.values():
        for signal in road.signals:
            uses[signal.id].append((road, signal))
            if not signal.reference:
                posts[signal.id] = (road, signal)
    groups = _groups(graph, posts)
    lights, signs, controls = [], [], {}
    for id, (road, signal) in posts.items():
        if signal.kind not in (LIGHT, STOP):
            continue
        held = [
            (by_key[key], s)
            for used_road, used in uses[id]
            for key, s in _lanes(used_road, used)
            if key in by_key
        ]
        if not held:
            continue
        place = _place(road, signal)
        lane = held[0][0]
        yaw = float(lane.yaw[0]) + math.pi
        kind = "light" if signal.kind == LIGHT else "stop"
        back = LIGHT_BACK if kind == "light" else STOP_BACK
        for lane, s in held:
            at = -back if lane.junction is not None else _travelled(lane, s) - back
            number = len(lights) if kind == "light" else len(signs)
            if lane.number not in controls or kind == "light":
                controls[lane.number] = Control(kind, lane.number, at, number)
        if kind == "light":
            lights.append(Light(id, place, yaw, *groups[id]))
        else:
            signs.append(Sign(id, place, yaw))
    phases: dict[int, int] = defaultdict(int)
    for light in lights:
        phases[light.group] = max(phases[light.group], light.phase + 1)
    return Rules(lights, signs, dict(phases), controls)


def _lanes(road: Road, signal: Signal):
    for number, section in enumerate(road.sections):
        end = road.sections[number + 1].s if number + 1 < len(road.sections) else road.length
        if not section.s - 1e-6 <= min(max(signal.s, 0.0), road.length) <= end + 1e-6:
            continue
        for id in section.lanes:
            forward = (id < 0) != road.left_hand
            fits = signal.orientation == "none" or (signal.orientation == "+") == forward
            if id and (id in signal.lanes if signal.lanes is not None else fits):
                yield (road.id, number, id), signal.s


def _travelled(lane, s: float) -> float:
    """Road s to the way along a lane."""
    along = np.abs(lane.road_s - lane.road_s[0])
    return float(np.interp(abs(s - lane.road_s[0]), along, lane.s))


def _place(road: Road, signal: Signal) -> np.ndarray:
    s = np.array([min(max(signal.s, 0.0), road.length)])
    x, y, heading = reference_line(road.geometry, s)[0]
    t = signal.t
    z = float(road.elevation(s)[0])
    return np.array([x - t * math.sin(heading), -(y + t * math.cos(heading)), z])


def _groups(
    graph: LaneGraph, posts: Mapping[str, tuple[Road, Signal]]
) -> dict[str, tuple[int, int]]:
    """Group and phase of each light: the controllers of a junction take turns; lights without a
    controller are a group each, which takes turns with an all-red time."""
    map = graph.map
    found: dict[str, tuple[int, int]] = {}
    group = 0
    claimed: set[str] = set()
    sets = [junction.controllers for junction in map.junctions.values() if junction.controllers]
    claimed.update(id for ids in sets for id in ids)
    sets += [(id,) for id in map.controllers if id not in claimed]
    for ids in sets:
        phase = 0
        for id in ids:
            signals = [one for one in map.controllers.get(id, ()) if one not in found]
            for signal in signals:
                found[signal] = (group, phase)
            phase += bool(signals)
        group += 1
    for id in posts:
        if id not in found:
            found[id] = (group, 0)
            group += 1
    return found
