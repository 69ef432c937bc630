"""The embedded world: one ego car among traffic, people and lights. The same seed and the same
controls give the same drive."""

import math
import zlib
from functools import lru_cache

import numpy as np

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.rules import Rules
from carla_drive.world.boxes import touching
from carla_drive.world.ego import Ego
from carla_drive.world.interface import (
    EGO_SIZE,
    STEP,
    Actor,
    Control,
    LightAhead,
    Observation,
    Scenario,
)
from carla_drive.world.lights import Lights
from carla_drive.world.meshes import Mesh, car, person
from carla_drive.world.painter import Light, Painter
from carla_drive.world.progress import Progress
from carla_drive.world.scenery import Scenery, build_scenery, lamps_of
from carla_drive.world.traffic import Traffic, discs
from carla_drive.world.walkers import Walkers
from carla_drive.world.weather import Weather, varied, weather

CAR_REACH, WALKER_REACH = 130.0, 75.0  # m around the ego car that are populated
SEEN_ACTORS, SEEN_SCENERY = 50.0, 10.0  # m within which an observation names them
WALKER_SIZE = (0.5, 0.6)  # m
STRIDES = 4  # shapes between a leg in the middle and one ahead


class EmbeddedWorld:
    """Implements ``World``. ``fresh_look`` gives every seed another city on the same map and
    another camera, for training."""

    def __init__(self, *, fresh_look: bool = False, compiled: bool | None = None):
        self.fresh_look, self._compiled = fresh_look, compiled

    def reset(self, scenario: Scenario, seed: int) -> Observation:
        self.scenario = scenario
        self.rng = np.random.default_rng([seed, zlib.crc32(scenario.route.id.encode())])
        route, graph = scenario.route, scenario.graph
        x, y, z = route.xyz[0]
        self.ego = Ego(float(x), float(y), float(z), float(route.yaw[0]))
        look = int(self.rng.integers(1 << 30)) if self.fresh_look else 0
        self.scenery = _scenery(graph, scenario.rules, look)
        gain = self.rng.uniform(0.85, 1.15, 3).tolist() if self.fresh_look else (1.0, 1.0, 1.0)
        self._painter = Painter(self.scenery, gain=gain, compiled=self._compiled)
        self.weather: Weather = weather(scenario.weather)
        if self.fresh_look:
            self.weather = varied(self.weather, self.rng)
        self.lights = Lights(scenario.rules, self.rng)
        self.traffic = Traffic(graph, scenario.rules, self.rng)
        self.walkers = Walkers(graph, self.rng)
        self.progress = Progress(route)
        self.frame, self.time = 0, 0.0
        self._shapes: dict[int, Mesh] = {}
        self._people: dict[tuple[int, int], Mesh] = {}
        self._held: set[int] = set()
        self._touched: set[int] = set()
        self.traffic.populate(scenario.vehicles, self.ego.x, self.ego.y, CAR_REACH)
        self.walkers.populate(scenario.walkers, self.ego.x, self.ego.y, WALKER_REACH)
        return self._observe(draw=True)

    def step(self, control: Control, *, draw: bool = True) -> Observation:
        control = control.safe()
        before = (self.ego.x, self.ego.y, self.ego.yaw)
        self.ego.step(control, grip=1 - 0.25 * self.weather.wet)
        self.progress.update(self.ego.x, self.ego.y)
        self._hold()
        ego = discs(self.ego.x, self.ego.y, self.ego.yaw, EGO_SIZE[0])
        crossing = np.array([(w.x, w.y) for w in self.walkers.people if w.on_road]).reshape(-1, 2)
        states = self.lights.states(self.time)
        self.traffic.step(states, ego, self.ego.speed, crossing)
        self.walkers.step(self._velocities())
        self.frame, self.time = self.frame + 1, round((self.frame + 1) * STEP, 6)
        self._crash(before)
        if self.frame % 20 == 0:
            self.traffic.populate(self.scenario.vehicles, self.ego.x, self.ego.y, CAR_REACH)
            self.walkers.populate(self.scenario.walkers, self.ego.x, self.ego.y, WALKER_REACH)
            self.traffic.renew(self.ego.x, self.ego.y, CAR_REACH)
            self.walkers.renew(self.ego.x, self.ego.y, WALKER_REACH)
        return self._observe(draw)

    def close(self) -> None:
        """Nothing is held."""

    def _hold(self) -> None:
        """The ego car has the way through a junction that it is in or rolls into."""
        route, at = self.scenario.route, self.progress.index
        ahead = EGO_SIZE[0] / 2 + 1.5 + (self.ego.speed * 0.8 if self.ego.speed > 1 else 0)
        near = (route.s > route.s[at] - EGO_SIZE[0] / 2 - 1) & (route.s < route.s[at] + ahead)
        junctions = {
            lane
            for lane in set(route.lane[near].tolist())
            if self.scenario.graph.lanes[lane].junction is not None
        }
        for lane in self._held - junctions:
            self.traffic.right.release(lane, 0)
        for lane in junctions - self._held:
            if self.ego.speed > 0.5 or lane == int(route.lane[at]):
                self.traffic.right.take(lane, 0)
            else:
                junctions = junctions - {lane}
        self._held = junctions

    def _velocities(self) -> np.ndarray:
        """(3 N, 4) places along every car, and how fast they go."""
        cars = [(self.ego.x, self.ego.y, self.ego.yaw, EGO_SIZE[0], self.ego.speed)]
        for one in self.traffic.cars:
            x, y, _, yaw = one.pose
            cars.append((x, y, yaw, one.length, one.speed))
        return np.concatenate(
            [
                np.column_stack(
                    [
                        discs(x, y, yaw, length),
                        np.tile((math.cos(yaw) * speed, math.sin(yaw) * speed), (3, 1)),
                    ]
                )
                for x, y, yaw, length, speed in cars
            ]
        )

    def _crash(self, before: tuple[float, float, float]) -> None:
        """Whoever touches the ego car stops it; people fall, cars stand for a while and drive on.
        The car stays where it touched, so that whoever reads the trace sees it, and goes no farther
        into it."""
        actors = [
            one for one in self.actors() if math.hypot(one.x - self.ego.x, one.y - self.ego.y) < 20
        ]
        boxes = np.array([(a.x, a.y, a.yaw, a.length, a.width) for a in actors]).reshape(-1, 5)
        mine = np.array([self.ego.x, self.ego.y, self.ego.yaw, *EGO_SIZE])
        touched, self._touched = self._touched, set[int]()
        for index in np.flatnonzero(touching(mine, boxes)):
            hit = actors[index]
            self._touched.add(hit.id)
            if hit.kind == "pedestrian":
                for walker in self.walkers.people:
                    if walker.id == hit.id and not walker.fallen:
                        walker.fallen = STEP
                continue
            if hit.kind == "vehicle" and hit.id not in touched:
                for one in self.traffic.cars:
                    if one.id == hit.id:
                        one.stunned = 2.0
            ahead = (hit.x - self.ego.x) * math.cos(self.ego.yaw) + (hit.y - self.ego.y) * math.sin(
                self.ego.yaw
            )
            if ahead > 0 or hit.kind == "static":
                self.ego.speed = 0.0
                if hit.id in touched:
                    self.ego.x, self.ego.y, self.ego.yaw = before

    def actors(self) -> list[Actor]:
        """Everybody who moves, and the scenery that the ego car could touch."""
        found = []
        for one in self.traffic.cars:
            x, y, _, yaw = one.pose
            found.append(Actor(one.id, "vehicle", x, y, yaw, one.length, one.width, one.speed))
        for walker in self.walkers.people:
            if not walker.fallen or walker.fallen < 1.0:
                speed = walker.speed if not walker.fallen else 0.0
                found.append(
                    Actor(
                        walker.id, "pedestrian", walker.x, walker.y, walker.yaw, *WALKER_SIZE, speed
                    )
                )
        blocks = self.scenery.obstacles
        reach = SEEN_SCENERY + np.hypot(blocks[:, 3], blocks[:, 4]) / 2
        near = np.hypot(blocks[:, 0] - self.ego.x, blocks[:, 1] - self.ego.y) < reach
        for x, y, yaw, length, width, id in blocks[near].tolist():
            found.append(Actor(int(id), "static", x, y, yaw, length, width))
        return found

    def light_ahead(self) -> LightAhead | None:
        """Of the route's next stop line within 50 m."""
        control = self.progress.next_control(self.scenario.rules, "light", EGO_SIZE[0] / 2)
        if control is None:
            return None
        which, distance = control
        return LightAhead(self.lights.state(which.subject, self.time), distance)

    def _observe(self, draw: bool) -> Observation:
        ego = self.ego
        pictures = {}
        if draw and self.scenario.cameras:
            pose = (ego.x, ego.y, ego.z, ego.yaw)
            pictures = self._painter.paint(
                self.scenario.cameras, pose, self._moving(), self._light()
            )
        ego.z = float(self.scenario.route.xyz[self.progress.index, 2])
        actors = [a for a in self.actors() if math.hypot(a.x - ego.x, a.y - ego.y) < SEEN_ACTORS]
        pose = (ego.x, ego.y, ego.z, ego.yaw)
        return Observation(
            self.frame, self.time, pose, ego.speed, pictures, actors, self.light_ahead()
        )

    def _light(self) -> Light:
        shadows = [(self.ego.x, self.ego.y, self.ego.yaw, *EGO_SIZE)]
        for one in self.traffic.cars:
            x, y, _, yaw = one.pose
            if math.hypot(x - self.ego.x, y - self.ego.y) < 60:
                shadows.append((x, y, yaw, one.length, one.width))
        dark = self.weather.night or self.weather.sun[0] < 7 or self.weather.visibility < 100
        return Light(self.weather, np.array(shadows), dark, self.frame)

    def _moving(self) -> list[Mesh]:
        parts: list[Mesh] = []
        for one in self.traffic.cars:
            x, y, z, yaw = one.pose
            if math.hypot(x - self.ego.x, y - self.ego.y) < 140:
                shape = self._shapes.get(one.id)
                if shape is None:
                    shape = self._shapes[one.id] = car(
                        one.length, one.width, one.height, one.colour, one.van
                    )
                parts.append(shape.placed(x, y, z, yaw, one.id))
        for walker in self.walkers.people:
            if math.hypot(walker.x - self.ego.x, walker.y - self.ego.y) < 90 and not walker.fallen:
                stride = round(math.sin(walker.walked * 3.6) * STRIDES)
                shape = self._people.get((walker.id, stride))
                if shape is None:
                    shape = person(walker.height, walker.clothes, stride / STRIDES)
                    self._people[walker.id, stride] = shape
                parts.append(shape.placed(walker.x, walker.y, walker.z, walker.yaw, walker.id))
        for number, head in enumerate(self.scenery.heads):
            if math.hypot(head[0][0] - self.ego.x, head[0][1] - self.ego.y) < 120:
                parts.append(_lamps(self.scenery, number, self.lights.state(number, self.time)))
        return parts


@lru_cache(maxsize=512)
def _lamps_cached(key: tuple) -> Mesh:
    place, yaw, state = key
    return lamps_of((np.array(place), yaw), state)


def _lamps(scenery: Scenery, number: int, state: str) -> Mesh:
    place, yaw = scenery.heads[number]
    return _lamps_cached((tuple(place.tolist()), yaw, state))


_sceneries: dict[tuple[int, int], tuple[LaneGraph, Scenery]] = {}


def _scenery(graph: LaneGraph, rules: Rules, look: int) -> Scenery:
    """Built once per map and look; only the latest few are kept."""
    key = (id(graph), look)
    if key not in _sceneries or _sceneries[key][0] is not graph:
        while len(_sceneries) >= 4:
            _sceneries.pop(next(iter(_sceneries)))
        _sceneries[key] = (graph, build_scenery(graph, rules, look))
    return _sceneries[key][1]
