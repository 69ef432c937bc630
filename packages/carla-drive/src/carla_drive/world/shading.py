"""From what a pixel shows to its colour, compiled: the same expressions in the same order as in
``toning``, which does it with NumPy, so that both give the same pixels. All in float64."""

import math
from typing import NamedTuple

import numpy as np

from carla_drive.world import labels, meshes
from carla_drive.world.raster import jitted

ASPHALT, PAVING, GRASS, FACADE, FOLIAGE = (
    meshes.ASPHALT, meshes.PAVING, meshes.GRASS, meshes.FACADE, meshes.FOLIAGE,
)  # fmt: skip
GLOW, PAINT, BRICK, ROOF, METAL, GLASS = (
    meshes.GLOW, meshes.PAINT, meshes.BRICK, meshes.ROOF, meshes.METAL, meshes.GLASS,
)  # fmt: skip
SIDEWALK = labels.SIDEWALK
MASK = 0xFFFFFFFF
HEADLIGHT_REACH = 38.0  # m
LAMP = (1.0, 0.82, 0.55)  # colour of street lamps
BEAM = (1.0, 0.97, 0.88)  # and of headlights
Triple = tuple[float, float, float]


class Air(NamedTuple):
    """What a ``Light`` says, as plain numbers. ``push`` is how far the sun moves a shadow; ``car``
    x, y, z, cosine and sine of the ego car; ``gain`` the camera's tint."""

    night: bool
    headlights: bool
    sun: Triple
    sunlight: Triple
    ambient: Triple
    horizon: Triple
    above: Triple
    cloud: float
    wet: float
    visibility: float
    push: tuple[float, float]
    car: tuple[float, float, float, float, float]
    gain: Triple


@jitted
def _part(value):
    return value - math.floor(value)


@jitted
def _clip(value, low, high):
    return min(max(value, low), high)


@jitted
def _hash(a, b, seed):
    """0..1 from two whole numbers; of products the lower 32 bits are kept."""
    h = (np.int64(a) * 0x9E3779B1) & MASK
    h ^= (np.int64(b) * 0x85EBCA77) & MASK
    h ^= (seed * 0x27D4EB2F) & MASK
    h ^= h >> 15
    h = (h * 0x2C1B3C6D) & MASK
    h ^= h >> 12
    return (h >> 8) / 16777216.0


@jitted
def _noise(x, y, seed):
    fx, fy = math.floor(x), math.floor(y)
    u, v = x - fx, y - fy
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    a, b = _hash(fx, fy, seed), _hash(fx + 1, fy, seed)
    c, d = _hash(fx, fy + 1, seed), _hash(fx + 1, fy + 1, seed)
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


@jitted
def _sky(x, y, z, air):
    length = math.sqrt(x * x + y * y + z * z)
    up = _clip(z / length, 0.0, 1.0)
    share = math.sqrt(up)
    r = air.horizon[0] * (1 - share) + air.above[0] * share
    g = air.horizon[1] * (1 - share) + air.above[1] * share
    b = air.horizon[2] * (1 - share) + air.above[2] * share
    if air.night:
        return r, g, b
    towards = (x * air.sun[0] + y * air.sun[1] + z * air.sun[2]) / length
    halo = _clip(towards, 0.0, 1.0)
    halo = halo * halo
    halo = halo * halo
    glare = halo * halo * halo * halo * halo * 0.8
    clouds = _noise(x / (up + 0.15) * 3, y / (up + 0.15) * 3, 7)
    cloud = _clip(clouds - 0.62 + 0.45 * air.cloud, 0.0, 0.4) * 0.5 * (1 - air.cloud * 0.7)
    return (
        r + glare * air.sunlight[0] + cloud,
        g + glare * air.sunlight[1] + cloud,
        b + glare * air.sunlight[2] + cloud,
    )


@jitted
def _normal(corners, x, y, z):
    """Of a triangle, towards whoever looks along ``x, y, z``."""
    ax, ay, az = (
        corners[1, 0] - corners[0, 0], corners[1, 1] - corners[0, 1], corners[1, 2] - corners[0, 2],
    )  # fmt: skip
    bx, by, bz = (
        corners[2, 0] - corners[0, 0], corners[2, 1] - corners[0, 1], corners[2, 2] - corners[0, 2],
    )  # fmt: skip
    nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-9)
    if nx * x + ny * y + nz * z > 0:
        length = -length
    return nx / length, ny / length, nz / length


