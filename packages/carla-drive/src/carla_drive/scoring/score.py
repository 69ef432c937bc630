"""Leaderboard 1.0: driving score = route completion times a penalty per infraction.

Everything is computed from the rows of a trace, the map and the route, so that a drive and its
replay cannot differ.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.routes import Route
from carla_drive.roads.rules import Rules
from carla_drive.world.boxes import touching
from carla_drive.world.interface import EGO_SIZE, STEP
from carla_drive.world.progress import Progress, controls_along

PENALTIES = {
    "collision_pedestrian": 0.50,
    "collision_vehicle": 0.60,
    "collision_static": 0.65,
    "red_light": 0.70,
    "stop_sign": 0.80,
}
OFF_ROUTE = 30.0  # m
BLOCKED_SPEED, BLOCKED_TIME = 0.1, 180.0  # m/s, s
TIME_PER_METRE, MIN_TIME = 0.8, 20.0  # s
APART = 3.0  # s without touch after which the same actor counts again
PLACED = 1.1  # m by which a distance may be off: a car is placed at the points of its route
STOP_ZONE, STOPPED = 6.0, 0.2  # m before a stop sign's line in which one must be as slow as m/s


@dataclass(frozen=True)
class Event:
    kind: str
    time: float
    x: float
    y: float
    actor: int | None = None

    def to_dict(self) -> dict[str, Any]:
        row = {"kind": self.kind, "t": self.time, "x": self.x, "y": self.y}
        return row if self.actor is None else {**row, "actor": self.actor}


@dataclass(frozen=True)
class Score:
    """Of one route. ``outside`` is the share of the way outside the lanes, ``end`` why it ended."""

    completion: float  # 0..100
    penalty: float  # 0..1
    driving: float  # 0..100
    outside: float
    kilometres: float
    seconds: float
    end: str
    events: tuple[Event, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(event.kind for event in self.events)

    def to_dict(self) -> dict[str, Any]:
        return {
            "driving_score": round(self.driving, 3),
            "route_completion": round(self.completion, 3),
            "infraction_penalty": round(self.penalty, 5),
            "outside_route_lanes": round(self.outside, 4),
            "kilometres": round(self.kilometres, 4),
            "seconds": round(self.seconds, 2),
            "end": self.end,
            "infractions": dict(sorted(self.counts.items())),
            "events": [event.to_dict() for event in self.events],
        }


class Scorer:
    """Fed row by row; ``end`` is set when the route has ended."""

    def __init__(self, graph: LaneGraph, rules: Rules, route: Route):
        self.graph, self.route = graph, route
        self.progress = Progress(route)
        self.end = ""
        self.events: list[Event] = []
        self._driven = self._outside = self._still = self._time = 0.0
        self._touched: dict[int, float] = {}
        self._before: Mapping[str, Any] | None = None
        self._stops = [(c, line) for c, line in controls_along(route, rules) if c.kind == "stop"]
        self._slowest = [math.inf] * len(self._stops)
        self._limit = max(MIN_TIME, TIME_PER_METRE * route.length)

    def feed(self, row: Mapping[str, Any]) -> None:
        if self.end:
            return
        x, y, degrees, speed = row["ego"]
        yaw = math.radians(degrees)
        last, self._before = self._before, row
        index = self.progress.index
        self.progress.update(x, y)
        self._time = row["t"]
        self._collisions(row, x, y, yaw)
        self._lights(last, row)
        self._signs(index, x, y, speed)
        if last is not None:
            step = math.hypot(x - last["ego"][0], y - last["ego"][1])
            self._driven += step
            if step and self._is_outside(x, y, yaw):
                self._outside += step
            self._still = self._still + row["t"] - last["t"] if speed < BLOCKED_SPEED else 0.0
        if self.progress.completion >= 1.0:
            self.end = "completed"
        elif self.progress.distance > OFF_ROUTE:
            self.end = "off route"
        elif self._still >= BLOCKED_TIME:
            self.end = "blocked"
        elif row["t"] >= self._limit:
            self.end = "time-out"

    def score(self, end: str = "") -> Score:
        """So far; ``end`` says why it ended where no rule of the leaderboard did."""
        completion = 100 * self.progress.completion
        penalty = math.prod(PENALTIES[event.kind] for event in self.events)
        share = self._outside / self._driven if self._driven else 0.0
        penalty *= 1 - share
        return Score(
            completion,
            penalty,
            completion * penalty,
            share,
            self._driven / 1000,
            self._time,
            self.end or end or "unfinished",
            tuple(self.events),
        )

    def _add(self, kind: str, x: float, y: float, actor: int | None = None) -> None:
        self.events.append(Event(kind, self._time, round(x, 2), round(y, 2), actor))

    def _collisions(self, row: Mapping[str, Any], x: float, y: float, yaw: float) -> None:
        """A touch of many frames is one collision, however long it lasts."""
        actors = row["actors"]
        if not actors:
            return
        boxes = np.array([(a[2], a[3], math.radians(a[4]), a[5], a[6]) for a in actors])
        mine = np.array([x, y, yaw, *EGO_SIZE])
        for number in np.flatnonzero(touching(mine, boxes)):
            id, kind = actors[number][:2]
            last = self._touched.get(id)
            if last is None or row["t"] - last > APART:
                self._add(f"collision_{kind}", x, y, id)
            self._touched[id] = row["t"]

    def _lights(self, last: Mapping[str, Any] | None, row: Mapping[str, Any]) -> None:
        """The front crosses a line whose light was red just before: the next row knows that light
        no more. One that turns red behind the car is in no row."""
        before = None if last is None else last["light"]
        if before is None or last is None or before["state"] != "red":
            return
        now = row["light"]
        reach = max(last["ego"][3], row["ego"][3]) * max(row["t"] - last["t"], STEP) * 1.5 + PLACED
        passed = now is None or now["distance"] > before["distance"] + 1.0
        if before["distance"] <= reach and passed:
            self._add("red_light", *row["ego"][:2])

    def _signs(self, index: int, x: float, y: float, speed: float) -> None:
        front = EGO_SIZE[0] / 2
        was = self.route.s[index] + front
        now = self.route.s[self.progress.index] + front
        for number, (_, line) in enumerate(self._stops):
            if line - STOP_ZONE <= now <= line + 1.0:
                self._slowest[number] = min(self._slowest[number], speed)
            if was <= line + 1.0 < now and self._slowest[number] > STOPPED:
                self._add("stop_sign", x, y)

    def _is_outside(self, x: float, y: float, yaw: float) -> bool:
        """Off every driving lane, or on one against its traffic, junctions apart."""
        lane, point, distance = self.graph.nearest(x, y)
        line = self.graph.lanes[lane]
        if distance > line.width[point] / 2 + 0.9:
            return True
        if line.junction is not None or math.cos(line.yaw[point] - yaw) > 0:
            return False
        along = self.graph.nearest(x, y, yaw)
        mine = self.graph.lanes[along[0]]
        return math.cos(mine.yaw[along[1]] - yaw) < 0 or along[2] > mine.width[along[1]] / 2 + 0.6


def score_rows(
    graph: LaneGraph, rules: Rules, route: Route, rows: Iterable[Mapping[str, Any]], end: str = ""
) -> Score:
    scorer = Scorer(graph, rules, route)
    for row in rows:
        scorer.feed(row)
    return scorer.score(end)
