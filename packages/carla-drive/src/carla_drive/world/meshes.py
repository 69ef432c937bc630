"""Shapes made of triangles, each with a material, a label and a colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carla_drive.world import labels

(
    PLAIN, ASPHALT, PAVING, GRASS, FACADE, FOLIAGE, GLOW, PAINT, BRICK, ROOF, METAL, GLASS,
) = range(12)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    """``vertices`` (T, 3, 3) metres, ``material`` (T,), ``label`` (T,), ``colour`` (T, 3) in 0..1,
    ``instance`` (T,)."""

    vertices: np.ndarray
    material: np.ndarray
    label: np.ndarray
    colour: np.ndarray
    instance: np.ndarray

    def part(self, kept: np.ndarray) -> "Mesh":
        """Some of its triangles, by a mask or by numbers."""
        return Mesh(
            self.vertices[kept],
            self.material[kept],
            self.label[kept],
            self.colour[kept],
            self.instance[kept],
        )

    def placed(self, x: float, y: float, z: float, yaw: float, instance: int) -> "Mesh":
        """Turned by ``yaw`` (radians) and moved."""
        cos, sin = math.cos(yaw), math.sin(yaw)
        turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        moved = self.vertices @ turn + (x, y, z)
        which = np.full(len(moved), instance, np.int32)
        return Mesh(moved, self.material, self.label, self.colour, which)


def mesh(
    triangles: np.ndarray, material: int, label: int, colour: Sequence[float], instance: int = 0
) -> Mesh:
    """Triangles (T, 3, 3) of one kind."""
    count = len(triangles)
    return Mesh(
        np.asarray(triangles, float),
        np.full(count, material, np.int16),
        np.full(count, label, np.uint8),
        np.tile(np.asarray(colour, np.float32), (count, 1)),
        np.full(count, instance, np.int32),
    )


def joined(meshes: Sequence[Mesh]) -> Mesh:
    if not meshes:
        return mesh(np.zeros((0, 3, 3)), PLAIN, 0, (0, 0, 0))
    names = ("vertices", "material", "label", "colour", "instance")
    return Mesh(*(np.concatenate([getattr(one, name) for one in meshes]) for name in names))


def quads(corners: np.ndarray) -> np.ndarray:
    """(N, 4, 3) corners in a circle to (2 N, 3, 3) triangles."""
    corners = np.asarray(corners, float).reshape(-1, 4, 3)
    return np.stack([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]], axis=1).reshape(-1, 3, 3)


def box(
    centre: Sequence[float],
    size: Sequence[float],
    yaw: float = 0.0,
    top: float = 1.0,
    *,
    floor: bool = False,
) -> np.ndarray:
    """Triangles of a box; ``centre`` is that of its underside. ``top`` shrinks the upper face. Its
    last two triangles (before the floor's) are the roof."""
    length, width, height = size
    low = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * (length / 2, width / 2)
    high = low * top
    cos, sin = math.cos(yaw), math.sin(yaw)
    turn = np.array([[cos, sin], [-sin, cos]])
    below = np.column_stack([low @ turn, np.zeros(4)]) + centre
    above = np.column_stack([high @ turn, np.full(4, height)]) + centre
    faces = [[below[i], below[(i + 1) % 4], above[(i + 1) % 4], above[i]] for i in range(4)]
    faces.append(list(above))
    if floor:
        faces.append(list(below))
    return quads(np.array(faces))


def column(centre: Sequence[float], radius: float, height: float, sides: int = 6) -> np.ndarray:
    """A round post."""
    angle = np.arange(sides + 1) * 2 * math.pi / sides
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) * radius + np.asarray(centre)[:2]
    low = np.column_stack([ring, np.full(sides + 1, centre[2])])
    high = np.column_stack([ring, np.full(sides + 1, centre[2] + height)])
    return quads(np.stack([low[:-1], low[1:], high[1:], high[:-1]], axis=1))