@jitted
def _facade(r, g, b, x, y, z, nx, ny, house, air):
    """Storeys and windows; by night some are lit. Colour and own glow."""
    along = x * -ny + y * nx
    bay = 2.4 + 1.2 * _hash(house, 0, 11)
    storey, column = math.floor(z / 3.1), math.floor(along / bay)
    u, v = _part(along / bay), _part(z / 3.1)
    wide = 0.18 + 0.12 * _hash(house, 0, 12)
    shop = storey < 1 and _hash(house, 0, 13) < 0.3
    window = u > wide and u < 1 - wide and v > 0.30 and v < 0.82
    window = window or (shop and u > 0.06 and u < 0.94 and v > 0.12 and v < 0.85)
    if window and air.night and _hash(column + house, storey, 16) < 0.3:
        return 0.95, 0.78, 0.45, 0.7
    if window and (abs(u - 0.5) < 0.02 or v < 0.34):
        return 0.75, 0.75, 0.75, 0.0
    if window:
        pane = 0.12 + 0.05 * (_hash(column, storey, 14) - 0.5)
        above = air.above
        return pane + 0.25 * above[0], pane + 0.25 * above[1], pane + 0.25 * above[2], 0.0
    tone = 0.94 + 0.12 * _noise(along * 1.5, z * 1.5, 15)
    if v < 0.05 and not shop:
        tone = tone * 0.8
    return r * tone, g * tone, b * tone, 0.0


@jitted
def _material(kind, colour, x, y, z, normal, depth, instance, air):
    """Colour, own glow, and how much it mirrors when wet."""
    nx, ny, nz = normal
    fine = _clip(1.5 - depth / 40, 0.15, 1.0)  # far patterns are finer than a pixel: they fade
    glow, shine, tint = 0.0, 0.0, 1.0
    if kind == ASPHALT:
        grain, patch = _noise(x * 14, y * 14, 1) - 0.5, _noise(x * 0.35, y * 0.35, 2) - 0.5
        tint, shine = 1 + 0.30 * grain * fine + 0.25 * patch, 0.55
    elif kind == PAINT:
        tint, shine = 0.82 + 0.18 * _noise(x * 5, y * 5, 3), 0.4
    elif kind == PAVING:
        joint = 1.0 if _part(x / 0.8) < 0.06 or _part(y / 0.8) < 0.06 else 0.0
        slab = _hash(math.floor(x / 0.8), math.floor(y / 0.8), 4) - 0.5
        tint, shine = 1 + 0.14 * slab * fine - 0.22 * joint * fine, 0.3
    elif kind == GRASS:
        blade, field = _noise(x * 7, y * 7, 5) - 0.5, _noise(x * 0.12, y * 0.12, 6) - 0.5
        tint = 1 + 0.45 * blade * fine + 0.5 * field
    elif kind == FOLIAGE:
        tint = 1 + 0.9 * (_noise(x * 3.1 + z * 2.3, y * 3.1 - z * 1.9, 8) - 0.5)
    elif kind == BRICK:
        row = math.floor(z / 0.16)
        along = (x * -ny + y * nx) / 0.4 + 0.5 * (row - 2 * math.floor(row / 2))
        joint = 1.0 if _part(z / 0.16) < 0.14 or _part(along) < 0.08 else 0.0
        tint = 1 + 0.2 * (_hash(math.floor(along), row, 9) - 0.5) - 0.25 * joint * fine
    elif kind == ROOF:
        tint = 1 + 0.15 * (1.0 if _part(z * 4) < 0.3 else 0.0) * fine - 0.1
    r, g, b = colour[0] * tint, colour[1] * tint, colour[2] * tint
    if kind == FACADE:
        r, g, b, glow = _facade(r, g, b, x, y, z, nx, ny, instance, air)
    elif kind in (METAL, GLASS):
        mirror, up = 0.16 if kind == METAL else 0.35, _clip(nz, 0.0, 1.0)
        r = r * (1 - mirror) + (air.horizon[0] * (1 - up) + air.above[0] * up) * mirror
        g = g * (1 - mirror) + (air.horizon[1] * (1 - up) + air.above[1] * up) * mirror
        b = b * (1 - mirror) + (air.horizon[2] * (1 - up) + air.above[2] * up) * mirror
    elif kind == GLOW:
        glow = 1.15 if air.night else 1.0
    return r, g, b, glow, shine


@jitted
def _shadow(x, y, shadows, push):
    """0..1 of a point on the ground below what throws a shadow."""
    dark = 0.0
    for k in range(shadows.shape[0]):
        cos, sin = shadows[k, 2], shadows[k, 3]
        for shift in range(2):
            dx, dy = x - shadows[k, 0] - push[0] * shift, y - shadows[k, 1] - push[1] * shift
            along, across = abs(dx * cos + dy * sin), abs(dy * cos - dx * sin)
            if along < shadows[k, 4] and across < shadows[k, 5]:
                dark = max(dark, 0.7 if shift else 0.85)
    return dark


@jitted
def _beam(x, y, z, car):
    """What the ego car's headlights throw on a point."""
    dx, dy = x - car[0], y - car[1]
    ahead = max(dx * car[3] + dy * car[4] - 2.0, 0.5)
    side = dy * car[3] - dx * car[4]
    if ahead <= 0.5:
        return 0.0
    spread = side / (0.33 * ahead + 1.2)
    beam = 1 / (1 + spread * spread * spread * spread * 4)
    fade = _clip(1 - ahead / HEADLIGHT_REACH, 0.0, 1.0)
    low = _clip(1.6 - (z - car[2]) * 0.45, 0.15, 1.0)
    return 1.1 * beam * fade * low


