"""The last step: lightness of the original at full size and chroma of the network, merged strip by
strip into displayable colours."""

from dataclasses import dataclass

import cv2
import numpy as np

from image_colorize.color import FROM_XYZ, TO_XYZ, WHITE, linear
from image_colorize.seen import toned

STRIP = 1 << 16  # pixels that are merged together: what a processor's cache holds
CUBIC = -0.5  # Keys' cubic, as the page's own merging has it
STEPS = 1 << 14  # of light, in the table of gamma
HALVINGS = 7  # of the search for the largest displayable chroma
FROM_WHITE = (FROM_XYZ * WHITE).astype(np.float32)
SLACK = 1e-3  # of light beyond black and white that rounding forgives
GUIDE_SHARE = 0.02  # of the longer side: the radius of the guided filter
GUIDE_EPS = 1e-3  # of squared lightness in 0..1: what counts as an edge


Light = tuple[np.ndarray, np.ndarray, np.ndarray]  # red, green and blue, linear


@dataclass(frozen=True)
class Merged:
    """``rgb`` (H, W, 3) in the levels' type; ``outside`` counts pixels whose colour was brought
    into the gamut."""

    rgb: np.ndarray
    outside: int


def merge(
    levels: np.ndarray,
    chroma: np.ndarray,
    *,
    tone: np.ndarray | None = None,
    guided: bool = False,
) -> Merged:
    """Levels (H, W) or (H, W, 3), uint8 or uint16, and chroma (S, S, 2), unscaled, as colours.

    ``tone`` (bins, 2) is added by lightness. With ``guided`` edges of the chroma follow those of
    the lightness, against colours that bleed.
    """
    height, width = levels.shape[:2]
    rgb = np.empty((height, width, 3), levels.dtype)
    enlarged = _Enlarged(chroma, height, width)
    if guided:
        enlarged = _Guided(_whole_lightness(levels), enlarged)
    outside, strip = 0, max(1, STRIP // width)
    for top in range(0, height, strip):
        rows = slice(top, min(top + strip, height))
        lightness = lightness_of(levels[rows])
        a, b = enlarged.rows(rows)
        if tone is not None:
            own = toned(lightness, tone)
            a, b = a + own[..., 0], b + own[..., 1]
        rgb[rows], count = displayed(lightness, a, b, levels.dtype)
        outside += count
    return Merged(rgb, outside)


def lightness_of(levels: np.ndarray) -> np.ndarray:
    """L in 0..100, float32 (H, W), of sRGB levels (H, W) or (H, W, 3)."""
    table = _light(levels.dtype)
    if levels.ndim == 2:
        return _lightness(table)[levels]
    weights = TO_XYZ[1].astype(np.float32)
    light = table[levels[..., 0]] * weights[0]
    light += table[levels[..., 1]] * weights[1]
    light += table[levels[..., 2]] * weights[2]
    return _lightness(light)


def _lightness(light: np.ndarray) -> np.ndarray:
    f = np.where(light > 0.008856, np.cbrt(light), 7.787 * light + np.float32(16 / 116))
    return (116 * f - 16).astype(np.float32)


def _light(kind: np.dtype) -> np.ndarray:
    """The light in 0..1 of each level."""
    top = np.iinfo(kind).max
    return linear(np.arange(top + 1) / top).astype(np.float32)


def displayed(
    lightness: np.ndarray, a: np.ndarray, b: np.ndarray, kind: np.dtype
) -> tuple[np.ndarray, int]:
    """L and chroma, each (H, W), as levels of ``kind`` (H, W, 3), and how many colours were brought
    into the gamut, by less chroma at the same L and hue."""
    light = _to_light(lightness, a, b)
    beyond = ~_fits(light)
    count = int(np.count_nonzero(beyond))
    if count:
        inside = _inside(lightness[beyond], a[beyond], b[beyond])
        for plane, values in zip(light, inside, strict=True):
            plane[beyond] = values
    return _levels(light, kind), count


def _fits(light: Light) -> np.ndarray:
    low = np.minimum(np.minimum(light[0], light[1]), light[2])
    high = np.maximum(np.maximum(light[0], light[1]), light[2])
    return (low >= -SLACK) & (high <= 1 + SLACK)


def _inside(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> Light:
    """Light of the largest share of each chroma (N,) that can be displayed at its L."""
    low, high = np.zeros_like(a), np.ones_like(a)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _fits(_to_light(lightness, a * middle, b * middle))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _to_light(lightness, a * low, b * low)


def _to_light(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> Light:
    """Linear sRGB, a plane each, not limited."""
    y = (lightness + 16) * np.float32(1 / 116)
    x, z = y + a * np.float32(1 / 500), np.maximum(y - b * np.float32(1 / 200), 0)
    xyz = _uncurved(x), _uncurved(y), _uncurved(z)
    red, green, blue = (xyz[0] * row[0] + xyz[1] * row[1] + xyz[2] * row[2] for row in FROM_WHITE)
    return red, green, blue


def _uncurved(f: np.ndarray) -> np.ndarray:
    cube = f * f
    cube *= f
    dark = f <= 0.2068966
    if dark.any():
        cube[dark] = (f[dark] - np.float32(16 / 116)) * np.float32(1 / 7.787)
    return cube


def _levels(light: Light, kind: np.dtype) -> np.ndarray:
    top = np.iinfo(kind).max
    levels = np.empty((*light[0].shape, 3), kind)
    for channel, plane in enumerate(light):
        np.clip(plane, 0, 1, out=plane)
        if kind == np.uint16:
            levels[..., channel] = np.rint(_gamma(plane) * top)
        else:
            plane *= STEPS
            plane += 0.5
            levels[..., channel] = np.take(_TABLE, plane.astype(np.int32))
    return levels


def _gamma(light: np.ndarray) -> np.ndarray:
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


_TABLE = np.rint(_gamma(np.arange(STEPS + 1) / STEPS) * 255).astype(np.uint8)


class _Enlarged:
    """Chroma (S, S, 2) at (height, width), by cubic interpolation, a few rows at a time."""

    def __init__(self, chroma: np.ndarray, height: int, width: int):
        taps, weights = _taps(chroma.shape[1], width)
        self._wide = []
        for plane in np.moveaxis(chroma.astype(np.float32), -1, 0):
            self._wide.append(sum(plane[:, taps[:, k]] * weights[:, k] for k in range(4)))
        self._taps, self._weights = _taps(chroma.shape[0], height)

    def rows(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """a and b, each (rows, width)."""
        taps, weights = self._taps[rows], self._weights[rows]
        made = []
        for wide in self._wide:
            plane = wide[taps[:, 0]] * weights[:, :1]
            for tap in range(1, 4):
                plane += wide[taps[:, tap]] * weights[:, tap : tap + 1]
            made.append(plane)
        return made[0], made[1]


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of ``target`` places four of ``source`` ones (target, 4), and their weights; pixels
    count from their centres, the border is repeated."""
    at = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(at).astype(int)
    distance = np.abs((at - first)[:, None] - np.arange(-1, 3))
    near = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    far = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    taps = np.clip(first[:, None] + np.arange(-1, 3), 0, source - 1)
    return taps, weights.astype(np.float32)


def _whole_lightness(levels: np.ndarray) -> np.ndarray:
    """L / 100 (H, W), made strip by strip."""
    whole, strip = np.empty(levels.shape[:2], np.float32), max(1, STRIP // levels.shape[1])
    for top in range(0, len(levels), strip):
        whole[top : top + strip] = lightness_of(levels[top : top + strip]) / 100
    return whole


class _Guided:
    """Chroma that is, round each place, a linear function of the lightness (He et al., "Guided
    Image Filtering", 2013)."""

    def __init__(self, lightness: np.ndarray, enlarged: _Enlarged):
        height, width = lightness.shape
        side = 2 * max(9, round(GUIDE_SHARE * max(height, width))) + 1

        def mean(values: np.ndarray) -> np.ndarray:
            return cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)

        centre = mean(lightness)
        spread = mean(lightness * lightness) - centre * centre
        self._planes = []
        for plane in enlarged.rows(slice(0, height)):
            average = mean(plane)
            slope = (mean(plane * lightness) - average * centre) / (spread + GUIDE_EPS)
            self._planes.append(mean(slope) * lightness + mean(average - slope * centre))

    def rows(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        return self._planes[0][rows], self._planes[1][rows]
