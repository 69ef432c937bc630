"""What lies flat: roads, lines, pavements, crossings, grass."""

import math
from collections.abc import Iterator

import numpy as np

from carla_drive.roads.graph import LaneGraph, Strip
from carla_drive.roads.rules import Rules
from carla_drive.world import labels
from carla_drive.world.meshes import ASPHALT, GRASS, PAINT, PAVING, PLAIN, Mesh, mesh, quads

KERB = 0.13  # m
LINE = 0.0125  # m that paint lies above the road
PIECE = 10.0  # m: longest piece of a strip
WHITE, YELLOW = (0.86, 0.86, 0.84), (0.84, 0.66, 0.16)
DASH, GAP, LINE_WIDTH = 3.0, 6.0, 0.16
DRIVEN = {"driving", "shoulder", "parking", "entry", "exit", "onRamp", "offRamp", "bidirectional",
          "biking", "stop", "bus", "taxi", "restricted"}  # fmt: skip
TONES = {"shoulder": 0.36, "parking": 0.33, "biking": 0.32}


def ground(graph: LaneGraph, rules: Rules) -> Iterator[Mesh]:
    """Meshes of all that is flat."""
    for strip in graph.strips:
        yield from _strip(strip)
    yield from _middles(graph)
    yield from _crossings(graph)
    yield from _stop_lines(graph, rules)
    yield _meadow(graph)


def _strip(strip: Strip) -> Iterator[Mesh]:
    if strip.kind != "centre" and np.abs(strip.inner - strip.outer).max() > 0.05:
        kept = _needed(strip)
        inner, outer = strip.inner[kept], strip.outer[kept]
        lift = np.array([0, 0, KERB])
        if strip.kind == "sidewalk":
            yield mesh(
                _band(inner + lift, outer + lift), PAVING, labels.SIDEWALK, (0.56, 0.54, 0.52)
            )
            for edge in (inner, outer):
                yield mesh(_band(edge, edge + lift), PLAIN, labels.SIDEWALK, (0.5, 0.5, 0.48))
        elif strip.kind in DRIVEN:
            tone = TONES.get(strip.kind, 0.27)
            yield mesh(_band(inner, outer), ASPHALT, labels.ROAD, (tone, tone, tone * 1.02))
        else:
            yield mesh(_band(inner, outer), GRASS, labels.TERRAIN, (0.28, 0.38, 0.16))
    if strip.in_junction:
        return
    for number, (first, kind, colour) in enumerate(strip.marks):
        last = strip.marks[number + 1][0] if number + 1 < len(strip.marks) else len(strip.outer) - 1
        if last > first and kind.split()[0] in ("solid", "broken", "botts"):
            edge = strip.outer[first : last + 1]
            tone = YELLOW if colour == "yellow" else WHITE
            yield mesh(_line(edge, kind.startswith("solid")), PAINT, labels.ROAD_LINE, tone)


def _needed(strip: Strip) -> np.ndarray:
    """Points that tell its shape: where it bends, changes its width, or is long."""
    middle = (strip.inner + strip.outer) / 2
    step = np.diff(middle, axis=0)
    heading = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    slope = step[:, 2] / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-6)
    width = np.linalg.norm(strip.outer - strip.inner, axis=1)
    kept = [0]
    for i in range(1, len(middle) - 1):
        k = kept[-1]
        bent = abs(heading[i] - heading[k]) > 0.035 or abs(slope[i] - slope[k]) > 0.01
        grown = abs(width[i] - width[k]) > 0.1
        if bent or grown or np.linalg.norm(middle[i] - middle[k]) > PIECE:
            kept.append(i)
    return np.array([*kept, len(middle) - 1])


def _band(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    return quads(np.stack([inner[:-1], inner[1:], outer[1:], outer[:-1]], axis=1))


def _line(edge: np.ndarray, solid: bool) -> np.ndarray:
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))])

    def at(where: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(where, s, edge[:, k]) for k in range(3)], axis=1)

    if solid:
        first = np.linspace(0, s[-1], max(2, math.ceil(s[-1] / 4) + 1))
        first, last = first[:-1], first[1:]
    else:
        first = np.arange(0, s[-1], DASH + GAP)
        last = np.minimum(first + DASH, s[-1])
    a, b = at(first), at(last)
    along = b - a
    length = np.maximum(np.linalg.norm(along[:, :2], axis=1, keepdims=True), 1e-6)
    side = np.column_stack([-along[:, 1], along[:, 0]]) / length * LINE_WIDTH / 2
    side = np.column_stack([side, np.zeros(len(side))])
    lift = np.array([0, 0, LINE])
    return quads(np.stack([a - side, b - side, b + side, a + side], axis=1) + lift)


