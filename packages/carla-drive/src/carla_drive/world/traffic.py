"""Cars that follow lanes, each other (IDM), lights and the right of way at junctions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.rules import Rules
from carla_drive.world.interface import STEP

LOOK = 40.0  # m ahead
ACCELERATION, COMFORT, HEADWAY, GAP = 2.2, 3.0, 1.1, 2.2
LATERAL = 2.3  # m/s^2 in bends
HALF_PATH = 1.15  # m to either side of a path that must be free of others' middles
ENTRY_BACK = 2.0  # m before a junction where who may not enter stops
CONFLICT = 2.4  # m between the lines of lanes that cannot be driven at once
CHANGE = 20.0  # m that a lane change takes
PATIENCE, ASKED = 4.0, 0.11  # s that one may wait longer than others; s for which asking counts
PLACE = 7.0  # m that a standing car takes
SPARE = 7.0  # m that who turns into a stream leaves free in it, so that a ring never fills up


@dataclass
class Way:
    """A line ahead, a point per metre or so: ``xyz`` (N, 3), ``yaw`` (N,), ``lane`` (N,), ``s``."""

    xyz: np.ndarray
    yaw: np.ndarray
    lane: np.ndarray
    s: np.ndarray

    def at(self, s: float) -> tuple[float, float, float, float]:
        i = min(max(int(np.searchsorted(self.s, s)) - 1, 0), len(self.s) - 2)
        share = (s - self.s[i]) / max(self.s[i + 1] - self.s[i], 1e-6)
        x, y, z = self.xyz[i] + share * (self.xyz[i + 1] - self.xyz[i])
        turned = math.remainder(self.yaw[i + 1] - self.yaw[i], 2 * math.pi)
        return float(x), float(y), float(z), float(self.yaw[i] + share * turned)

    def window(self, s: float, length: float) -> slice:
        return slice(*np.searchsorted(self.s, (s, s + length)))


@dataclass
class Car:
    id: int
    way: Way
    s: float
    speed: float
    eager: float  # share of the limit that it likes to drive
    length: float
    width: float
    height: float
    colour: tuple[float, float, float]
    van: bool
    waited: float = 0.0
    holds: set[int] = field(default_factory=set)
    stunned: float = 0.0  # s that it stands after a crash

    _pose: tuple[float, tuple[float, float, float, float]] | None = None

    @property
    def pose(self) -> tuple[float, float, float, float]:
        """x, y, z, yaw; asked for many times a step, found once."""
        if self._pose is None or self._pose[0] != self.s:
            self._pose = self.s, self.way.at(self.s)
        return self._pose[1]

    def follow(self, way: Way, s: float) -> None:
        self.way, self.s, self._pose = way, s, None


def conflicts(graph: LaneGraph) -> dict[int, set[int]]:
    """For each lane in a junction the others there that cross it or run into it."""
    found: dict[int, set[int]] = {lane.number: set() for lane in graph.lanes if lane.junction}
    by_junction: dict[str, list[int]] = {}
    for number in found:
        by_junction.setdefault(str(graph.lanes[number].junction), []).append(number)
    for numbers in by_junction.values():
        for i, a in enumerate(numbers):
            for b in numbers[i + 1 :]:
                first, second = graph.lanes[a], graph.lanes[b]
                if set(first.predecessors) & set(second.predecessors):
                    continue  # who came one behind the other goes on so
                apart = np.linalg.norm(
                    first.points[:, None, :2] - second.points[None, :, :2], axis=2
                )
                if apart.min() < CONFLICT:
                    found[a].add(b)
                    found[b].add(a)
    return found


def idm(speed: float, wanted: float, gap: float, closing: float) -> float:
    """m/s^2 of the intelligent driver model; ``closing`` is how fast the gap shrinks."""
    free = (speed / max(wanted, 0.1)) ** 4
    need = GAP + max(
        0.0, speed * HEADWAY + speed * closing / (2 * math.sqrt(ACCELERATION * COMFORT))
    )
    return min(max(ACCELERATION * (1 - free - (need / max(gap, 0.1)) ** 2), -8.0), ACCELERATION)


def stopping(speed: float) -> float:
    """m that a car goes on before it stands."""
    return speed**2 / (2 * COMFORT)


def bend_speed(
    yaw: np.ndarray, s: np.ndarray, lateral: float = LATERAL, brake: float = 2.0
) -> float:
    """m/s now that leaves time to slow down for the bends of a line ahead."""
    if len(s) < 4:
        return math.inf
    bend = np.abs(yaw[3:] - yaw[:-3]) / np.maximum(s[3:] - s[:-3], 0.5)
    there = np.sqrt(lateral / np.maximum(bend, 1e-4))
    return float(np.sqrt(there**2 + 2 * brake * np.maximum(s[1:-2] - s[0], 0)).min())


def first_touch(
    line: np.ndarray, s: np.ndarray, places: np.ndarray, reach: np.ndarray
) -> tuple[float, int] | None:
    """Where a line (N, 2) first comes within ``reach`` (M,) of one of ``places`` (M, 2): the way
    along it in ``s`` (N,), and which."""
    if not len(line) or not len(places):
        return None
    apart = (line[:, None, 0] - places[None, :, 0]) ** 2 + (
        line[:, None, 1] - places[None, :, 1]
    ) ** 2
    hit = apart < reach[None] ** 2
    rows = hit.any(axis=1)
    if not rows.any():
        return None
    row = int(rows.argmax())
    return float(s[row]), int(np.where(hit[row], apart[row], np.inf).argmin())


def discs(x: float, y: float, yaw: float, length: float) -> np.ndarray:
    """(3, 2) places along a car that stand for it."""
    out = np.array([-1, 0, 1])[:, None] * (length / 2 - 0.9)
    return np.array([x, y]) + out * (math.cos(yaw), math.sin(yaw))


def joining(graph: LaneGraph) -> set[int]:
    """The lanes in junctions that end in a lane which a straighter one leads into as well."""
    bends = {lane.number: float(np.ptp(lane.yaw)) for lane in graph.lanes if lane.junction}
    return {
        number
        for number, bend in bends.items()
        for after in graph.lanes[number].successors
        if any(bends.get(one, bend) < bend - 1e-3 for one in graph.lanes[after].predecessors)
    }


class RightOfWay:
    """Who may be on which lane of a junction: first come, first served, and nobody enters who would
    have to stop in it. A stream of cars lets those through who have waited for it."""

    def __init__(self, graph: LaneGraph):
        self.graph, self.conflicts, self.joining = graph, conflicts(graph), joining(graph)
        self.holders: dict[int, set[int]] = {}
        self.time = 0.0
        # Of each lane who waits for it: since when, and when it was asked for last
        self._waiting: dict[int, dict[int, tuple[float, float]]] = {}

    def ask(self, lane: int, who: int) -> bool:
        """Whether ``who`` may enter now; asked in every step until it may."""
        waiting = self._waiting.setdefault(lane, {})
        since, last = waiting.get(who, (self.time, self.time))
        if last < self.time - ASKED:
            since = self.time
        if self.free(lane, who) and not self._others_first(lane, since):
            waiting.pop(who, None)
            return True
        waiting[who] = since, self.time
        return False

    def _others_first(self, lane: int, since: float) -> bool:
        return any(
            theirs < since - PATIENCE and last >= self.time - ASKED
            for other in self.conflicts.get(lane, ())
            for theirs, last in self._waiting.get(other, {}).values()
        )

    def room_beyond(self, lanes: np.ndarray, s: np.ndarray, first: int, rear: float) -> bool:
        """Whether a car that enters at point ``first`` of its line (``lanes`` and ``s``, (N,)) can
        leave the junction before it reaches ``rear``, where the one ahead could come to stand."""
        inside = first
        while inside < len(lanes) - 1 and self.graph.lanes[int(lanes[inside])].junction is not None:
            inside += 1
        spare = SPARE if int(lanes[first]) in self.joining else 0.0
        return rear > float(s[inside]) + PLACE + spare

    def free(self, lane: int, who: int) -> bool:
        return not any(
            self.holders.get(other, set()) - {who} for other in self.conflicts.get(lane, ())
        )

    def take(self, lane: int, who: int) -> None:
        self.holders.setdefault(lane, set()).add(who)

    def release(self, lane: int, who: int) -> None:
        self.holders.get(lane, set()).discard(who)


class Traffic:
    """All cars but the ego car, which is number 0."""

    def __init__(self, graph: LaneGraph, rules: Rules, rng: np.random.Generator):
        self.graph, self.rules, self.rng = graph, rules, rng
        self.cars: list[Car] = []
        self.right = RightOfWay(graph)
        self._next_id = 1
        self._spots = [
            (lane.number, i)
            for lane in graph.lanes
            if lane.junction is None and lane.length > 12
            for i in range(4, len(lane.s) - 4, 6)
        ]
        self._spot_places = np.array(
            [graph.lanes[lane].points[i, :2] for lane, i in self._spots]
        ).reshape(-1, 2)

    def populate(self, count: int, x: float, y: float, reach: float) -> None:
        """Up to ``count`` cars within ``reach`` of a place, none within 14 m."""
        while len(self.cars) < count:
            car = self._spawn(x, y, 14.0, reach)
            if car is None:
                return
            self.cars.append(car)

    def renew(self, x: float, y: float, reach: float) -> None:
        """Cars that are far away, or have stood long and unseen, come back somewhere nearer."""
        for number, car in enumerate(self.cars):
            cx, cy, _, _ = car.pose
            away = math.hypot(cx - x, cy - y)
            if away > reach * 1.25 or (car.waited > 50 and away > 40):
                fresh = self._spawn(x, y, 55.0, reach)
                if fresh is not None:
                    self._leave(car)
                    self.cars[number] = fresh

    def _leave(self, car: Car) -> None:
        for lane in car.holds:
            self.right.release(lane, car.id)

    def _spawn(self, x: float, y: float, least: float, most: float) -> Car | None:
        away = np.hypot(*(self._spot_places - (x, y)).T)
        good = np.flatnonzero((away > least) & (away < most))
        if not len(good):
            return None
        taken = np.array([car.pose[:2] for car in self.cars]).reshape(-1, 2)
        for index in self.rng.permutation(good)[:12]:
            place = self._spot_places[index]
            if len(taken) and np.hypot(*(taken - place).T).min() < 10:
                continue
            lane, first = self._spots[index]
            line = self.graph.lanes[lane]
            way = Way(
                line.points[first:],
                line.yaw[first:],
                np.full(len(line.s) - first, lane),
                line.s[first:] - line.s[first],
            )
            van = self.rng.random() < 0.15
            size = (4.9, 2.0, 2.4) if van else (self.rng.uniform(3.9, 4.7), 1.85, 1.5)
            tone = self.rng.choice([0.08, 0.2, 0.5, 0.85]) + self.rng.normal(0, 0.02, 3)
            if self.rng.random() < 0.5:
                tone = self.rng.uniform(0.05, 0.8, 3)
            colour = tuple(np.clip(tone, 0.03, 0.95).tolist())
            car = Car(
                self._next_id, way, 0.0, self.rng.uniform(0, 6), self.rng.uniform(0.7, 1.05),
                *size, colour, van,
            )  # fmt: skip
            self._next_id += 1
            self._lengthen(car)
            return car
        return None

    def _lengthen(self, car: Car) -> None:
        """The way goes on through lanes chosen by chance; what lies behind is dropped."""
        while car.way.s[-1] - car.s < LOOK + 15:
            lane = self.graph.lanes[int(car.way.lane[-1])]
            if not lane.successors:
                return
            after = self.graph.lanes[int(self.rng.choice(lane.successors))]
            keep = max(0, int(np.searchsorted(car.way.s, car.s - 12)))
            start = car.way.s[keep]
            step = np.linalg.norm(after.points[0, :2] - car.way.xyz[-1, :2])
            first = 1 if step < 0.05 else 0
            base = car.way.s[-1] - start + (0.0 if first else step)
            way = Way(
                np.concatenate([car.way.xyz[keep:], after.points[first:]]),
                np.concatenate([car.way.yaw[keep:], _near(after.yaw[first:], car.way.yaw[-1])]),
                np.concatenate([car.way.lane[keep:], np.full(len(after.s) - first, after.number)]),
                np.concatenate([car.way.s[keep:] - start, after.s[first:] + base]),
            )
            car.follow(way, car.s - start)

    def step(
        self, states: Sequence[str], ego: np.ndarray, ego_speed: float, walkers: np.ndarray
    ) -> None:
        """``ego`` (3, 2) are its discs, ``walkers`` (W, 2) the places of people on the road."""
        self.right.time += STEP
        shapes = [discs(*_flat(car.pose), car.length) for car in self.cars]
        places = np.concatenate([*shapes, ego, walkers.reshape(-1, 2)])
        owner = np.concatenate(
            [np.repeat(np.arange(len(self.cars)), 3), np.full(3, -1), np.full(len(walkers), -2)]
        )
        speeds = [car.speed for car in self.cars]
        yaws = [car.pose[3] for car in self.cars]
        for number, car in enumerate(self.cars):
            if car.stunned > 0:
                car.stunned -= STEP
                car.speed = 0.0
                continue
            others = owner != number
            self._drive(car, places[others], owner[others], speeds, yaws, ego_speed, states)

    def _drive(self, car: Car, places, owner, speeds, yaws, ego_speed: float, states) -> None:
        window = car.way.window(car.s, LOOK)
        line, s = car.way.xyz[window, :2], car.way.s[window]
        lanes, yaw = car.way.lane[window], car.way.yaw[window]
        limit = self.graph.lanes[int(lanes[0])].speed_limit if len(lanes) else None
        wanted = min(car.eager * min(limit or 8.5, 8.5), bend_speed(yaw, s))
        push = idm(car.speed, wanted, math.inf, 0)
        near = np.hypot(*(places - line[0]).T) < LOOK if len(line) else np.zeros(0, bool)
        touch = first_touch(
            line, s, places[near], np.where(owner[near] == -2, 1.5, HALF_PATH + 0.75)
        )
        rear = math.inf
        if touch is not None:
            gap, which = touch[0] - car.s - car.length / 2 - 0.9, int(owner[near][touch[1]])
            other = 0.0
            if which >= 0:
                turned = yaws[which] - float(np.interp(touch[0], s, yaw))
                other = max(0.0, speeds[which] * math.cos(turned))
            elif which == -1:
                other = ego_speed
            push = min(push, idm(car.speed, wanted, gap, car.speed - other))
            if which >= -1:
                rear = touch[0] - 0.9 + stopping(other)
        stop = self._must_stop(car, lanes, s, states, rear)
        if stop is not None:
            push = min(
                push, idm(car.speed, wanted, stop - car.s - car.length / 2 + GAP - 0.4, car.speed)
            )
        if not self.graph.lanes[int(car.way.lane[-1])].successors:
            push = min(push, idm(car.speed, wanted, car.way.s[-1] - car.s - 3, car.speed))
        car.speed = max(0.0, car.speed + push * STEP)
        car.s = min(car.s + car.speed * STEP, float(car.way.s[-1]) - 0.01)
        car.waited = 0.0 if car.speed > 0.3 else car.waited + STEP
        self._let_go(car)
        if self.rng.random() < 0.0015:
            self._change_lane(car, places)
        self._lengthen(car)

    def _must_stop(self, car: Car, lanes, s, states, rear: float) -> float | None:
        """Where on its way a light, a stop sign or the right of way ends it for now; at ``rear``
        the car ahead could come to stand."""
        front = car.s + car.length / 2
        stops = []
        for i in (np.flatnonzero(np.diff(lanes)) + 1).tolist():
            lane = int(lanes[i])
            if self.graph.lanes[lane].junction is None:
                continue
            control = self.rules.controls.get(lane)
            if control is not None and control.kind == "light":
                state, line = states[control.subject], float(s[i]) + control.s
                room = line - front
                braking = car.speed**2 / 6.0
                if room > -1.0 and (state == "red" or (state == "yellow" and room > braking)):
                    stops.append(line)
                    continue
            if lane not in car.holds and s[i] - front < 14:
                if self.right.room_beyond(lanes, s, i, rear) and self.right.ask(lane, car.id):
                    self.right.take(lane, car.id)
                    car.holds.add(lane)
                else:
                    stops.append(float(s[i]) - ENTRY_BACK)
        return min(stops) if stops else None

    def _let_go(self, car: Car) -> None:
        rear = car.s - car.length / 2
        for lane in list(car.holds):
            inside = np.flatnonzero(car.way.lane == lane)
            if not len(inside) or rear > car.way.s[inside[-1]]:
                car.holds.discard(lane)
                self.right.release(lane, car.id)

    def _change_lane(self, car: Car, places: np.ndarray) -> None:
        here = int(np.searchsorted(car.way.s, car.s))
        lane = self.graph.lanes[int(car.way.lane[min(here, len(car.way.lane) - 1)])]
        sides = [number for number in (lane.left, lane.right) if number is not None]
        if not sides or car.speed < 3:
            return
        after = self.graph.lanes[int(self.rng.choice(sides))]
        x, y, _, _ = car.pose
        first = int(np.hypot(*(after.points[:, :2] - (x, y)).T).argmin())
        if after.s[-1] - after.s[first] < CHANGE + 5:
            return
        around = after.points[max(0, first - 12) : first + 15, :2]
        if first_touch(around, np.zeros(len(around)), places, np.full(len(places), 2.0)):
            return
        points = after.points[first:].copy()
        share = np.clip((after.s[first:] - after.s[first]) / CHANGE, 0, 1)
        share = share * share * (3 - 2 * share)
        points[:, :2] += (1 - share)[:, None] * (np.array([x, y]) - points[0, :2])
        along = np.gradient(points[:, :2], axis=0)
        yaw = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
        self._leave(car)
        car.holds.clear()
        numbers = np.full(len(points), after.number)
        car.follow(Way(points, yaw, numbers, after.s[first:] - after.s[first]), 0.0)


def _near(yaw: np.ndarray, before: float) -> np.ndarray:
    """The same angles, without a jump of whole turns."""
    return yaw + 2 * math.pi * round((before - yaw[0]) / (2 * math.pi))


def _flat(pose: tuple[float, float, float, float]) -> tuple[float, float, float]:
    return pose[0], pose[1], pose[3]
