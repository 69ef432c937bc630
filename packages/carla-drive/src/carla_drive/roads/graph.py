"""The driving lanes of a map as lines in CARLA's coordinates, linked to a graph.

CARLA's world is OpenDRIVE's with y turned round: x forward, y to the right, yaw clockwise seen from
above. A lane's line runs in the direction of its traffic.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from carla_drive.roads.curves import reference_line
from carla_drive.roads.opendrive import Lane, OpenDrive, Road, RoadLink
from vitrail.errors import InputError

STEP = 1.0  # m between points of a lane
DRIVING = ("driving", "entry", "exit", "onRamp", "offRamp", "bidirectional")
MIN_WIDTH = 1.5  # m; what is narrower everywhere is nobody's lane
JOINED = 1.5  # m between an end and a start that are one place where the map lacks a link

Key = tuple[str, int, int]  # road, number of the section, lane id


@dataclass
class LaneLine:
    """A driving lane of one section.

    ``points`` (N, 3) x, y, z of its middle in metres, ``yaw`` (N,) radians, ``width`` (N,), ``s``
    (N,) metres from its start. Neighbours have the same direction; None where a solid line or no
    lane is.
    """

    number: int
    key: Key
    junction: str | None
    points: np.ndarray
    yaw: np.ndarray
    width: np.ndarray
    s: np.ndarray
    speed_limit: float | None
    forward: bool
    road_s: np.ndarray
    successors: list[int] = field(default_factory=list)
    predecessors: list[int] = field(default_factory=list)
    left: int | None = None
    right: int | None = None

    @property
    def length(self) -> float:
        return float(self.s[-1])


@dataclass(frozen=True)
class Strip:
    """A lane of any kind as an area: edges (N, 3) in CARLA's coordinates, the inner and the outer
    one, and the lane's marks as (first point, kind, colour)."""

    kind: str
    inner: np.ndarray
    outer: np.ndarray
    marks: tuple[tuple[int, str, str], ...]
    lane_id: int
    road: str
    section: int
    in_junction: bool


@dataclass(frozen=True)
class LaneGraph:
    """All driving lanes, and the strips of every lane and centre line for who draws them."""

    map: OpenDrive
    lanes: list[LaneLine]
    strips: list[Strip]
    problems: tuple[str, ...]

    @cached_property
    def all_points(self) -> np.ndarray:
        """(M, 2) x, y of every lane's points, one after another."""
        return np.concatenate([lane.points[:, :2] for lane in self.lanes])

    @cached_property
    def all_yaws(self) -> np.ndarray:
        return np.concatenate([lane.yaw for lane in self.lanes])

    @cached_property
    def owners(self) -> np.ndarray:
        """(M, 2) of each of ``all_points``: the number of its lane and of its point there."""
        return np.concatenate(
            [
                np.stack([np.full(len(lane.s), lane.number), np.arange(len(lane.s))], axis=1)
                for lane in self.lanes
            ]
        )

    def nearest(self, x: float, y: float, yaw: float | None = None) -> tuple[int, int, float]:
        """The number of the nearest lane, of its nearest point, and the distance in metres; with
        ``yaw`` (radians) among lanes whose direction is within 90 degrees of it, where any is."""
        distance = np.hypot(self.all_points[:, 0] - x, self.all_points[:, 1] - y)
        if yaw is not None:
            facing = np.where(np.cos(self.all_yaws - yaw) > 0, distance, distance + 25.0)
            best = int(facing.argmin())
        else:
            best = int(distance.argmin())
        lane, point = self.owners[best].tolist()
        return lane, point, float(distance[best])

    def dead_ends(self) -> list[LaneLine]:
        return [lane for lane in self.lanes if not lane.successors]

    @property
    def length(self) -> float:
        """Metres of driving lane."""
        return sum(lane.length for lane in self.lanes)


def build_graph(map: OpenDrive) -> LaneGraph:
    """Raises InputError for a map without driving lanes."""
    lanes: list[LaneLine] = []
    strips: list[Strip] = []
    by_key: dict[Key, LaneLine] = {}
    for road in map.roads.values():
        for lane, strip in _sampled(road):
            strips.append(strip)
            if lane is not None:
                lane.number = len(lanes)
                lanes.append(lane)
                by_key[lane.key] = lane
    if not lanes:
        raise InputError(map.name, "has no driving lane", "give a map with lanes of type driving")
    problems = _link(map, by_key)
    _neighbours(map, by_key)
    return LaneGraph(map, lanes, strips, (*map.problems, *problems))


def _sampled(road: Road) -> Iterator[tuple[LaneLine | None, Strip]]:
    for number, section in enumerate(road.sections):
        end = road.sections[number + 1].s if number + 1 < len(road.sections) else road.length
        count = max(2, math.ceil((end - section.s) / STEP) + 1)
        s = np.linspace(section.s, end, count)
        line = reference_line(road.geometry, s)
        height = road.elevation(s)
        middle = road.offset(s)
        normal = np.stack([-np.sin(line[:, 2]), np.cos(line[:, 2])], axis=1)

        def place(t: np.ndarray, line=line, normal=normal, height=height) -> np.ndarray:
            xy = line[:, :2] + normal * t[:, None]
            return np.stack([xy[:, 0], -xy[:, 1], height], axis=1)

        centre = section.lanes.get(0)
        if centre is not None:
            edge = place(middle)
            inside = road.junction is not None
            yield None, Strip("centre", edge, edge, _marks(centre, s), 0, road.id, number, inside)
        for side in (1, -1):
            inner = middle
            for id in sorted((id for id in section.lanes if id * side > 0), key=abs):
                lane = section.lanes[id]
                width = np.maximum(lane.width(s - section.s), 0)
                outer = inner + side * width
                strip = Strip(
                    lane.kind,
                    place(inner),
                    place(outer),
                    _marks(lane, s),
                    id,
                    road.id,
                    number,
                    road.junction is not None,
                )
                line_of = None
                if lane.kind in DRIVING and width.max() >= MIN_WIDTH:
                    points = place((inner + outer) / 2)
                    line_of = _lane_line(road, number, id, points, width, s)
                yield line_of, strip
                inner = outer


