"""What stands beside the roads: houses, trees, lamps, fences, lights and signs."""

import math
from dataclasses import dataclass, field

import numpy as np

from carla_drive.roads.graph import LaneGraph, Strip
from carla_drive.roads.rules import Rules
from carla_drive.world import labels
from carla_drive.world.ground import KERB, ground
from carla_drive.world.meshes import (
    BRICK,
    FACADE,
    FOLIAGE,
    GLOW,
    METAL,
    PLAIN,
    ROOF,
    Mesh,
    box,
    column,
    crown,
    joined,
    mesh,
    quads,
)

CELL = 1.0  # m of the map of what is taken
WALLS = np.array(
    [
        (0.72, 0.66, 0.56), (0.62, 0.36, 0.28), (0.78, 0.76, 0.72), (0.55, 0.50, 0.46),
        (0.80, 0.70, 0.48), (0.50, 0.55, 0.60), (0.66, 0.52, 0.42), (0.88, 0.84, 0.78),
    ]
)  # fmt: skip
LAMP_HEIGHT, LIGHT_HEIGHT = 5.6, 3.1  # m
STATIC_IDS = 1_000_000  # instance ids of what does not move begin here


@dataclass
class Scenery:
    """``mesh`` of all that does not move; ``lamps`` (N, 3) street lamps; ``obstacles`` (N, 6) x, y,
    yaw, length, width, id of what a car can hit; ``heads`` of each light the place of its lamps
    (3,) and where they shine."""

    mesh: Mesh
    lamps: np.ndarray
    obstacles: np.ndarray
    heads: list[tuple[np.ndarray, float]]


class _Taken:
    """Which square metres are roads, pavements or houses already."""

    def __init__(self, graph: LaneGraph):
        self.low = graph.all_points.min(axis=0) - 80
        shape = np.ceil((graph.all_points.max(axis=0) + 80 - self.low) / CELL).astype(int)
        self.cells = np.zeros(shape, bool)
        for strip in graph.strips:
            count = max(2, int(np.linalg.norm(strip.outer - strip.inner, axis=1).max() / 0.5) + 2)
            for share in np.linspace(0, 1, count):
                self.mark(strip.inner[:, :2] * (1 - share) + strip.outer[:, :2] * share)

    def _at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = ((points - self.low) / CELL).astype(int)
        index = np.clip(index, 0, np.array(self.cells.shape) - 1)
        return index[:, 0], index[:, 1]

    def mark(self, points: np.ndarray) -> None:
        self.cells[self._at(points)] = True

    def free(self, points: np.ndarray) -> bool:
        return not self.cells[self._at(points)].any()


@dataclass
class _Builder:
    taken: _Taken
    rng: np.random.Generator
    parts: list[Mesh] = field(default_factory=list)
    lamps: list = field(default_factory=list)
    obstacles: list = field(default_factory=list)
    count: int = 0

    def add(self, shape: np.ndarray, material: int, label: int, colour) -> None:
        self.parts.append(mesh(shape, material, label, colour, STATIC_IDS + self.count))

    def block(self, x: float, y: float, yaw: float, length: float, width: float) -> None:
        """Something that a car can hit."""
        self.obstacles.append((x, y, yaw, length, width, STATIC_IDS + self.count))


def build_scenery(graph: LaneGraph, rules: Rules, seed: int = 0) -> Scenery:
    """The same for the same map and seed."""
    build = _Builder(_Taken(graph), np.random.default_rng(seed))
    build.parts += list(ground(graph, rules))
    heads = [_light(build, light) for light in rules.lights]
    for sign in rules.signs:
        _stop_sign(build, sign)
    edges = [strip for strip in _outer_edges(graph) if len(strip[0]) > 6]
    for edge, outward, _ in edges:
        _houses(build, edge, outward)
    for edge, outward, paved in edges:
        _furniture(build, edge, outward, paved)
    _far_houses(build, graph)
    obstacles = np.array(build.obstacles).reshape(-1, 6)
    return Scenery(joined(build.parts), np.array(build.lamps).reshape(-1, 3), obstacles, heads)


