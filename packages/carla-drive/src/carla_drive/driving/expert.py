"""The privileged expert: knows the map, everybody's place and every light."""

import copy
import math
from dataclasses import dataclass

import numpy as np

from carla_drive.driving.steering import pedals, pursue
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import EGO_SIZE, STEP, Control, local
from carla_drive.world.traffic import bend_speed, discs, first_touch, idm, stopping

CRUISE = 7.5  # m/s
LOOK = 42.0  # m
FREE_SIDE = 1.75  # m from the path to the discs of cars
WALKER_SIDE, WALKER_TIME = 1.9, 2.6  # m; s that people are reckoned ahead
STOP_TIME = 1.0  # s at a stop sign
ASK = 20.0  # m before a junction from which on the right of way is asked for
PLAN = (0.5, 1.0, 1.5)  # s of the waypoints that it teaches
PATH = (2.5, 5.0, 7.5, 10.0, 12.5, 15.0)  # m of the path that it teaches


@dataclass(frozen=True)
class Advice:
    """What the expert does now, and what a pupil should learn of it.

    ``waypoints`` (3, 2) and ``path`` (6, 2) are right of the car and ahead as LeTFuser has them: x
    to the right, y negative ahead. ``hazards`` names what slows it down.
    """

    control: Control
    target_speed: float
    waypoints: np.ndarray
    path: np.ndarray
    hazards: tuple[str, ...]


