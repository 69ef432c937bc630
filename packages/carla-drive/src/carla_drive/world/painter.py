"""Pictures of the scene: pixels get materials, light, fog, rain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carla_drive.world import labels
from carla_drive.world.camera import FAR, Camera, Picture
from carla_drive.world.meshes import (
    ASPHALT,
    BRICK,
    FACADE,
    FOLIAGE,
    GLASS,
    GLOW,
    GRASS,
    METAL,
    PAINT,
    PAVING,
    ROOF,
    Mesh,
    joined,
)
from carla_drive.world.raster import rasterise
from carla_drive.world.scenery import Scenery
from carla_drive.world.weather import Weather

REACH = 170.0  # m: what is farther off is not drawn
HEADLIGHT_REACH = 38.0  # m
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
        self.scenery, self.gain, self.compiled = scenery, np.asarray(gain, np.float32), compiled
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
        return {
            camera.name: self._picture(camera, pose, scene, bounds, light) for camera in cameras
        }

    def _still(self, x: float, y: float) -> tuple[Mesh, np.ndarray, np.ndarray]:
        """The scenery around a place, kept for as long as the car is near it."""
        if self._near is None or np.hypot(self._near[0] - x, self._near[1] - y) > MOVED:
            away = np.hypot(self._centres[:, 0] - x, self._centres[:, 1] - y)
            kept = away - self._radius < REACH + MOVED
            part = self.scenery.mesh.part(kept)
            self._near = x, y, part, self._centres[kept], self._radius[kept]
        return self._near[2:]

    def _picture(self, camera: Camera, pose, scene: Mesh, bounds, light: Light) -> Picture:
        place, axes = camera.pose(*pose)
        seen = _visible(camera, place, axes, *bounds)
        scene = scene.part(seen)
        corners = ((scene.vertices.reshape(-1, 3) - place) @ axes.T).reshape(-1, 3, 3)
        index, depth = rasterise(
            corners, camera.focal, camera.width, camera.height, compiled=self.compiled
        )
        size, flat = index.shape, index.ravel()
        hit, nothing = np.flatnonzero(flat >= 0), np.flatnonzero(flat < 0)
        triangle = flat[hit]
        away = np.full(flat.shape, FAR, np.float32)
        away[hit] = depth.ravel()[hit]
        semantics = np.full(flat.shape, labels.SKY, np.uint8)
        semantics[hit] = scene.label[triangle]
        instances = np.zeros(flat.shape, np.int32)
        instances[hit] = scene.instance[triangle]
        rays = camera.rays().reshape(-1, 3) @ axes.astype(np.float32)
        colour = np.empty((len(flat), 3), np.float32)
        colour[nothing] = self._sky(rays[nothing], light.weather)
        if len(hit):
            colour[hit] = self._surface(scene, triangle, place, rays[hit], away[hit], pose, light)
        away, semantics = away.reshape(size), semantics.reshape(size)
        colour = self._air(colour.reshape(*size, 3), away, semantics, light)
        return Picture(_to_bytes(colour * self.gain), away, semantics, instances.reshape(size))

    def _sky(self, rays: np.ndarray, weather: Weather) -> np.ndarray:
        horizon, above = (part.astype(np.float32) for part in weather.sky)
        length = _length(rays)[:, None]
        up = np.clip(rays[..., 2:] / length, 0, 1)
        share = np.sqrt(up)
        sky = horizon * (1 - share) + above * share
        if not weather.night:
            towards = np.clip((rays / length) @ weather.sun_direction.astype(np.float32), 0, 1)
            halo = towards * towards
            halo = halo * halo
            glare = (halo * halo * halo * halo * halo)[..., None]
            sky = sky + glare * weather.sunlight.astype(np.float32) * 0.8
            clouds = _noise(
                rays[..., 0] / (up[..., 0] + 0.15) * 3, rays[..., 1] / (up[..., 0] + 0.15) * 3, 7
            )
            cloud = np.clip(clouds - 0.62 + 0.45 * weather.cloud, 0, 0.4)[..., None]
            sky = sky + cloud * np.float32(0.5) * (1 - weather.cloud * 0.7)
        return sky.astype(np.float32)

    def _surface(self, scene: Mesh, triangle, place, rays, depth, pose, light: Light) -> np.ndarray:
        """(N, 3) colours of points that are ``depth`` away on ``rays``."""
        weather = light.weather
        point = rays * depth[:, None] + place.astype(np.float32)
        normal = _normals(scene.vertices)[triangle]
        normal *= np.where(_dot(normal, rays) > 0, np.float32(-1), np.float32(1))[:, None]
        colour, glow, shine = _materials(scene, triangle, point, normal, depth, weather)
        direct = np.clip(normal @ weather.sun_direction.astype(np.float32), 0, 1)
        flat = normal[:, 2] > 0.9
        direct[flat] *= 1 - _shadow(point[flat], light)
        lit = weather.ambient.astype(np.float32) * (0.75 + 0.25 * normal[:, 2:]) + (
            direct[:, None] * weather.sunlight.astype(np.float32)
        )
        if light.headlights:
            lit = lit + _headlights(point, normal, pose)
        if weather.night:
            lit = lit + self._lamps(point, normal, pose)
        lit = np.where(glow[:, None] > 0, np.maximum(glow[:, None], lit), lit)
        colour = colour * lit
        if weather.wet > 0:
            colour = _wet(colour, rays, point, flat, scene.label[triangle], shine, weather)
        return colour

    def _lamps(self, point: np.ndarray, normal: np.ndarray, pose) -> np.ndarray:
        lamps = self.scenery.lamps
        if not len(lamps):
            return np.zeros((len(point), 1), np.float32)
        distance = np.hypot(lamps[:, 0] - pose[0], lamps[:, 1] - pose[1])
        chosen = np.argsort(distance, kind="stable")[:10]
        total = np.zeros(len(point), np.float32)
        for lamp in lamps[chosen[distance[chosen] < LAMP_REACH]].astype(np.float32):
            away = lamp - point
            square = _dot(away, away) + np.float32(0.3)
            facing, down = np.maximum(_dot(away, normal), 0), np.maximum(away[:, 2], 0)
            total += np.float32(16) * facing * down / (square * (square + np.float32(6)))
        return np.minimum(total, 1.4)[:, None] * np.array([1.0, 0.82, 0.55], np.float32)

    def _air(self, colour, depth, semantics, light: Light) -> np.ndarray:
        weather = light.weather
        near = depth / np.float32(weather.visibility)
        hidden = (near * near / (1 + near * near))[..., None]
        if weather.visibility > 300:
            hidden = np.where((semantics == labels.SKY)[..., None], 0, hidden)
        haze = weather.sky[0].astype(np.float32)
        colour = colour * (1 - hidden) + haze * hidden
        if weather.rain > 0:
            colour = colour + _streaks(colour.shape[:2], light)[..., None]
        return colour


def _bounds(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle (T, 3) and radius (T,) of each triangle."""
    centres = vertices.mean(axis=1)
    if not len(vertices):
        return centres, np.zeros(0)
    return centres, _length(vertices - centres[:, None]).max(axis=1)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Over the last axis, of which NumPy's own sum is slow where it has three."""
    return np.einsum("...i,...i->...", a, b)


