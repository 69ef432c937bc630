"""From what each pixel shows to its colour, with NumPy: the same expressions in the same order as
in ``shading``, which is compiled, so that both give the same pixels. All in float64."""

import numpy as np

from carla_drive.world import labels
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
)
from carla_drive.world.shading import BEAM, HEADLIGHT_REACH, LAMP, Air


def tone(index, depth, vertices, material, colour, instance, label, eye, axes, focal, shadows,
         lamps, streaks, air, rgb) -> None:  # fmt: skip
    """As ``shading.shade``."""
    height, width = index.shape
    right = np.broadcast_to((np.arange(width) + 0.5 - width / 2) / focal, index.shape).ravel()
    down = (np.arange(height) + 0.5 - height / 2) / focal
    down = np.broadcast_to(down[:, None], index.shape).ravel()
    rays = [right * axes[0, k] + down * axes[1, k] + axes[2, k] for k in range(3)]
    which, away = index.ravel(), depth.ravel()
    hit, nothing = np.flatnonzero(which >= 0), np.flatnonzero(which < 0)
    pixels = np.empty((3, len(which)))
    pixels[:, nothing] = _sky([part[nothing] for part in rays], air)
    triangle, ray = which[hit], [part[hit] for part in rays]
    point = [ray[k] * away[hit] + eye[k] for k in range(3)]
    normal = _normals(vertices[triangle], ray)
    tones, glow, shine = _materials(
        material[triangle], colour[triangle], point, normal, away[hit], instance[triangle], air
    )
    light = _light(point, normal, shadows, lamps, air)
    light = np.where(glow > 0, np.maximum(glow, light), light)
    tones = tones * light
    if air.wet > 0:
        tones = _wet(tones, ray, point, normal[2] > 0.9, label[triangle], shine, air)
    pixels[:, hit] = tones
    near = away / air.visibility
    hidden = near * near / (1 + near * near)
    if air.visibility > 300:
        hidden[nothing] = 0.0
    for k in range(3):
        mixed = pixels[k] * (1 - hidden) + air.horizon[k] * hidden + streaks.ravel()
        rgb[..., k] = _to_bytes(mixed * air.gain[k]).reshape(index.shape)


def _sky(rays, air: Air) -> np.ndarray:
    x, y, z = rays
    length = np.sqrt(x * x + y * y + z * z)
    up = np.clip(z / length, 0.0, 1.0)
    share = np.sqrt(up)
    sky = [air.horizon[k] * (1 - share) + air.above[k] * share for k in range(3)]
    if air.night:
        return np.array(sky)
    towards = (x * air.sun[0] + y * air.sun[1] + z * air.sun[2]) / length
    halo = np.clip(towards, 0.0, 1.0)
    halo = halo * halo
    halo = halo * halo
    glare = halo * halo * halo * halo * halo * 0.8
    clouds = _noise(x / (up + 0.15) * 3, y / (up + 0.15) * 3, 7)
    cloud = np.clip(clouds - 0.62 + 0.45 * air.cloud, 0.0, 0.4) * 0.5 * (1 - air.cloud * 0.7)
    return np.array([sky[k] + glare * air.sunlight[k] + cloud for k in range(3)])