def _middles(graph: LaneGraph) -> Iterator[Mesh]:
    """Asphalt just under the ways through a junction, which leave gaps between them."""
    inside: dict[str, list[np.ndarray]] = {}
    for lane in graph.lanes:
        if lane.junction is not None:
            inside.setdefault(lane.junction, []).append(lane.points)
    for lines in inside.values():
        points = np.concatenate(lines)
        ring = _hull(points[:, :2])
        if len(ring) < 3 or np.ptp(points[:, 2]) > 0.5:
            continue
        z = float(points[:, 2].min()) - 0.03
        flat = np.column_stack([ring, np.full(len(ring), z)])
        fan = np.array([[flat[0], flat[i], flat[i + 1]] for i in range(1, len(flat) - 1)])
        yield mesh(fan, ASPHALT, labels.ROAD, (0.27, 0.27, 0.275))


def _hull(points: np.ndarray) -> np.ndarray:
    """The convex hull (K, 2) of points (N, 2): Andrew's chains."""
    ordered = np.unique(np.round(points, 2), axis=0)

    def chain(path: np.ndarray) -> list[np.ndarray]:
        kept: list[np.ndarray] = []
        for point in path:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-1] - kept[-2], point - kept[-2]
                if ax * by - ay * bx > 0:
                    break
                kept.pop()
            kept.append(point)
        return kept[:-1]

    return np.array([*chain(ordered), *chain(ordered[::-1])])


def _crossings(graph: LaneGraph) -> Iterator[Mesh]:
    for road in graph.map.roads.values():
        for crosswalk in road.crosswalks:
            corners = crosswalk.corners * (1, -1)
            middle = corners.mean(axis=0)
            lane, point, _ = graph.nearest(*middle)
            height = float(graph.lanes[lane].points[point, 2])
            _, _, axes = np.linalg.svd(corners - middle)
            spread = (corners - middle) @ axes.T
            (low, near), (high, far) = spread.min(axis=0), spread.max(axis=0)
            stripes = []
            for start in np.arange(low, high - 0.4, 1.0):
                box = np.array(
                    [(start, near), (start + 0.5, near), (start + 0.5, far), (start, far)]
                )
                flat = middle + box @ axes
                stripes.append(np.column_stack([flat, np.full(4, height + LINE * 1.4)]))
            if stripes:
                yield mesh(quads(np.array(stripes)), PAINT, labels.ROAD_LINE, WHITE)


def stop_line(graph: LaneGraph, lane: int, s: float) -> tuple[np.ndarray, float, float] | None:
    """Middle (3,), yaw and lane width where cars stop for a control at ``s`` of ``lane``."""
    line = graph.lanes[lane]
    if s < 0:
        if not line.predecessors:
            return None
        line = graph.lanes[line.predecessors[0]]
        s = line.length + s
    if not 0 <= s <= line.length:
        return None
    middle = np.array([np.interp(s, line.s, line.points[:, k]) for k in range(3)])
    yaw, width = np.interp(s, line.s, line.yaw), np.interp(s, line.s, line.width)
    return middle, float(yaw), float(width)


def _stop_lines(graph: LaneGraph, rules: Rules) -> Iterator[Mesh]:
    drawn = set()
    for control in rules.controls.values():
        found = stop_line(graph, control.lane, control.s)
        if found is None:
            continue
        middle, yaw, width = found
        place = tuple(np.round(middle[:2]))
        if place in drawn:
            continue
        drawn.add(place)
        ahead = np.array([math.cos(yaw), math.sin(yaw), 0]) * 0.2
        side = np.array([-math.sin(yaw), math.cos(yaw), 0]) * width * 0.46
        bar = [
            middle - ahead - side,
            middle + ahead - side,
            middle + ahead + side,
            middle - ahead + side,
        ]
        lifted = np.array([bar]) + np.array([0, 0, LINE * 1.2])
        yield mesh(quads(lifted), PAINT, labels.ROAD_LINE, WHITE)


def _meadow(graph: LaneGraph) -> Mesh:
    """Grass under everything, in squares of 40 m so that far ones can be left out."""
    low, high = graph.all_points.min(axis=0) - 160, graph.all_points.max(axis=0) + 160
    z = min(float(lane.points[:, 2].min()) for lane in graph.lanes) - 0.06
    x, y = (np.arange(a, b + 40, 40.0) for a, b in zip(low, high, strict=True))
    corners = [
        [(a, b, z), (a + 40, b, z), (a + 40, b + 40, z), (a, b + 40, z)] for a in x for b in y
    ]
    return mesh(quads(np.array(corners)), GRASS, labels.TERRAIN, (0.25, 0.36, 0.14))