def _length(a: np.ndarray) -> np.ndarray:
    return np.sqrt(_dot(a, a))


def _normals(vertices: np.ndarray) -> np.ndarray:
    """(T, 3) float32 of length 1."""
    a, b = ((vertices[:, k] - vertices[:, 0]).astype(np.float32).T for k in (1, 2))
    across = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    normals = np.stack(across, axis=1)
    return normals / np.maximum(_length(normals), np.float32(1e-9))[:, None]


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


def _materials(scene: Mesh, triangle, point, normal, depth, weather: Weather):
    """Colours (N, 3), how strongly each glows by itself (N,), and how it mirrors when wet (N,)."""
    material, colour = scene.material[triangle], scene.colour[triangle].copy()
    glow, shine = np.zeros(len(point), np.float32), np.zeros(len(point), np.float32)
    x, y, z = point.T
    fine = np.clip(1.5 - depth / 40, 0.15, 1)  # far patterns are finer than a pixel: they fade
    kinds = {kind: np.flatnonzero(material == kind) for kind in np.unique(material)}

    def tint(kind: int, values: np.ndarray) -> None:
        colour[kinds[kind]] *= values[:, None]

    none = np.zeros(0, int)
    if len(at := kinds.get(ASPHALT, none)):
        grain = _noise(x[at] * 14, y[at] * 14, 1) - 0.5
        patch = _noise(x[at] * 0.35, y[at] * 0.35, 2) - 0.5
        tint(ASPHALT, 1 + 0.30 * grain * fine[at] + 0.25 * patch)
        shine[at] = 0.55
    if len(at := kinds.get(PAINT, none)):
        worn = _noise(x[at] * 5, y[at] * 5, 3)
        tint(PAINT, 0.82 + 0.18 * worn)
        shine[at] = 0.4
    if len(at := kinds.get(PAVING, none)):
        joint = (_part(x[at] / 0.8) < 0.06) | (_part(y[at] / 0.8) < 0.06)
        slab = _hash(np.floor(x[at] / 0.8), np.floor(y[at] / 0.8), 4) - 0.5
        tint(PAVING, 1 + 0.14 * slab * fine[at] - 0.22 * joint * fine[at])
        shine[at] = 0.3
    if len(at := kinds.get(GRASS, none)):
        blade = _noise(x[at] * 7, y[at] * 7, 5) - 0.5
        field = _noise(x[at] * 0.12, y[at] * 0.12, 6) - 0.5
        tint(GRASS, 1 + 0.45 * blade * fine[at] + 0.5 * field)
    if len(at := kinds.get(FOLIAGE, none)):
        leaf = _noise(x[at] * 3.1 + z[at] * 2.3, y[at] * 3.1 - z[at] * 1.9, 8) - 0.5
        tint(FOLIAGE, 1 + 0.9 * leaf)
    if len(at := kinds.get(BRICK, none)):
        row = np.floor(z[at] / 0.16)
        along = (x[at] * -normal[at, 1] + y[at] * normal[at, 0]) / 0.4 + 0.5 * (row % 2)
        joint = (_part(z[at] / 0.16) < 0.14) | (_part(along) < 0.08)
        tint(BRICK, 1 + 0.2 * (_hash(np.floor(along), row, 9) - 0.5) - 0.25 * joint * fine[at])
    if len(at := kinds.get(ROOF, none)):
        tint(ROOF, 1 + 0.15 * ((z[at] * 4) % 1 < 0.3) * fine[at] - 0.1)
    if len(at := kinds.get(FACADE, none)):
        _facade(scene.instance[triangle[at]], point[at], normal[at], at, colour, glow, weather)
    for kind, mirror in ((METAL, 0.16), (GLASS, 0.35)):
        if len(at := kinds.get(kind, none)):
            up = np.clip(normal[at, 2], 0, 1)[:, None]
            sky = (
                weather.sky[0].astype(np.float32) * (1 - up)
                + weather.sky[1].astype(np.float32) * up
            )
            colour[at] = colour[at] * (1 - mirror) + sky * mirror
    if len(at := kinds.get(GLOW, none)):
        glow[at] = 1.15 if weather.night else 1.0
    return colour, glow, shine