def _normals(corners: np.ndarray, rays) -> np.ndarray:
    """(3, N) of triangles (N, 3, 3), towards whoever looks along ``rays``."""
    (ax, ay, az), (bx, by, bz) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = np.maximum(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
    length = np.where(nx * rays[0] + ny * rays[1] + nz * rays[2] > 0, -length, length)
    return np.array([nx / length, ny / length, nz / length])


def _materials(material, colour, point, normal, depth, instance, air: Air):
    """Colours (3, N), how strongly each glows by itself (N,), and how it mirrors when wet (N,)."""
    tint, glow, shine = np.ones(len(depth)), np.zeros(len(depth)), np.zeros(len(depth))
    x, y, z = point
    fine = np.clip(1.5 - depth / 40, 0.15, 1.0)
    kinds = {int(kind): np.flatnonzero(material == kind) for kind in np.unique(material)}
    none = np.zeros(0, int)
    if len(at := kinds.get(ASPHALT, none)):
        grain = _noise(x[at] * 14, y[at] * 14, 1) - 0.5
        patch = _noise(x[at] * 0.35, y[at] * 0.35, 2) - 0.5
        tint[at], shine[at] = 1 + 0.30 * grain * fine[at] + 0.25 * patch, 0.55
    if len(at := kinds.get(PAINT, none)):
        tint[at], shine[at] = 0.82 + 0.18 * _noise(x[at] * 5, y[at] * 5, 3), 0.4
    if len(at := kinds.get(PAVING, none)):
        joint = ((_part(x[at] / 0.8) < 0.06) | (_part(y[at] / 0.8) < 0.06)).astype(float)
        slab = _hash(np.floor(x[at] / 0.8), np.floor(y[at] / 0.8), 4) - 0.5
        tint[at], shine[at] = 1 + 0.14 * slab * fine[at] - 0.22 * joint * fine[at], 0.3
    if len(at := kinds.get(GRASS, none)):
        blade = _noise(x[at] * 7, y[at] * 7, 5) - 0.5
        field = _noise(x[at] * 0.12, y[at] * 0.12, 6) - 0.5
        tint[at] = 1 + 0.45 * blade * fine[at] + 0.5 * field
    if len(at := kinds.get(FOLIAGE, none)):
        leaf = _noise(x[at] * 3.1 + z[at] * 2.3, y[at] * 3.1 - z[at] * 1.9, 8) - 0.5
        tint[at] = 1 + 0.9 * leaf
    if len(at := kinds.get(BRICK, none)):
        row = np.floor(z[at] / 0.16)
        across = x[at] * -normal[1, at] + y[at] * normal[0, at]
        along = across / 0.4 + 0.5 * (row - 2 * np.floor(row / 2))
        joint = ((_part(z[at] / 0.16) < 0.14) | (_part(along) < 0.08)).astype(float)
        tint[at] = 1 + 0.2 * (_hash(np.floor(along), row, 9) - 0.5) - 0.25 * joint * fine[at]
    if len(at := kinds.get(ROOF, none)):
        tint[at] = 1 + 0.15 * (_part(z[at] * 4) < 0.3) * fine[at] - 0.1
    tones = colour.T * tint
    if len(at := kinds.get(FACADE, none)):
        tones[:, at], glow[at] = _facade(
            tones[:, at], [part[at] for part in point], normal[:, at], instance[at], air
        )
    for kind, mirror in ((METAL, 0.16), (GLASS, 0.35)):
        if len(at := kinds.get(kind, none)):
            up = np.clip(normal[2, at], 0.0, 1.0)
            for k in range(3):
                sky = air.horizon[k] * (1 - up) + air.above[k] * up
                tones[k, at] = tones[k, at] * (1 - mirror) + sky * mirror
    if len(at := kinds.get(GLOW, none)):
        glow[at] = 1.15 if air.night else 1.0
    return tones, glow, shine


def _facade(tones, point, normal, instance, air: Air):
    """Storeys and windows; by night some are lit. Colours (3, N) and own glow (N,)."""
    x, y, z = point
    along = x * -normal[1] + y * normal[0]
    house, nought = instance.astype(float), np.zeros(len(x))
    bay = 2.4 + 1.2 * _hash(house, nought, 11)
    storey, column = np.floor(z / 3.1), np.floor(along / bay)
    u, v = _part(along / bay), _part(z / 3.1)
    wide = 0.18 + 0.12 * _hash(house, nought, 12)
    shop = (storey < 1) & (_hash(house, nought, 13) < 0.3)
    window = (u > wide) & (u < 1 - wide) & (v > 0.30) & (v < 0.82)
    window |= shop & (u > 0.06) & (u < 0.94) & (v > 0.12) & (v < 0.85)
    frame = window & ((np.abs(u - 0.5) < 0.02) | (v < 0.34))
    lit = window & air.night & (_hash(column + house, storey, 16) < 0.3)
    pane = 0.12 + 0.05 * (_hash(column, storey, 14) - 0.5)
    shade = 0.94 + 0.12 * _noise(along * 1.5, z * 1.5, 15)
    shade = np.where((v < 0.05) & ~shop, shade * 0.8, shade)
    found = []
    for k, warm in enumerate((0.95, 0.78, 0.45)):
        wall = np.where(window, pane + 0.25 * air.above[k], tones[k] * shade)
        found.append(np.where(lit, warm, np.where(frame, 0.75, wall)))
    return np.array(found), np.where(lit, 0.7, 0.0)


def _light(point, normal, shadows, lamps, air: Air) -> np.ndarray:
    """(3, N): what falls on points."""
    facing = normal[0] * air.sun[0] + normal[1] * air.sun[1] + normal[2] * air.sun[2]
    direct = np.clip(facing, 0.0, 1.0)
    flat = normal[2] > 0.9
    direct[flat] = direct[flat] * (1 - _shadow(point[0][flat], point[1][flat], shadows, air.push))
    open_sky = 0.75 + 0.25 * normal[2]
    beam = _beam(point, air.car) if air.headlights else 0.0
    street = _street(point, normal, lamps) if air.night else 0.0
    found = []
    for k in range(3):
        lit = air.ambient[k] * open_sky + direct * air.sunlight[k]
        found.append(lit + beam * BEAM[k] + street * LAMP[k])
    return np.array(found)


def _shadow(x, y, shadows, push) -> np.ndarray:
    dark = np.zeros(len(x))
    for there_x, there_y, cos, sin, length, width in shadows.tolist():
        for shift in range(2):
            dx, dy = x - there_x - push[0] * shift, y - there_y - push[1] * shift
            inside = (np.abs(dx * cos + dy * sin) < length) & (np.abs(dy * cos - dx * sin) < width)
            dark = np.where(inside, np.maximum(dark, 0.7 if shift else 0.85), dark)
    return dark


def _beam(point, car) -> np.ndarray:
    x, y, z = point
    dx, dy = x - car[0], y - car[1]
    ahead = np.maximum(dx * car[3] + dy * car[4] - 2.0, 0.5)
    side = dy * car[3] - dx * car[4]
    spread = side / (0.33 * ahead + 1.2)
    beam = 1 / (1 + spread * spread * spread * spread * 4)
    fade = np.clip(1 - ahead / HEADLIGHT_REACH, 0.0, 1.0)
    low = np.clip(1.6 - (z - car[2]) * 0.45, 0.15, 1.0)
    return np.where(ahead > 0.5, 1.1 * beam * fade * low, 0.0)


def _street(point, normal, lamps) -> np.ndarray:
    total = np.zeros(len(point[0]))
    for lamp in lamps:
        ax, ay, az = (lamp[k] - point[k] for k in range(3))
        square = ax * ax + ay * ay + az * az + 0.3
        facing = np.maximum(ax * normal[0] + ay * normal[1] + az * normal[2], 0.0)
        total += 16 * facing * np.maximum(az, 0.0) / (square * (square + 6))
    return np.minimum(total, 1.4)


def _wet(tones, rays, point, flat, label, shine, air: Air) -> np.ndarray:
    x, y, z = rays
    grazing = np.clip(1 + z / np.sqrt(x * x + y * y + z * z), 0.0, 1.0)
    mirror = grazing * grazing * grazing
    puddle = np.clip(_noise(point[0] * 0.5, point[1] * 0.5, 21) - 0.45, 0.0, 0.4) * 2
    share = np.clip(air.wet * shine * (0.25 + mirror * (0.5 + puddle)), 0.0, 0.85)
    dark = np.where(label != labels.SIDEWALK, 1 - 0.35 * air.wet, 1.0)
    wet = [tones[k] * dark * (1 - share) + air.horizon[k] * share for k in range(3)]
    return np.where(flat, wet, tones)


def _part(value: np.ndarray) -> np.ndarray:
    return value - np.floor(value)


def _hash(a: np.ndarray, b: np.ndarray, seed: int) -> np.ndarray:
    """0..1 from two whole numbers."""
    mask = 0xFFFFFFFF
    h = (a.astype(np.int64) * 0x9E3779B1) & mask
    h ^= (b.astype(np.int64) * 0x85EBCA77) & mask
    h ^= (seed * 0x27D4EB2F) & mask
    h ^= h >> 15
    h = (h * 0x2C1B3C6D) & mask
    h ^= h >> 12
    return (h >> 8) / 16777216.0


def _noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Smooth noise in 0..1 with one bump per unit."""
    fx, fy = np.floor(x), np.floor(y)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b = _hash(fx, fy, seed), _hash(fx + 1, fy, seed)
    c, d = _hash(fx, fy + 1, seed), _hash(fx + 1, fy + 1, seed)
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


def _to_bytes(value: np.ndarray) -> np.ndarray:
    """Linear light to what a screen shows; bright parts are rolled off."""
    value = np.clip(value, 0.0, 4.0)
    bright = np.maximum(value - 0.75, 0.0)
    value = np.minimum(value, 0.75) + 0.25 * (1 - 1 / (1 + bright * 2))
    shown = np.clip(np.sqrt(value) * 0.35 + value * 0.65, 0.0, 1.0)
    return np.rint(shown * 255).astype(np.uint8)
