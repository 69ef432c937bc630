"""Leaderboard route files, and the way through the lanes that joins their few points."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path

import numpy as np

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.reading import parse_xml
from vitrail.errors import InputError
from vitrail.output import atomic_file
from vitrail.sources import require_file

ON_ROAD = 6.0  # m from a lane's middle within which a point needs no remark
# The leaderboard's own files have points up to 105 m beside their towns' roads, and its planner
# moves them to the nearest lane. What lies farther off belongs to another map.
MAX_OFF_ROAD = 150.0
CHANGE_COST, CHANGE_LENGTH = 25.0, 18.0  # m: what a lane change costs, and how long it takes
TARGET_SPACING = 50.0  # m between target points where nothing turns
STRAIGHT = math.radians(30)  # a way through a junction that turns less


class Command(IntEnum):
    """What the agent is told, numbered as CARLA does."""

    left = 1
    right = 2
    straight = 3
    follow = 4
    change_left = 5
    change_right = 6


@dataclass(frozen=True)
class RouteFile:
    """One route as it is asked for: ``points`` (N, 3) x, y, yaw (degrees) in CARLA's world."""

    id: str
    town: str
    points: np.ndarray
    weather: str | None = None


@dataclass(frozen=True)
class Route:
    """A route as it is driven, a point per metre: ``xyz`` (N, 3), ``yaw`` (N,) radians, ``lane``
    (N,) numbers of lanes, ``command`` (N,), ``s`` (N,) metres."""

    id: str
    xyz: np.ndarray
    yaw: np.ndarray
    lane: np.ndarray
    command: np.ndarray
    s: np.ndarray
    targets: np.ndarray = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def length(self) -> float:
        return float(self.s[-1])

    @cached_property
    def lanes(self) -> frozenset[int]:
        return frozenset(self.lane.tolist())


def read_routes(path: Path | str) -> list[RouteFile]:
    """Every route of a leaderboard file; InputError where it has none, or a point is no number."""
    path = require_file(Path(path))
    root = parse_xml(path.read_bytes(), path)
    found = []
    for element in root.iter("route"):
        id = element.get("id", str(len(found)))
        try:
            points = [
                [float(point.attrib[name]) for name in ("x", "y")]
                + [float(point.get("yaw", "nan"))]
                for point in element.iter("waypoint")
            ]
        except (KeyError, ValueError) as error:
            problem = f"route {id} has a point without numbers ({error})"
            raise InputError(path, problem, "give x and y of every waypoint") from error
        places = np.array(points).reshape(-1, 3)
        if len(places) < 2 or not np.isfinite(places[:, :2]).all():
            raise InputError(
                path, f"route {id} has no two usable points", "give a start and an end"
            )
        weather = element.find("weather")
        found.append(
            RouteFile(
                id, element.get("town", ""), places, None if weather is None else weather.get("id")
            )
        )
    if not found:
        raise InputError(path, "holds no <route>", "give a leaderboard route file")
    return found


def write_route(path: Path, points: Sequence[tuple[float, float, float]], town: str) -> None:
    """A leaderboard file with one route of ``points`` x, y, yaw in degrees."""
    lines = [
        "<?xml version='1.0' encoding='UTF-8'?>",
        "<routes>",
        f'  <route id="0" town="{town}">',
    ]
    for x, y, yaw in points:
        lines.append(
            f'    <waypoint x="{x:.6f}" y="{y:.6f}" z="0.0" '
            f'pitch="0.0" roll="0.0" yaw="{yaw:.6f}"/>'
        )
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join([*lines, "  </route>", "</routes>", ""]))


def plan_route(graph: LaneGraph, asked: RouteFile) -> Route:
    """The shortest way along the lanes through every point asked for.

    Raises InputError where a point lies off the road or no way leads from one to the next; the
    road is named.
    """
    stops, remarks = [], []
    for number, (x, y, yaw) in enumerate(asked.points):
        facing = math.radians(yaw) if number == 0 and math.isfinite(yaw) else None
        lane, point, distance = graph.nearest(x, y, facing)
        if distance > MAX_OFF_ROAD:
            problem = f"point {number} ({x:.1f}, {y:.1f}) lies {distance:.0f} m off the road"
            raise InputError(f"route {asked.id}", problem, "move it, or give the right map")
        if distance > ON_ROAD:
            road = graph.lanes[lane].key[0]
            remarks.append(f"point {number} lay {distance:.0f} m off, moved onto road {road}")
        stops.append((lane, point))
    legs: list[tuple[int, int, int]] = []  # lane, first point, last point
    at = stops[0]
    for goal in stops[1:]:
        leg = _leg(graph, at, goal)
        if leg is None:
            a, b = (graph.lanes[lane].key[0] for lane in (at[0], goal[0]))
            problem = f"no way leads from road {a} to road {b}"
            raise InputError(f"route {asked.id}", problem, "move its points, or mend the map")
        legs += leg
        at = goal
    return replace(_along(graph, asked.id, legs), remarks=tuple(remarks))