def crown(
    centre: Sequence[float], radius: float, height: float, rng: np.random.Generator
) -> np.ndarray:
    """A lumpy ball of leaves: 8 sides, 5 rings."""
    sides, rings = 8, 5
    angle = np.arange(sides) * 2 * math.pi / sides + rng.uniform(0, 1)
    rows = []
    for level in np.linspace(0, math.pi, rings):
        wide = max(math.sin(level), 0.05) * radius * rng.uniform(0.8, 1.2, sides)
        z = np.full(sides, -math.cos(level) * height / 2)
        rows.append(np.column_stack([np.cos(angle) * wide, np.sin(angle) * wide, z]) + centre)
    faces = [
        [rows[k][i], rows[k][(i + 1) % sides], rows[k + 1][(i + 1) % sides], rows[k + 1][i]]
        for k in range(rings - 1)
        for i in range(sides)
    ]
    return quads(np.array(faces))


def car(length: float, width: float, height: float, colour: Sequence[float], van: bool) -> Mesh:
    """A car with its middle at the origin, facing x: body, glass, wheels and lights."""
    vehicle, waist = labels.VEHICLE, 0.55 * height if not van else 0.6 * height
    body = box((0, 0, 0.28), (length, width, waist - 0.28), top=0.97, floor=True)
    cabin_length, cabin_x = (
        (0.56 * length, -0.05 * length) if not van else (0.9 * length, -0.04 * length)
    )
    cabin = box(
        (cabin_x, 0, waist),
        (cabin_length, width * 0.94, height - waist),
        top=0.8 if not van else 0.92,
    )
    roof = cabin[8:10]
    parts = [
        mesh(body, METAL, vehicle, colour),
        mesh(cabin[:8], GLASS, vehicle, (0.10, 0.13, 0.16))
        if not van
        else mesh(cabin[:8], METAL, vehicle, colour),
        mesh(roof, METAL, vehicle, colour),
    ]
    if van:
        front = cabin_x + cabin_length / 2 * 0.97 + 0.05
        pane = [
            (front, y, z)
            for y, z in (
                (-0.4 * width, waist),
                (0.4 * width, waist),
                (0.38 * width, height * 0.9),
                (-0.38 * width, height * 0.9),
            )
        ]
        parts.append(mesh(quads(np.array([pane])), GLASS, vehicle, (0.10, 0.13, 0.16)))
    for x in (-0.31, 0.31):
        for y in (-0.5, 0.5):
            wheel = box((x * length, y * (width - 0.1), 0.0), (0.66, 0.16, 0.66), floor=True)
            parts.append(mesh(wheel, PLAIN, vehicle, (0.05, 0.05, 0.05)))
    for y in (-0.36, 0.36):
        for x, tone in ((0.5, (1.0, 0.97, 0.85)), (-0.5, (0.75, 0.03, 0.03))):
            lamp = box((x * length * 0.985, y * width, 0.6), (0.08, 0.32, 0.16), floor=True)
            parts.append(mesh(lamp, GLOW, vehicle, tone))
    plate = box((-0.5 * length, 0, 0.45), (0.06, 0.5, 0.13))
    parts.append(mesh(plate, PLAIN, vehicle, (0.85, 0.85, 0.8)))
    return joined(parts)


def person(height: float, clothes: Sequence[Sequence[float]], stride: float) -> Mesh:
    """Somebody who faces x; ``stride`` in -1..1 says where the legs are."""
    top, trousers, skin = clothes
    swing = 0.22 * stride
    parts = [
        (box((swing, 0.09, 0), (0.16, 0.14, 0.48 * height)), trousers),
        (box((-swing, -0.09, 0), (0.16, 0.14, 0.48 * height)), trousers),
        (box((0, 0, 0.46 * height), (0.26, 0.44, 0.37 * height), top=0.9), top),
        (box((-swing * 0.8, 0.27, 0.47 * height), (0.12, 0.11, 0.34 * height)), top),
        (box((swing * 0.8, -0.27, 0.47 * height), (0.12, 0.11, 0.34 * height)), top),
        (box((0, 0, 0.86 * height), (0.2, 0.18, 0.14 * height), floor=True), skin),
    ]
    return joined([mesh(shape, PLAIN, labels.PEDESTRIAN, tone) for shape, tone in parts])