def _outer_edges(graph: LaneGraph) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """The outermost edges (N, 3) of roads between junctions, where outwards is (N, 2), and the
    metres of pavement inside the edge."""
    outermost: dict[tuple[str, int, bool], Strip] = {}
    for strip in graph.strips:
        side = (strip.road, strip.section, strip.lane_id > 0)
        if strip.lane_id and abs(strip.lane_id) > abs(getattr(outermost.get(side), "lane_id", 0)):
            outermost[side] = strip
    edges = []
    for strip in outermost.values():
        across = strip.outer[:, :2] - strip.inner[:, :2]
        width = np.linalg.norm(across, axis=1, keepdims=True)
        if not strip.in_junction and width.min() > 0.05:
            paved = float(width.min()) if strip.kind == "sidewalk" else 0.0
            edges.append((strip.outer, across / width, paved))
    return edges


def _footprint(x: float, y: float, yaw: float, length: float, width: float) -> np.ndarray:
    a, b = np.meshgrid(
        np.arange(-length / 2, length / 2 + 0.5, 0.8), np.arange(-width / 2, width / 2 + 0.5, 0.8)
    )
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.column_stack(
        [x + a.ravel() * cos - b.ravel() * sin, y + a.ravel() * sin + b.ravel() * cos]
    )


def _houses(build: _Builder, edge: np.ndarray, outward: np.ndarray) -> None:
    rng = build.rng
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))])
    built_up = rng.random() < 0.85
    at = rng.uniform(0, 6)
    while at < s[-1]:
        length, depth = rng.uniform(9, 22), rng.uniform(8, 16)
        height = rng.uniform(5, 11) if rng.random() < 0.6 else rng.uniform(11, 26)
        middle = at + length / 2
        i = min(int(np.searchsorted(s, middle)), len(edge) - 1)
        back = rng.choice([0.6, 1.0, 3.0, 7.0])
        x, y = edge[i, :2] + outward[i] * (depth / 2 + back)
        yaw = math.atan2(outward[i, 1], outward[i, 0]) + math.pi / 2
        area = _footprint(x, y, yaw, length, depth)
        if built_up and rng.random() < 0.85 and build.taken.free(area):
            build.taken.mark(area)
            build.count += 1
            _house(build, x, y, edge[i, 2], yaw, length, depth, height)
        at += length + rng.choice([0.8, 1.5, 4.0, 9.0])


def _house(build, x, y, z, yaw, length, depth, height) -> None:
    rng = build.rng
    tone = np.clip(
        WALLS[rng.integers(len(WALLS))] * rng.uniform(0.8, 1.15) + rng.normal(0, 0.03, 3), 0.1, 1
    )
    shape = box((x, y, z - 0.1), (length, depth, height), yaw)
    build.add(shape[:8], FACADE, labels.BUILDING, tone)
    if height < 12 and rng.random() < 0.6:
        gable = box(
            (x, y, z - 0.1 + height),
            (length * 1.05, depth * 1.1, rng.uniform(1.5, 3.5)),
            yaw,
            top=0.35,
        )
        build.add(
            gable,
            ROOF,
            labels.BUILDING,
            rng.choice([(0.45, 0.24, 0.18), (0.3, 0.3, 0.32), (0.38, 0.3, 0.25)]),
        )
    else:
        build.add(shape[8:], ROOF, labels.BUILDING, (0.4, 0.4, 0.4))
        cap = box((x, y, z - 0.1 + height), (length * 1.02, depth * 1.02, 0.5), yaw)
        build.add(cap, PLAIN, labels.BUILDING, tone * 0.8)
    build.block(x, y, yaw, length, depth)


def _far_houses(build: _Builder, graph: LaneGraph) -> None:
    """A skyline around the town, so that no street ends at the horizon."""
    low, high = graph.all_points.min(axis=0), graph.all_points.max(axis=0)
    rng, z = build.rng, float(graph.lanes[0].points[0, 2])
    for _ in range(160):
        x, y = rng.uniform(low - 75, high + 75)
        length, depth, height = rng.uniform(10, 26), rng.uniform(10, 22), rng.uniform(7, 32)
        yaw = rng.choice([0.0, math.pi / 2]) + rng.normal(0, 0.05)
        area = _footprint(x, y, yaw, length + 8, depth + 8)
        if build.taken.free(area):
            build.taken.mark(area)
            build.count += 1
            _house(build, x, y, z, yaw, length, depth, height)


