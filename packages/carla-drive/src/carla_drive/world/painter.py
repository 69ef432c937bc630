"""Pictures of the scene: pixels get materials, light, fog, rain."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carla_drive.world import labels
from carla_drive.world.camera import FAR, Camera, Picture
from carla_drive.world.meshes import Mesh, joined
from carla_drive.world.raster import numba, rasterise
from carla_drive.world.scenery import Scenery
from carla_drive.world.shading import Air, shade
from carla_drive.world.toning import tone
from carla_drive.world.weather import Weather

REACH = 170.0  # m: what is farther off is not drawn
MOVED = 12.0  # m that the car may move before the scenery around it is gathered again
LAMP_REACH = 60.0  # m within which a street lamp is reckoned with


@dataclass(frozen=True)
class Light:
    """What shines on the scene for one frame. ``shadows`` (N, 5) are x, y, yaw, length, width of
    what throws one; ``headlights`` says whether the ego car's are on."""

    weather: Weather
    shadows: np.ndarray
    headlights: bool
    seed: int = 0


class Painter:
    """Draws a scenery and what moves in it. ``gain`` (3,) tints every picture, as cameras do."""

    def __init__(
        self, scenery: Scenery, *, gain: Sequence[float] = (1, 1, 1), compiled: bool | None = None
    ):
        self.scenery, self.gain, self.compiled = scenery, np.asarray(gain, float), compiled
        self._centres, self._radius = _bounds(scenery.mesh.vertices)
        self._near: tuple[float, float, Mesh, np.ndarray, np.ndarray] | None = None

    def paint(
        self,
        cameras: Sequence[Camera],
        pose: tuple[float, float, float, float],
        moving: Sequence[Mesh],
        light: Light,
    ) -> dict[str, Picture]:
        """A picture for each camera of a car at ``pose`` x, y, z, yaw (radians)."""
        still, centres, radius = self._still(pose[0], pose[1])
        others = joined(moving)
        more, wide = _bounds(others.vertices)
        scene = joined([still, others])
        bounds = np.concatenate([centres, more]), np.concatenate([radius, wide])
        air = self._air(light, pose)
        return {
            camera.name: self._picture(camera, pose, scene, bounds, air, light)
            for camera in cameras
        }

    def _still(self, x: float, y: float) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """The scenery around a place, kept for as long as the car is near it."""
        if self._near is None or np.hypot(self._near[0] - x, self._near[1] - y) > MOVED:
            away = np.hypot(self._centres[:, 0] - x, self._centres[:, 1] - y)
            kept = away - self._radius < REACH + MOVED
            part = self.scenery.mesh.part(kept)
            self._near = x, y, part, self._centres[kept], self._radius[kept]
        return self._near[2:]

    def _picture(
        self, camera: Camera, pose, scene: Mesh, bounds, air: Air, light: Light
    ) -> Picture:
        eye, axes = camera.pose(*pose)
        scene = scene.part(_visible(camera, eye, axes, *bounds))
        corners = ((scene.vertices.reshape(-1, 3) - eye) @ axes.T).reshape(-1, 3, 3)
        index, depth = rasterise(
            corners, camera.focal, camera.width, camera.height, compiled=self.compiled
        )
        is_sky = index < 0
        depth[is_sky] = FAR
        # One more triangle, that of the sky, stands at the end: index -1 finds it.
        semantics = np.append(scene.label, np.uint8(labels.SKY))[index]
        instances = np.append(scene.instance, np.int32(0))[index]
        rgb = np.empty((*index.shape, 3), np.uint8)
        fast = numba is not None if self.compiled is None else self.compiled
        (shade if fast else tone)(
            index,
            depth,
            scene.vertices,
            scene.material,
            scene.colour.astype(float),
            scene.instance,
            scene.label,
            eye,
            axes,
            camera.focal,
            _thrown(light.shadows),
            self._lamps(pose),
            _streaks(index.shape, light),
            air,
            rgb,
        )
        return Picture(rgb, depth.astype(np.float32), semantics, instances)

    def _air(self, light: Light, pose: tuple[float, float, float, float]) -> Air:
        weather, (x, y, z, yaw) = light.weather, pose
        sun = weather.sun_direction
        horizon, above = weather.sky
        push = -sun[:2] / max(float(sun[2]), 0.35) * 0.7
        return Air(
            weather.night,
            light.headlights,
            _triple(sun),
            _triple(weather.sunlight),
            _triple(weather.ambient),
            _triple(horizon),
            _triple(above),
            float(weather.cloud),
            float(weather.wet),
            float(weather.visibility),
            (float(push[0]), float(push[1])),
            (float(x), float(y), float(z), math.cos(yaw), math.sin(yaw)),
            _triple(self.gain),
        )

    def _lamps(self, pose: tuple[float, float, float, float]) -> np.ndarray:
        """(K, 3) places of the nearest street lamps."""
        lamps = self.scenery.lamps.reshape(-1, 3)
        distance = np.hypot(lamps[:, 0] - pose[0], lamps[:, 1] - pose[1])
        chosen = np.argsort(distance, kind="stable")[:10]
        return np.ascontiguousarray(lamps[chosen[distance[chosen] < LAMP_REACH]], np.float64)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    a, b, c = (float(value) for value in values)
    return a, b, c


def _thrown(shadows: np.ndarray) -> np.ndarray:
    """(N, 6) x, y, cosine, sine, half the length and width of ``Light.shadows``."""
    x, y, yaw, length, width = np.asarray(shadows, float).reshape(-1, 5).T
    return np.stack([x, y, np.cos(yaw), np.sin(yaw), length / 2, width / 2], axis=1)


def _bounds(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle (T, 3) and radius (T,) of each triangle."""
    centres = vertices.mean(axis=1)
    if not len(vertices):
        return centres, np.zeros(0)
    return centres, np.linalg.norm(vertices - centres[:, None], axis=2).max(axis=1)


def _visible(camera: Camera, place, axes, centres: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """(T,) whether a triangle may be in the picture: its ball reaches into the camera's view."""
    x, y, z = ((centres - place) @ axes.T).T
    slope_x, slope_y = camera.width / 2 / camera.focal, camera.height / 2 / camera.focal
    wide, tall = np.sqrt(1 + slope_x**2), np.sqrt(1 + slope_y**2)
    return (
        (z > -radius)
        & (np.abs(x) < z * slope_x + radius * wide)
        & (np.abs(y) < z * slope_y + radius * tall)
    )


def _streaks(shape: tuple[int, int], light: Light) -> np.ndarray:
    field = np.zeros(shape)
    if light.weather.rain == 0:
        return field
    rng = np.random.default_rng(light.seed)
    height, width = shape
    drops = int(light.weather.rain * height * width / 260)
    column, row = rng.integers(0, width, drops), rng.integers(-8, height, drops)
    strength = rng.uniform(0.02, 0.11, drops)
    for step in range(9):
        y = row + step
        good = (y >= 0) & (y < height)
        field[y[good], column[good]] += strength[good]
    return field if not light.weather.night else field * 0.35
