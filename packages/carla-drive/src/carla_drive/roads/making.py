"""Towns by chance: a bent grid of streets with lights, signs, roundabouts, one or two lanes."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from carla_drive.roads.curves import Cubic, Geometry
from carla_drive.roads.opendrive import (
    LIGHT,
    STOP,
    Connection,
    Junction,
    Lane,
    Mark,
    OpenDrive,
    Road,
    RoadLink,
    Section,
    Signal,
)

WIDTH, SHOULDER, SIDEWALK = 3.5, 0.4, 3.2  # m
STREET = 11.2  # m/s allowed


@dataclass
class _Street:
    """From node ``a`` to node ``b``; ``ends`` are x, y, heading of its reference line at both,
    ``lanes`` how many go forward and back."""

    id: str
    a: int
    b: int
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]
    lanes: tuple[int, int]
    signals: list[Signal] = field(default_factory=list)
    length: float = 0.0


@dataclass(frozen=True)
class _End:
    """A street as its node sees it: ``at_start`` says which end, ``heading`` points away."""

    street: _Street
    at_start: bool

    @property
    def pose(self) -> tuple[float, float, float]:
        return self.street.ends[0 if self.at_start else 1]

    @property
    def heading(self) -> float:
        return self.pose[2] if self.at_start else self.pose[2] + math.pi

    def lanes(self, *, entering: bool) -> list[int]:
        """Lane ids that enter the node here, or leave it, from the middle outwards."""
        forward, back = self.street.lanes
        if entering != self.at_start:
            return [-i for i in range(1, forward + 1)]
        return list(range(1, back + 1))

    def edge(self, lane: int) -> tuple[float, float]:
        """The lane's side that is nearer to the street's middle."""
        x, y, heading = self.pose
        t = math.copysign((abs(lane) - 1) * WIDTH, lane)
        return x - t * math.sin(heading), y + t * math.cos(heading)


def make_town(seed: int) -> OpenDrive:
    """The same town for the same seed."""
    rng = np.random.default_rng(seed)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    spacing = rng.uniform(75, 120)
    per_side = int(rng.choice([1, 1, 2]))
    places = {
        (i, j): np.array([i, j]) * spacing + rng.normal(0, 0.09 * spacing, 2)
        for i in range(columns)
        for j in range(rows)
    }
    links = [(a, b) for a in places for b in ((a[0] + 1, a[1]), (a[0], a[1] + 1)) if b in places]
    inner = [link for link in links if min(_degree(links, link[0]), _degree(links, link[1])) > 2]
    for link in inner:
        if rng.random() < 0.2:
            kept = [one for one in links if one != link]
            if min(_degree(kept, link[0]), _degree(kept, link[1])) >= 2:
                links = kept
    town = _Town(rng, per_side)
    numbers = {key: number for number, key in enumerate(places)}
    round_ones = {
        key for key in places if _degree(links, key) >= 3 and per_side == 1 and rng.random() < 0.25
    }
    doors: dict[tuple, tuple[int, float, float, float]] = {}
    for key, place in places.items():
        arms = [other for link in links for other in link if key in link and other != key]
        headings = {arm: math.atan2(*(places[arm] - place)[::-1]) for arm in arms}
        if key in round_ones:
            town.roundabout(place, headings, key, doors, first=1000 * (numbers[key] + 1))
            continue
        for arm, heading in headings.items():
            turned = heading + rng.uniform(-0.12, 0.12)
            reach = 13.0 + 3.5 * (per_side - 1)
            x, y = place + reach * np.array([math.cos(turned), math.sin(turned)])
            doors[key, arm] = (numbers[key], float(x), float(y), turned)
    for a, b in links:
        (node_a, xa, ya, ha), (node_b, xb, yb, hb) = doors[a, b], doors[b, a]
        town.street(node_a, node_b, (xa, ya, ha), (xb, yb, hb + math.pi), (per_side, per_side))
    return town.finish(f"made-{seed}")


def _degree(links, key) -> int:
    return sum(key in link for link in links)


class _Town:
    def __init__(self, rng: np.random.Generator, per_side: int):
        self.rng, self.per_side = rng, per_side
        self.streets: list[_Street] = []
        self.plain_nodes: set[int] = set()

    def street(self, a: int, b: int, start, end, lanes: tuple[int, int]) -> None:
        self.streets.append(_Street(str(len(self.streets)), a, b, (start, end), lanes))

    def roundabout(self, place, headings, key, doors, first: int) -> None:
        """A ring of one-way streets, counter-clockwise, with a node per arm and no lights."""
        arms = sorted(headings, key=lambda arm: headings[arm] % (2 * math.pi))
        radius, gap = 15.0, 6.0 / 15.0
        for number, arm in enumerate(arms):
            node, angle = first + number, headings[arm]
            self.plain_nodes.add(node)
            x, y = place + (radius + 11.0) * np.array([math.cos(angle), math.sin(angle)])
            doors[key, arm] = (node, float(x), float(y), angle)
            after = headings[arms[(number + 1) % len(arms)]]
            low, high = angle + gap, angle + ((after - angle) % (2 * math.pi) or 2 * math.pi) - gap

            def at(turn: float) -> tuple[float, float, float]:
                x, y = place + radius * np.array([math.cos(turn), math.sin(turn)])
                return float(x), float(y), turn + math.pi / 2

            self.street(node, first + (number + 1) % len(arms), at(low), at(high), (1, 0))

    def finish(self, name: str) -> OpenDrive:
        roads: dict[str, Road] = {}
        ends: dict[int, list[_End]] = defaultdict(list)
        for street in self.streets:
            ends[street.a].append(_End(street, True))
            ends[street.b].append(_End(street, False))
        junctions: dict[str, Junction] = {}
        controllers: dict[str, tuple[str, ...]] = {}
        joints: dict[tuple[str, bool], RoadLink] = {}
        for number, (node, here) in enumerate(sorted(ends.items())):
            self._node(str(900 + number), node, here, roads, junctions, controllers, joints)
        for street in self.streets:
            curve = _curve(*street.ends)
            roads[street.id] = Road(
                street.id,
                curve.length,
                None,
                [curve],
                [Section(0.0, _lanes(*street.lanes))],
                predecessor=joints.get((street.id, True)),
                successor=joints.get((street.id, False)),
                signals=tuple(street.signals),
                speed_limit=STREET,
            )
        return OpenDrive(name, roads, junctions, controllers)

    def _node(self, id, node, here, roads, junctions, controllers, joints) -> None:
        """The ways through a crossing, each a road of its own, and who may go when."""
        connections: list[Connection] = []
        ways: dict[str, list[str]] = defaultdict(list)
        for come in here:
            for go in here:
                if come is go and len(here) > 1:
                    continue
                for lane, after in self._pairs(come, go, len(here)):
                    way = f"{id}{len(connections):02d}"
                    roads[way] = self._way(way, id, come, go, lane, after)
                    connections.append(Connection(come.street.id, way, "start", ((lane, -1),)))
                    ways[come.street.id + str(come.at_start)].append(way)
        for end in here:
            joints[end.street.id, end.at_start] = RoadLink("junction", id)
        rule = "none"
        if len(here) > 2 and node not in self.plain_nodes:
            rule = str(self.rng.choice(["light", "light", "stop", "none"]))
        held = []
        for number, end in enumerate(here):
            mine = ways[end.street.id + str(end.at_start)]
            if rule == "none" or not mine:
                continue
            if rule == "stop" and number % 2 == 0:
                continue
            sign = f"{id}{number}"
            curve = _curve(*end.street.ends)
            s = 1.5 if end.at_start else curve.length - 1.5
            side = 1 if end.at_start else -1
            t = side * (self.per_side * WIDTH + SHOULDER + 0.8)
            orientation = "-" if end.at_start else "+"
            if rule == "light":
                end.street.signals.append(Signal(sign, s, t, orientation, LIGHT, ()))
                for way in mine:
                    marked = Signal(sign, 0.5, 0.0, "+", "", (-1,), reference=True)
                    roads[way] = _with_signal(roads[way], marked)
                controllers[sign] = (sign,)
                held.append(sign)
            else:
                lanes = tuple(sorted(end.lanes(entering=True)))
                end.street.signals.append(Signal(sign, s, t, orientation, STOP, lanes))
        junctions[id] = Junction(id, tuple(connections), tuple(held))

    def _pairs(self, come: _End, go: _End, arms: int) -> list[tuple[int, int]]:
        """Lanes in and out: all go straight on, the inner one turns left, the outer one right;
        where there is only one way, all take it."""
        entering, leaving = come.lanes(entering=True), go.lanes(entering=False)
        if not entering or not leaving:
            return []
        turn = math.remainder(go.heading - come.heading - math.pi, 2 * math.pi)
        if abs(turn) < 0.6 or arms == 2:
            return list(zip(entering, leaving, strict=False))
        return [(entering[0], leaving[0])] if turn > 0 else [(entering[-1], leaving[-1])]

    def _way(self, id: str, junction: str, come: _End, go: _End, lane: int, after: int) -> Road:
        start = (*come.edge(lane), come.heading + math.pi)
        end = (*go.edge(after), go.heading)
        curve = _curve(start, end)
        width = Cubic(np.array([[0, WIDTH, 0, 0, 0]]))
        lanes = {
            0: Lane(0, "none"),
            -1: Lane(-1, "driving", width, lane, after),
        }
        turn = math.remainder(end[2] - start[2], 2 * math.pi)
        outer = abs(lane) == len(come.lanes(entering=True)) and abs(after) == len(
            go.lanes(entering=False)
        )
        if turn < -0.6 and outer:  # the pavement goes round the corner
            lanes[-2] = Lane(-2, "shoulder", Cubic(np.array([[0, SHOULDER, 0, 0, 0]])))
            lanes[-3] = Lane(-3, "sidewalk", Cubic(np.array([[0, SIDEWALK, 0, 0, 0]])))
        return Road(
            id,
            curve.length,
            junction,
            [curve],
            [Section(0.0, lanes)],
            predecessor=RoadLink("road", come.street.id, "start" if come.at_start else "end"),
            successor=RoadLink("road", go.street.id, "start" if go.at_start else "end"),
            speed_limit=8.3,
        )


def _with_signal(road: Road, signal: Signal) -> Road:
    return Road(**{**road.__dict__, "signals": (*road.signals, signal)})


def _lanes(forward: int, back: int) -> dict[int, Lane]:
    def wide(width: float) -> Cubic:
        return Cubic(np.array([[0.0, width, 0, 0, 0]]))

    both = "broken" if forward == back == 1 else "solid"
    middle = (Mark(0.0, both, "yellow", "none"),) if back else (Mark(0.0, "solid"),)
    lanes = {0: Lane(0, "none", marks=middle)}
    for count, side in ((forward, -1), (back, 1)):
        for number in range(1, count + 1):
            last = number == count
            mark = Mark(0.0, "solid" if last else "broken", lane_change="none" if last else "both")
            lanes[side * number] = Lane(side * number, "driving", wide(WIDTH), marks=(mark,))
        lanes[side * (count + 1)] = Lane(side * (count + 1), "shoulder", wide(SHOULDER))
        lanes[side * (count + 2)] = Lane(side * (count + 2), "sidewalk", wide(SIDEWALK))
    return lanes


def _curve(start: tuple[float, float, float], end: tuple[float, float, float]) -> Geometry:
    """A cubic from one pose to another, as a paramPoly3 over 0..1."""
    x, y, heading = start
    dx, dy = end[0] - x, end[1] - y
    cos, sin = math.cos(heading), math.sin(heading)
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    turn = math.remainder(end[2] - heading, 2 * math.pi)
    pull = math.hypot(u, v) * (1 + 0.19 * (turn / (math.pi / 2)) ** 2)
    t1 = (pull * math.cos(turn), pull * math.sin(turn))
    cu, cv = 3 * u - 2 * pull - t1[0], 3 * v - t1[1]
    du, dv = pull + t1[0] - 2 * u, t1[1] - 2 * v
    p = np.linspace(0, 1, 401)
    path = np.stack([pull * p + cu * p**2 + du * p**3, cv * p**2 + dv * p**3], axis=1)
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    numbers = (0.0, pull, cu, du, 0.0, 0.0, cv, dv)
    return Geometry(0.0, x, y, heading, length, "paramPoly3", numbers, True)