def _furniture(build: _Builder, edge: np.ndarray, outward: np.ndarray, paved: float) -> None:
    """Lamps stand on the pavement near the road, or beside a road that has none; benches and bins
    only on a pavement."""
    rng = build.rng
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(edge, axis=0), axis=1))])
    lamp_at, at = rng.uniform(4, 14), rng.uniform(2, 8)
    for k in range(int(s[-1] // 26) + 1):
        where = lamp_at + 26 * k
        if where < s[-1] - 3:
            i = int(np.searchsorted(s, where))
            inside = min(2.6, paved - 0.5) if paved > 1.2 else -0.8
            _lamp(build, edge[i] - np.append(outward[i], 0) * inside, outward[i])
    wall = rng.random()
    while at < s[-1] - 2:
        i = int(np.searchsorted(s, at))
        place, out = edge[i, :2], outward[i]
        spot = place + out * rng.uniform(0.8, 4.0)
        if build.taken.free(spot[None]):
            if rng.random() < 0.6:
                _tree(build, spot[0], spot[1], edge[i, 2], rng.uniform(0.7, 1.3))
            elif rng.random() < 0.7:
                build.count += 1
                bush = crown((*spot, edge[i, 2] + 0.5), rng.uniform(0.6, 1.3), 1.3, rng)
                build.add(bush, FOLIAGE, labels.VEGETATION, (0.20, 0.32, 0.12))
        elif paved > 2.0 and rng.random() < 0.35:
            _small(build, edge[i] - np.append(out, 0) * rng.uniform(0.5, 1.2), out)
        at += rng.uniform(4, 13)
    if wall < 0.35:
        _fence(build, edge, outward, brick=wall < 0.15)


def _fence(build: _Builder, edge: np.ndarray, outward: np.ndarray, *, brick: bool) -> None:
    line = edge[:, :2] + outward * 0.4
    for i in range(0, len(line) - 3, 3):
        a, b = line[i], line[i + 3]
        if not build.taken.free((a + outward[i] * 1.2)[None]):
            continue
        build.count += 1
        middle, along = (a + b) / 2, b - a
        size = (float(np.linalg.norm(along)) + 0.05, 0.18 if brick else 0.06, 1.5 if brick else 1.1)
        shape = box((*middle, edge[i, 2]), size, math.atan2(along[1], along[0]))
        if brick:
            build.add(shape, BRICK, labels.WALL, (0.55, 0.36, 0.29))
        else:
            build.add(shape, METAL, labels.FENCE, (0.32, 0.34, 0.33))
        yaw = math.atan2(along[1], along[0])
        build.block(middle[0], middle[1], yaw, size[0], size[1])


def _tree(build: _Builder, x: float, y: float, z: float, scale: float) -> None:
    rng = build.rng
    build.count += 1
    trunk = rng.uniform(1.6, 2.6) * scale
    build.add(
        column((x, y, z - 0.1), 0.16 * scale, trunk + 0.8),
        PLAIN,
        labels.VEGETATION,
        (0.28, 0.21, 0.15),
    )
    green = np.array([0.18, 0.33, 0.10]) + rng.normal(0, 0.03, 3)
    for _ in range(2):
        offset = rng.uniform(-0.5, 0.5, 3) * scale
        leaves = crown(
            (np.array([x, y, z + trunk + 1.6 * scale]) + offset).tolist(),
            1.7 * scale,
            3.4 * scale,
            rng,
        )
        build.add(leaves, FOLIAGE, labels.VEGETATION, np.clip(green, 0.05, 0.6))
    build.block(x, y, 0.0, 0.4, 0.4)


def _lamp(build: _Builder, place: np.ndarray, outward: np.ndarray) -> None:
    x, y, z = place[0], place[1], place[2] + KERB
    build.count += 1
    build.add(column((x, y, z), 0.09, LAMP_HEIGHT), METAL, labels.POLE, (0.30, 0.31, 0.32))
    tip = np.array([x, y]) - outward * 1.6
    yaw = math.atan2(outward[1], outward[0])
    arm = box(
        ((x + tip[0]) / 2, (y + tip[1]) / 2, z + LAMP_HEIGHT - 0.1),
        (1.7, 0.08, 0.08),
        yaw,
        floor=True,
    )
    build.add(arm, METAL, labels.POLE, (0.30, 0.31, 0.32))
    bulb = box((*tip, z + LAMP_HEIGHT - 0.2), (0.6, 0.25, 0.12), yaw, floor=True)
    build.add(bulb, GLOW, labels.POLE, (0.9, 0.85, 0.7))
    build.lamps.append((*tip, z + LAMP_HEIGHT - 0.2))
    build.block(x, y, 0.0, 0.25, 0.25)


def _small(build: _Builder, place: np.ndarray, outward: np.ndarray) -> None:
    """A bench, a bin, a box on the pavement."""
    rng = build.rng
    build.count += 1
    yaw = math.atan2(outward[1], outward[0]) + math.pi / 2
    size = [(1.6, 0.5, 0.5), (0.5, 0.5, 1.0), (0.9, 0.5, 1.3)][rng.integers(3)]
    tone = [(0.42, 0.28, 0.18), (0.18, 0.28, 0.20), (0.45, 0.47, 0.48)][rng.integers(3)]
    build.add(box((place[0], place[1], place[2] + KERB), size, yaw), PLAIN, labels.STATIC, tone)
    build.block(place[0], place[1], yaw, size[0], size[1])


def _light(build: _Builder, light) -> tuple[np.ndarray, float]:
    x, y, z = light.place
    build.count += 1
    build.add(column((x, y, z), 0.1, LIGHT_HEIGHT + 0.2), METAL, labels.POLE, (0.22, 0.23, 0.23))
    ahead = np.array([math.cos(light.yaw), math.sin(light.yaw)])
    case = np.array([x, y]) + ahead * 0.22
    shape = box((*case, z + LIGHT_HEIGHT - 0.55), (0.26, 0.46, 1.3), light.yaw, floor=True)
    build.add(shape, PLAIN, labels.LIGHT, (0.07, 0.07, 0.07))
    build.block(x, y, 0.0, 0.3, 0.3)
    return np.array([*(case + ahead * 0.14), z + LIGHT_HEIGHT + 0.1]), light.yaw


def _stop_sign(build: _Builder, sign) -> None:
    x, y, z = sign.place
    build.count += 1
    build.add(column((x, y, z), 0.05, 2.3), METAL, labels.POLE, (0.5, 0.5, 0.5))
    ahead = np.array([math.cos(sign.yaw), math.sin(sign.yaw)])
    side = np.array([-ahead[1], ahead[0]])
    angle = np.arange(8) * math.pi / 4 + math.pi / 8
    middle = np.array([x, y]) + ahead * 0.08
    flat = middle + np.cos(angle)[:, None] * 0.42 * side
    ring = np.column_stack([flat, z + 2.4 + 0.42 * np.sin(angle)])
    fan = np.array([[ring[0], ring[i], ring[i + 1]] for i in range(1, 7)])
    build.add(fan, PLAIN, labels.SIGN, (0.75, 0.08, 0.08))
    bar = [
        [*(middle + ahead * 0.01 + side * a), z + 2.4 + b]
        for a, b in ((-0.28, -0.07), (0.28, -0.07), (0.28, 0.07), (-0.28, 0.07))
    ]
    build.add(quads(np.array([bar])), PLAIN, labels.SIGN, (0.95, 0.95, 0.95))
    build.block(x, y, 0.0, 0.2, 0.2)


def lamps_of(head: tuple[np.ndarray, float], state: str) -> Mesh:
    """The three lamps of a light in its ``state``: red, yellow or green."""
    (place, yaw), parts = head, []
    side = np.array([-math.sin(yaw), math.cos(yaw)])
    lit = {"red": (1.0, 0.06, 0.04), "yellow": (1.0, 0.72, 0.05), "green": (0.10, 1.0, 0.35)}
    for number, (name, tone) in enumerate(lit.items()):
        z = place[2] + 0.4 * (1 - number) - 0.0
        angle = np.arange(6) * math.pi / 3
        flat = place[:2] + np.cos(angle)[:, None] * 0.17 * side
        ring = np.column_stack([flat, z + 0.17 * np.sin(angle)])
        fan = np.array([[ring[0], ring[i], ring[i + 1]] for i in range(1, 5)])
        on = name == state
        colour = tone if on else tuple(0.12 * part for part in tone)
        parts.append(mesh(fan, GLOW if on else PLAIN, labels.LIGHT, colour))
    return joined(parts)