class Expert:
    """Drives the ego car of one EmbeddedWorld; begin a new one for every route."""

    def __init__(self, world: EmbeddedWorld, cruise: float = CRUISE):
        self.world, self.cruise = world, cruise
        self._stopped: dict[int, float] = {}

    def act(self, *, teach: bool = False) -> Advice:
        """Without ``teach`` the advice has no waypoints, which cost most of its time."""
        world, ego = self.world, self.world.ego
        route, at = world.scenario.route, world.progress.index
        window = slice(at, int(np.searchsorted(route.s, route.s[at] + LOOK)) + 1)
        line, s = route.xyz[window, :2], route.s[window] - route.s[at]
        limit = world.scenario.graph.lanes[int(route.lane[at])].speed_limit
        wanted = min(self.cruise, limit or self.cruise, bend_speed(route.yaw[window], s, 1.8))
        push, hazards = idm(ego.speed, wanted, math.inf, 0), []
        front = EGO_SIZE[0] / 2
        for name, gap, other in self._hazards(line, s, route, at):
            one = idm(ego.speed, wanted, max(gap - front, 0.05), ego.speed - other)
            if one < push:
                push = one
            if one < 0.3:
                hazards.append(name)
        left = route.length - route.s[at]
        if left < 12 and len(line) < 3:
            push = min(push, 0.5)
        ahead = local(line, ego.x, ego.y, ego.yaw)
        steer = pursue(ahead if len(ahead) > 1 else np.array([[5.0, 0.0]]), ego.speed)
        target = max(0.0, min(wanted, ego.speed + push * 1.0))
        return Advice(
            pedals(push, ego.speed, steer),
            target,
            self._plan(push, wanted) if teach else np.zeros((len(PLAN), 2)),
            _as_taught(_along(ahead, np.array(PATH))),
            tuple(dict.fromkeys(hazards)),
        )

    def _hazards(self, line, s, route, at):
        """Names, metres from the car's middle, and speeds along the line."""
        world, ego = self.world, self.world.ego
        cars = [one for one in world.traffic.cars if _near(one.pose, ego, LOOK + 5)]
        places = [discs(p[0], p[1], p[3], one.length) for one in cars for p in [one.pose]]
        rear = math.inf
        if places:
            touch = first_touch(line, s, np.concatenate(places), np.full(3 * len(cars), FREE_SIDE))
            if touch is not None:
                one = cars[touch[1] // 3]
                yaw = float(np.interp(touch[0], s, route.yaw[at : at + len(s)]))
                along = max(0.0, one.speed * math.cos(one.pose[3] - yaw))
                rear = touch[0] - 0.9 + stopping(along)
                yield "vehicle", touch[0] - 0.9, along
        people = [w for w in world.walkers.people if w.on_road and not w.fallen]
        people += [w for w in world.walkers.people if w.fallen]
        if people:
            times = np.arange(0, WALKER_TIME, 0.4)
            spots = []
            for walker in people:
                speed = 0.0 if walker.fallen else walker.speed
                out = (
                    times[:, None] * speed * np.array([math.cos(walker.yaw), math.sin(walker.yaw)])
                )
                spots.append(np.array([walker.x, walker.y]) + out)
            touch = first_touch(
                line, s, np.concatenate(spots), np.full(len(times) * len(people), WALKER_SIDE)
            )
            if touch is not None:
                yield "pedestrian", touch[0] - 1.5, 0.0
        yield from self._rules(route, at, rear)

    def _rules(self, route, at, rear: float):
        """``rear`` is where on the line the car ahead could come to stand."""
        world, ego = self.world, self.world.ego
        front = EGO_SIZE[0] / 2
        ahead = world.progress.next_control(world.scenario.rules, "light", front)
        if ahead is not None:
            state = world.lights.state(ahead[0].subject, world.time)
            can_stop = ahead[1] > ego.speed**2 / (2 * 4.0)
            if state == "red" or (state == "yellow" and can_stop):
                yield "light", ahead[1] + front + 1.2, 0.0
                return
        sign = world.progress.next_control(world.scenario.rules, "stop", front, 25.0)
        if sign is not None:
            waited = self._stopped.get(sign[0].lane, 0.0)
            if sign[1] < 3.0 and ego.speed < 0.15:
                self._stopped[sign[0].lane] = waited + STEP
            if waited < STOP_TIME:
                yield "stop sign", sign[1] + front + 1.2, 0.0
        lanes, s, right = route.lane[at:], route.s[at:] - route.s[at], world.traffic.right
        for index in (np.flatnonzero(np.diff(lanes[:30])) + 1).tolist():
            lane = int(lanes[index])
            if world.scenario.graph.lanes[lane].junction is None:
                continue
            if s[index] > front and not (
                right.room_beyond(lanes, s, index, rear)
                and (s[index] > front + ASK or right.ask(lane, 0))
            ):
                yield "right of way", float(s[index]) - 1.0, 0.0
            return

    def _plan(self, push: float, wanted: float) -> np.ndarray:
        """Where the car is at PLAN, if it goes on as it does now: simulated with its own model."""
        ego, route, at = (
            copy.copy(self.world.ego),
            self.world.scenario.route,
            self.world.progress.index,
        )
        line = route.xyz[at : at + 40, :2]
        points = []
        x, y, yaw = ego.x, ego.y, ego.yaw
        for step in range(round(PLAN[-1] / STEP)):
            ahead = local(line, ego.x, ego.y, ego.yaw)
            steer = pursue(ahead, ego.speed) if len(ahead) > 1 else 0.0
            now = min(push, idm(ego.speed, wanted, math.inf, 0)) if push > 0 else push
            ego.step(pedals(now, ego.speed, steer))
            if any(abs((step + 1) * STEP - moment) < 1e-6 for moment in PLAN):
                points.append((ego.x, ego.y))
        return _as_taught(local(np.array(points), x, y, yaw))


def _near(pose, ego, reach: float) -> bool:
    return math.hypot(pose[0] - ego.x, pose[1] - ego.y) < reach


def _along(line: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Points (len(where), 2) of a line at these metres; beyond its end it goes on straight."""
    line = np.asarray(line, float).reshape(-1, 2)
    if len(line) < 2:
        return np.stack([where, np.zeros_like(where)], axis=1)
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    found = np.stack([np.interp(where, s, line[:, k]) for k in range(2)], axis=1)
    beyond = np.maximum(where - s[-1], 0)[:, None]
    last = line[-1] - line[-2]
    return found + beyond * last / max(float(np.linalg.norm(last)), 1e-6)


def _as_taught(points: np.ndarray) -> np.ndarray:
    """Ahead and right to LeTFuser's right and negative ahead."""
    return np.stack([points[:, 1], -points[:, 0]], axis=1)