def _facade(instance, point, normal, at, colour, glow, weather: Weather) -> None:
    """Storeys and windows; by night some are lit."""
    x, y, z = point.T
    along = x * -normal[:, 1] + y * normal[:, 0]
    house = instance.astype(np.float32)
    bay = 2.4 + 1.2 * _hash(house, house * 0, 11)
    storey, column = np.floor(z / 3.1), np.floor(along / bay)
    u, v = _part(along / bay), _part(z / 3.1)
    wide = 0.18 + 0.12 * _hash(house, house * 0, 12)
    shop = (storey < 1) & (_hash(house, house * 0, 13) < 0.3)
    window = (u > wide) & (u < 1 - wide) & (v > 0.30) & (v < 0.82)
    window |= shop & (u > 0.06) & (u < 0.94) & (v > 0.12) & (v < 0.85)
    frame = window & ((np.abs(u - 0.5) < 0.02) | (v < 0.34))
    ledge = (v < 0.05) & ~shop
    sky = weather.sky[1].astype(np.float32)
    pane = 0.12 + 0.25 * sky + 0.05 * (_hash(column, storey, 14) - 0.5)[:, None]
    tone = colour[at] * (0.94 + 0.12 * _noise(along * 1.5, z * 1.5, 15))[:, None]
    tone = np.where(ledge[:, None], tone * 0.8, tone)
    tone = np.where(window[:, None], pane, tone)
    tone = np.where(frame[:, None], 0.75, tone)
    if weather.night:
        lit = window & (_hash(column + house, storey, 16) < 0.3)
        tone = np.where(lit[:, None], np.array([0.95, 0.78, 0.45], np.float32), tone)
        glow[at] = np.where(lit, 0.7, 0)
    colour[at] = tone