def _marks(lane: Lane, s: np.ndarray) -> tuple[tuple[int, str, str], ...]:
    return tuple(
        (int(np.searchsorted(s, s[0] + mark.offset - 1e-6)), mark.kind, mark.colour)
        for mark in lane.marks
    )


def _lane_line(
    road: Road, number: int, id: int, points: np.ndarray, width: np.ndarray, s: np.ndarray
) -> LaneLine:
    forward = (id < 0) != road.left_hand
    if not forward:
        points, width, s = points[::-1], width[::-1], s[::-1]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    travelled = np.concatenate([[0], np.cumsum(steps)])
    along = np.gradient(points[:, :2], axis=0)
    yaw = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    key = (road.id, number, id)
    return LaneLine(
        0, key, road.junction, points, yaw, width, travelled, road.speed_limit, forward, s
    )


def _link(map: OpenDrive, by_key: Mapping[Key, LaneLine]) -> list[str]:
    problems: list[str] = []

    def join(first: Key, second: Key) -> None:
        """Whichever of the two leads to the other, by where they touch."""
        one, other = by_key.get(first), by_key.get(second)
        if one is None or other is None:
            return
        for a, b in ((one, other), (other, one)):
            gap = np.linalg.norm(a.points[-1, :2] - b.points[0, :2])
            if gap < JOINED and math.cos(a.yaw[-1] - b.yaw[0]) > 0:
                if b.number not in a.successors:
                    a.successors.append(b.number)
                    b.predecessors.append(a.number)
                return

    for road in map.roads.values():
        last = len(road.sections) - 1
        for number, section in enumerate(road.sections):
            for id, lane in section.lanes.items():
                key = (road.id, number, id)
                if key not in by_key:
                    continue
                if number < last and lane.successor is not None:
                    join(key, (road.id, number + 1, lane.successor))
                if number > 0 and lane.predecessor is not None:
                    join(key, (road.id, number - 1, lane.predecessor))
                if number == last:
                    _join_road(map, join, key, road.successor, lane.successor, problems)
                if number == 0:
                    _join_road(map, join, key, road.predecessor, lane.predecessor, problems)
    for junction in map.junctions.values():
        for connection in junction.connections:
            incoming, connecting = (
                map.roads.get(id) for id in (connection.incoming, connection.connecting)
            )
            if incoming is None or connecting is None:
                missing = connection.incoming if incoming is None else connection.connecting
                problems.append(f"junction {junction.id} names road {missing}, which is not there")
                continue
            if not connecting.sections or not incoming.sections:
                continue
            inner = 0 if connection.contact == "start" else len(connecting.sections) - 1
            for outer in {0, len(incoming.sections) - 1}:
                for came, goes in connection.lanes:
                    join((incoming.id, outer, came), (connecting.id, inner, goes))
    problems += _guess(map, by_key)
    return problems


def _join_road(map, join, key: Key, link: RoadLink | None, lane: int | None, problems) -> None:
    if link is None or link.kind != "road" or lane is None:
        return
    other = map.roads.get(link.id)
    if other is None:
        problems.append(f"road {key[0]} is linked to road {link.id}, which is not there")
    elif other.sections:
        number = len(other.sections) - 1 if link.contact == "end" else 0
        join(key, (other.id, number, lane))


def _guess(map: OpenDrive, by_key: Mapping[Key, LaneLine]) -> list[str]:
    """Ends of lanes whose road goes on, but which no link leads on: joined to where they end."""
    lanes = list(by_key.values())
    starts = np.array([lane.points[0, :2] for lane in lanes])
    guessed = 0
    for lane in lanes:
        road = map.roads[lane.key[0]]
        beyond = road.successor if lane.forward else road.predecessor
        if lane.successors or (beyond is None and lane.junction is None):
            continue
        near = np.linalg.norm(starts - lane.points[-1, :2], axis=1) < JOINED
        for index in np.flatnonzero(near):
            other = lanes[index]
            if other is not lane and math.cos(other.yaw[0] - lane.yaw[-1]) > 0.9:
                lane.successors.append(other.number)
                other.predecessors.append(lane.number)
                guessed += 1
    return (
        [f"{guessed} lane links are missing and were guessed from where lanes end"]
        if guessed
        else []
    )


def _neighbours(map: OpenDrive, by_key: Mapping[Key, LaneLine]) -> None:
    """Lanes side by side; a solid line, a junction or another lane between them parts them."""
    for key, lane in by_key.items():
        road, number, id = key
        section = map.roads[road].sections[number]
        side = 1 if id > 0 else -1
        outer = by_key.get((road, number, id + side))
        if outer is None or lane.junction is not None:
            continue
        marks = section.lanes[id].marks
        if any(mark.kind.startswith("solid") for mark in marks):
            continue
        # Away from the centre is to the right of the traffic, unless it drives on the left.
        if map.roads[road].left_hand:
            lane.left, outer.right = outer.number, lane.number
        else:
            lane.right, outer.left = outer.number, lane.number