def _leg(
    graph: LaneGraph, start: tuple[int, int], goal: tuple[int, int]
) -> list[tuple[int, int, int]] | None:
    """Pieces of lanes from one place to another: Dijkstra over lanes."""
    lanes = graph.lanes
    if start[0] == goal[0] and goal[1] >= start[1]:
        return [(start[0], start[1], goal[1])]
    first = lanes[start[0]]
    costs = {start[0]: first.length - first.s[start[1]]}
    came: dict[int, tuple[int, bool]] = {}
    queue = [(costs[start[0]], start[0])]
    done = set()
    looped = None  # the goal may lie behind the start, on the same lane
    while queue:
        cost, number = heapq.heappop(queue)
        if number in done:
            continue
        done.add(number)
        if number == goal[0] and number != start[0]:
            break
        lane = lanes[number]
        steps = [(other, lanes[other].length, False) for other in lane.successors]
        steps += [(o, CHANGE_COST, True) for o in (lane.left, lane.right) if o is not None]
        for other, step, sideways in steps:
            if other == start[0] == goal[0] and not sideways and looped is None:
                looped = number
            if other not in done and cost + step < costs.get(other, math.inf):
                costs[other] = cost + step
                came[other] = (number, sideways)
                heapq.heappush(queue, (cost + step, other))
        if looped is not None:
            break
    end = goal[0] if looped is None else looped
    if end not in came and end != start[0]:
        return None
    way = [(end, False)]
    while way[-1][0] != start[0]:
        number, sideways = came[way[-1][0]]
        way[-1] = (way[-1][0], sideways)
        way.append((number, False))
    way.reverse()
    if looped is not None:
        way.append((goal[0], False))
    return _pieces(graph, way, start, goal)


def _pieces(graph, way, start, goal) -> list[tuple[int, int, int]]:
    """A lane change takes the first half of its lane on the old one, the rest on the new one."""
    pieces, first = [], start[1]
    for index, (number, _) in enumerate(way):
        lane = graph.lanes[number]
        last = goal[1] if index == len(way) - 1 else len(lane.s) - 1
        changes = index + 1 < len(way) and way[index + 1][1]
        if changes:
            after = graph.lanes[way[index + 1][0]]
            turn = min(first + int(CHANGE_LENGTH), (first + last) // 2)
            x, y = lane.points[turn, :2]
            pieces.append((number, first, turn))
            first = int(np.hypot(*(after.points[:, :2] - (x, y)).T).argmin())
        else:
            pieces.append((number, first, max(first, last)))
            first = 0
    return pieces


def _along(graph: LaneGraph, id: str, pieces: Sequence[tuple[int, int, int]]) -> Route:
    xyz, numbers, commands = [], [], []
    for index, (number, first, last) in enumerate(pieces):
        lane = graph.lanes[number]
        points = lane.points[first : last + 1]
        command = Command.follow
        if lane.junction is not None:
            turned = lane.yaw[-1] - lane.yaw[0]
            command = Command.straight
            if abs(turned) > STRAIGHT:
                command = Command.right if turned > 0 else Command.left
        changed = None
        if index and graph.lanes[pieces[index - 1][0]].number in (lane.left, lane.right):
            changed = (
                Command.change_right if pieces[index - 1][0] == lane.left else Command.change_left
            )
        told = np.full(len(points), int(command))
        if changed is not None:
            points = _slide(xyz[-1][-1], points)
            told[: int(CHANGE_LENGTH)] = int(changed)
        xyz.append(points)
        numbers.append(np.full(len(points), number))
        commands.append(told)
    xyz, lanes, command = np.concatenate(xyz), np.concatenate(numbers), np.concatenate(commands)
    steps = np.linalg.norm(np.diff(xyz[:, :2], axis=0), axis=1)
    kept = np.concatenate([[True], steps > 1e-3])  # where lanes meet, a point stands twice
    xyz, lanes, command = xyz[kept], lanes[kept], command[kept]
    if len(xyz) < 2:
        raise InputError(f"route {id}", "starts where it ends", "give points that lie apart")
    along = np.gradient(xyz[:, :2], axis=0)
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(xyz[:, :2], axis=0), axis=1))])
    yaw = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    return Route(id, xyz, yaw, lanes, command, s, _targets(s, command))


def _slide(before: np.ndarray, points: np.ndarray) -> np.ndarray:
    """From the old lane's last point over to the new lane, over CHANGE_LENGTH."""
    points = points.copy()
    count = min(len(points), int(CHANGE_LENGTH))
    share = np.linspace(0, 1, count)
    share = share * share * (3 - 2 * share)
    points[:count] += (1 - share)[:, None] * (before - points[0])
    return points


def _targets(s: np.ndarray, command: np.ndarray) -> np.ndarray:
    """Points that the agent is given: where the command changes, and each TARGET_SPACING."""
    chosen, last = [0], 0.0
    for index in range(1, len(s)):
        if command[index] != command[index - 1] or s[index] - last >= TARGET_SPACING:
            chosen.append(index)
            last = s[index]
    if chosen[-1] != len(s) - 1:
        chosen.append(len(s) - 1)
    return np.array(chosen)