def _shadow(point: np.ndarray, light: Light) -> np.ndarray:
    """0..1 of points on the ground below what throws a shadow, which the sun pushes aside."""
    dark = np.zeros(len(point), np.float32)
    sun = light.weather.sun_direction
    push = -sun[:2] / max(float(sun[2]), 0.35) * 0.7
    for x, y, yaw, length, width in light.shadows:
        cos, sin = np.cos(yaw), np.sin(yaw)
        for shift, strength in ((0.0, 0.85), (1.0, 0.7)):
            dx, dy = point[:, 0] - x - push[0] * shift, point[:, 1] - y - push[1] * shift
            inside = (np.abs(dx * cos + dy * sin) < length / 2) & (
                np.abs(dy * cos - dx * sin) < width / 2
            )
            dark = np.where(inside, np.maximum(dark, np.float32(strength)), dark)
    return dark


def _headlights(point: np.ndarray, normal: np.ndarray, pose) -> np.ndarray:
    x, y, z, yaw = pose
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    dx, dy = point[:, 0] - np.float32(x), point[:, 1] - np.float32(y)
    ahead, side = dx * cos + dy * sin - 2.0, dy * cos - dx * sin
    ahead = np.maximum(ahead, 0.5)
    spread = side / (0.33 * ahead + 1.2)
    beam = 1 / (1 + spread * spread * spread * spread * 4)
    fade = np.clip(1 - ahead / HEADLIGHT_REACH, 0, 1)
    low = np.clip(1.6 - (point[:, 2] - np.float32(z)) * 0.45, 0.15, 1)
    strength = 1.1 * beam * fade * low * (ahead > 0.5)
    return strength[:, None] * np.array([1.0, 0.97, 0.88], np.float32)


def _wet(colour, rays, point, flat, label, shine, weather: Weather) -> np.ndarray:
    """Wet ground is darker, and mirrors the sky the more the flatter one looks at it."""
    length = _length(rays)
    grazing = np.clip(1 + rays[:, 2] / length, 0, 1)
    mirror = grazing * grazing * grazing
    puddle = np.clip(_noise(point[:, 0] * 0.5, point[:, 1] * 0.5, 21) - 0.45, 0, 0.4) * 2
    share = weather.wet * shine * flat * (0.25 + mirror * (0.5 + puddle))
    share = np.clip(share, 0, 0.85)[:, None].astype(np.float32)
    dark = np.where((flat & (label != labels.SIDEWALK))[:, None], 1 - 0.35 * weather.wet, 1)
    return colour * dark * (1 - share) + weather.sky[0].astype(np.float32) * share


def _streaks(shape: tuple[int, int], light: Light) -> np.ndarray:
    rng = np.random.default_rng(light.seed)
    height, width = shape
    drops = int(light.weather.rain * height * width / 260)
    field = np.zeros(shape, np.float32)
    column, row = rng.integers(0, width, drops), rng.integers(-8, height, drops)
    strength = rng.uniform(0.02, 0.11, drops).astype(np.float32)
    for step in range(9):
        y = row + step
        good = (y >= 0) & (y < height)
        field[y[good], column[good]] += strength[good]
    return field if not light.weather.night else field * 0.35


def _part(value: np.ndarray) -> np.ndarray:
    return value - np.floor(value)


def _hash(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """0..1 from two whole numbers."""
    h = a.astype(np.int32).view(np.uint32) * np.uint32(0x9E3779B1)
    h ^= b.astype(np.int32).view(np.uint32) * np.uint32(0x85EBCA77)
    h ^= np.uint32(seed * 0x27D4EB2F & 0xFFFFFFFF)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x2C1B3C6D)
    h ^= h >> np.uint32(12)
    return (h >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def _noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise in 0..1 with one bump per unit."""
    fx, fy = np.floor(x), np.floor(y)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b = _hash(fx, fy, seed), _hash(fx + 1, fy, seed)
    c, d = _hash(fx, fy + 1, seed), _hash(fx + 1, fy + 1, seed)
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


def _to_bytes(colour: np.ndarray) -> np.ndarray:
    """Linear light to what a screen shows; bright parts are rolled off."""
    colour = np.clip(colour, 0, 4)
    bright = np.maximum(colour - 0.75, 0)
    colour = np.minimum(colour, 0.75) + 0.25 * (1 - 1 / (1 + bright * 2))
    return np.rint(np.clip(np.sqrt(colour) * 0.35 + colour * 0.65, 0, 1) * 255).astype(np.uint8)
