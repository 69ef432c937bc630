"""People on the pavements, who cross the road now and then."""

import math
from dataclasses import dataclass

import numpy as np

from carla_drive.roads.graph import LaneGraph, Strip
from carla_drive.world.ground import KERB
from carla_drive.world.interface import STEP

CROSSING_EVERY = 26.0  # s between two tries of one person near a car
MIN_TIME, MIN_AWAY = 2.6, 14.0  # s and m that a car must be away for somebody to step onto the road
MAX_CROSSING = 32.0  # m
CAR_SIDE, PATIENCE = 1.7, 4.0  # m kept from the places along a car; s


@dataclass
class Walker:
    """On pavement ``path`` at index ``at``; while crossing ``goal`` is set."""

    id: int
    path: int
    at: float
    side: float
    direction: int
    speed: float
    height: float
    clothes: tuple
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    goal: np.ndarray | None = None
    fallen: float = 0.0
    walked: float = 0.0
    patience: float = 0.0

    @property
    def on_road(self) -> bool:
        return self.goal is not None


class Walkers:
    """Everybody on foot. Paths are the middles of pavements, or lie beside roads without one."""

    def __init__(self, graph: LaneGraph, rng: np.random.Generator, first_id: int = 500_000):
        self.rng, self.people, self._next_id = rng, [], first_id
        sides: dict[tuple[str, int, bool], Strip] = {}
        for strip in graph.strips:
            if strip.in_junction or strip.lane_id == 0:
                continue
            key = (strip.road, strip.section, strip.lane_id > 0)
            kept = sides.get(key)
            if kept is None or kept.kind != "sidewalk":
                sides[key] = strip
        self.paths: list[np.ndarray] = []
        self.across: list[int] = []
        numbers: dict[tuple[str, int, bool], int] = {}
        for key, strip in sides.items():
            share = 0.5 if strip.kind == "sidewalk" else 1.12
            line = strip.inner * (1 - share) + strip.outer * share
            line[:, 2] += KERB if strip.kind == "sidewalk" else 0
            if len(line) >= 12:
                numbers[key] = len(self.paths)
                self.paths.append(line)
        for road, section, left in numbers:
            self.across.append(numbers.get((road, section, not left), -1))
        self._spots = [
            (n, i) for n, path in enumerate(self.paths) for i in range(3, len(path) - 3, 4)
        ]
        self._places = np.array([self.paths[n][i, :2] for n, i in self._spots]).reshape(-1, 2)

    def populate(self, count: int, x: float, y: float, reach: float) -> None:
        while len(self.people) < count and self._spots:
            walker = self._spawn(x, y, 6.0, reach)
            if walker is None:
                return
            self.people.append(walker)

    def renew(self, x: float, y: float, reach: float) -> None:
        for number, walker in enumerate(self.people):
            away = math.hypot(walker.x - x, walker.y - y)
            if away > reach * 1.2 or walker.fallen > 3.0:
                fresh = self._spawn(x, y, 35.0, reach)
                if fresh is not None:
                    self.people[number] = fresh

    def _spawn(self, x: float, y: float, least: float, most: float) -> Walker | None:
        away = np.hypot(*(self._places - (x, y)).T)
        good = np.flatnonzero((away > least) & (away < most))
        if not len(good):
            return None
        path, at = self._spots[int(self.rng.choice(good))]
        rng = self.rng
        clothes = tuple(tuple(rng.uniform(0.05, 0.8, 3).tolist()) for _ in range(2))
        skin = tuple((np.array([0.85, 0.66, 0.52]) * rng.uniform(0.4, 1.05)).tolist())
        walker = Walker(
            self._next_id, path, float(at), rng.uniform(-0.7, 0.7), int(rng.choice([-1, 1])),
            rng.uniform(0.9, 1.7), rng.uniform(1.5, 1.9), (*clothes, skin),
        )  # fmt: skip
        self._next_id += 1
        self._stand(walker)
        return walker

    def step(self, cars: np.ndarray) -> None:
        """``cars`` (N, 4) are x, y and velocity of places along every car, the ego car among
        them."""
        for walker in self.people:
            if walker.fallen:
                walker.fallen += STEP
                continue
            walker.walked += walker.speed * STEP
            if walker.goal is None:
                self._stroll(walker)
                if self.rng.random() < STEP / CROSSING_EVERY:
                    self._try_crossing(walker, cars)
            else:
                self._cross(walker, cars)

    def _stroll(self, walker: Walker) -> None:
        path = self.paths[walker.path]
        walker.at += walker.direction * walker.speed * STEP
        if not 1 < walker.at < len(path) - 2:
            walker.direction = -walker.direction
            walker.at = min(max(walker.at, 1.0), len(path) - 2.0)
        self._stand(walker)

    def _stand(self, walker: Walker) -> None:
        path = self.paths[walker.path]
        i = min(max(int(walker.at), 0), len(path) - 2)
        share = walker.at - i
        x, y, z = path[i] + share * (path[i + 1] - path[i])
        along = (path[i + 1] - path[i])[:2] * walker.direction
        length = max(float(np.hypot(*along)), 1e-6)
        nx, ny = -along[1] / length, along[0] / length
        walker.x, walker.y, walker.z = x + nx * walker.side, y + ny * walker.side, z
        walker.yaw = math.atan2(along[1], along[0])

    def _try_crossing(self, walker: Walker, cars: np.ndarray) -> None:
        other = self.across[walker.path]
        if other < 0:
            return
        goal = self.paths[other][min(int(walker.at), len(self.paths[other]) - 1)]
        way = goal[:2] - (walker.x, walker.y)
        if not 3 < np.hypot(*way) < MAX_CROSSING:
            return
        if len(cars):
            middle = np.array([walker.x, walker.y]) + way * 0.4
            offset = middle - cars[:, :2]
            away = np.hypot(*offset.T)
            closing = (offset * cars[:, 2:]).sum(axis=1) / np.maximum(away, 0.1)
            if ((away < MIN_AWAY) | (away < closing * MIN_TIME + 5)).any():
                return
        walker.goal = goal.copy()
        walker.yaw = math.atan2(way[1], way[0])
        walker.patience = 0.0

    def _cross(self, walker: Walker, cars: np.ndarray) -> None:
        assert walker.goal is not None
        way = walker.goal[:2] - (walker.x, walker.y)
        left = float(np.hypot(*way))
        walker.yaw = math.atan2(way[1], way[0])
        ahead = np.array([walker.x, walker.y]) + way / max(left, 1e-6) * 1.0
        # Nobody walks into a car; who has waited long enough turns back.
        if len(cars) and np.hypot(*(cars[:, :2] - ahead).T).min() < CAR_SIDE:
            walker.patience += STEP
            if walker.patience > PATIENCE:
                back = self.paths[walker.path]
                walker.goal = back[min(int(walker.at), len(back) - 1)].copy()
                walker.path, walker.patience = self.across[walker.path], 0.0
            return
        step = min(walker.speed * STEP, left)
        walker.x += math.cos(walker.yaw) * step
        walker.y += math.sin(walker.yaw) * step
        walker.z += (
            (walker.goal[2] - KERB - walker.z) * 0.2
            if left > 2.5
            else (walker.goal[2] - walker.z) * 0.2
        )
        if left < 0.3:
            walker.path = self.across[walker.path]
            walker.at = min(walker.at, len(self.paths[walker.path]) - 2.0)
            walker.side, walker.goal = 0.0, None