@jitted
def _street(x, y, z, normal, lamps):
    """What street lamps throw on a point."""
    total = 0.0
    for k in range(lamps.shape[0]):
        ax, ay, az = lamps[k, 0] - x, lamps[k, 1] - y, lamps[k, 2] - z
        square = ax * ax + ay * ay + az * az + 0.3
        facing = max(ax * normal[0] + ay * normal[1] + az * normal[2], 0.0)
        total += 16 * facing * max(az, 0.0) / (square * (square + 6))
    return min(total, 1.4)


@jitted
def _falls(k, open_sky, direct, beam, street, air):
    lit = air.ambient[k] * open_sky + direct * air.sunlight[k]
    return lit + beam * BEAM[k] + street * LAMP[k]


@jitted
def _light(x, y, z, normal, shadows, lamps, air):
    """What falls on a point."""
    facing = normal[0] * air.sun[0] + normal[1] * air.sun[1] + normal[2] * air.sun[2]
    direct = _clip(facing, 0.0, 1.0)
    if normal[2] > 0.9:
        direct = direct * (1 - _shadow(x, y, shadows, air.push))
    open_sky = 0.75 + 0.25 * normal[2]
    beam = _beam(x, y, z, air.car) if air.headlights else 0.0
    street = _street(x, y, z, normal, lamps) if air.night else 0.0
    return (
        _falls(0, open_sky, direct, beam, street, air),
        _falls(1, open_sky, direct, beam, street, air),
        _falls(2, open_sky, direct, beam, street, air),
    )


@jitted
def _wet(r, g, b, x, y, z, px, py, flat, label, shine, air):
    """Wet ground is darker, and mirrors the sky the more the flatter one looks at it."""
    if not flat:
        return r, g, b
    grazing = _clip(1 + z / math.sqrt(x * x + y * y + z * z), 0.0, 1.0)
    mirror = grazing * grazing * grazing
    puddle = _clip(_noise(px * 0.5, py * 0.5, 21) - 0.45, 0.0, 0.4) * 2
    share = _clip(air.wet * shine * (0.25 + mirror * (0.5 + puddle)), 0.0, 0.85)
    dark = 1 - 0.35 * air.wet if label != SIDEWALK else 1.0
    return (
        r * dark * (1 - share) + air.horizon[0] * share,
        g * dark * (1 - share) + air.horizon[1] * share,
        b * dark * (1 - share) + air.horizon[2] * share,
    )


@jitted
def _mixed(value, haze, hidden, rain):
    return value * (1 - hidden) + haze * hidden + rain


@jitted
def _byte(value):
    """Linear light to what a screen shows; bright parts are rolled off."""
    value = _clip(value, 0.0, 4.0)
    bright = max(value - 0.75, 0.0)
    value = min(value, 0.75) + 0.25 * (1 - 1 / (1 + bright * 2))
    return np.uint8(np.rint(_clip(math.sqrt(value) * 0.35 + value * 0.65, 0.0, 1.0) * 255))


@jitted
def shade(index, depth, vertices, material, colour, instance, label, eye, axes, focal, shadows,
          lamps, streaks, air, rgb):  # fmt: skip
    """Fills ``rgb`` (H, W, 3) uint8. ``index`` and ``depth`` are what ``rasterise`` gave;
    ``shadows`` (N, 6) x, y, cosine, sine, half length and width; ``lamps`` (K, 3); ``streaks``
    (H, W) of rain."""
    height, width = index.shape
    for row in range(height):
        down = (row + 0.5 - height / 2) / focal
        for column in range(width):
            right = (column + 0.5 - width / 2) / focal
            x = right * axes[0, 0] + down * axes[1, 0] + axes[2, 0]
            y = right * axes[0, 1] + down * axes[1, 1] + axes[2, 1]
            z = right * axes[0, 2] + down * axes[1, 2] + axes[2, 2]
            which, away = index[row, column], depth[row, column]
            if which < 0:
                r, g, b = _sky(x, y, z, air)
            else:
                px, py, pz = x * away + eye[0], y * away + eye[1], z * away + eye[2]
                normal = _normal(vertices[which], x, y, z)
                r, g, b, glow, shine = _material(
                    material[which], colour[which], px, py, pz, normal, away, instance[which], air
                )
                light = _light(px, py, pz, normal, shadows, lamps, air)
                if glow > 0:
                    light = max(glow, light[0]), max(glow, light[1]), max(glow, light[2])
                r, g, b = r * light[0], g * light[1], b * light[2]
                if air.wet > 0:
                    r, g, b = _wet(r, g, b, x, y, z, px, py, normal[2] > 0.9, label[which], shine,
                                   air)  # fmt: skip
            near = away / air.visibility
            hidden = near * near / (1 + near * near)
            if which < 0 and air.visibility > 300:
                hidden = 0.0
            rain = streaks[row, column]
            rgb[row, column, 0] = _byte(_mixed(r, air.horizon[0], hidden, rain) * air.gain[0])
            rgb[row, column, 1] = _byte(_mixed(g, air.horizon[1], hidden, rain) * air.gain[1])
            rgb[row, column, 2] = _byte(_mixed(b, air.horizon[2], hidden, rain) * air.gain[2])
