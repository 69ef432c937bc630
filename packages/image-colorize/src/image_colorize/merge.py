"""The last step: lightness of the original at full size and chroma of the network, merged strip by
strip into displayable colours."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from image_colorize.color import FROM_XYZ, TO_XYZ, WHITE, linear
from image_colorize.seen import toned

STRIP = 1 << 17  # pixels that are merged together: what a processor's cache holds
CUBIC = -0.5  # Keys' cubic, as the page's own merging has it
STEPS = 1 << 14  # of light, in the table of gamma
HALVINGS = 7  # of the search for the largest displayable chroma
FROM_WHITE = (FROM_XYZ * WHITE).astype(np.float32)
SLACK = 1e-3  # of light beyond black and white that rounding forgives
GUIDE_SHARE = 0.02  # of the longer side: the radius of the guided filter
GUIDE_EPS = 1e-3  # of squared lightness in 0..1: what counts as an edge


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
    if levels.ndim == 2:
        return _grey_lightness(levels.dtype)[levels]
    table, weights = _light(levels.dtype), TO_XYZ[1].astype(np.float32)
    light = table[levels[..., 0]] * weights[0]
    light += table[levels[..., 1]] * weights[1]
    light += table[levels[..., 2]] * weights[2]
    return _lightness(light)


def _lightness(light: np.ndarray) -> np.ndarray:
    f = cv2.pow(light, 1 / 3).reshape(light.shape)  # a third of the time of numpy's cbrt
    np.copyto(f, np.float32(7.787) * light + np.float32(16 / 116), where=light <= 0.008856)
    f *= 116
    f -= 16
    return f


@cache
def _light(kind: np.dtype) -> np.ndarray:
    """The light in 0..1 of each level."""
    top = np.iinfo(kind).max
    return linear(np.arange(top + 1) / top).astype(np.float32)


@cache
def _grey_lightness(kind: np.dtype) -> np.ndarray:
    """L of each level of grey."""
    return _lightness(_light(kind))


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


def _fits(light: np.ndarray) -> np.ndarray:
    low = np.minimum(np.minimum(light[0], light[1]), light[2])
    high = np.maximum(np.maximum(light[0], light[1]), light[2])
    return (low >= -SLACK) & (high <= 1 + SLACK)


def _inside(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Light (3, N) of the largest share of each chroma (N,) that can be displayed at its L."""
    lit = _Lit(lightness, a, b)
    low, high = np.zeros_like(a), np.ones_like(a)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _fits(lit.at(middle))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return lit.at(low)


def _to_light(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Linear sRGB, its planes first, not limited."""
    return _Lit(lightness, a, b).at(1)


class _Lit:
    """Colours at given L, and the light (3, ...) of any share of their chroma."""

    def __init__(self, lightness: np.ndarray, a: np.ndarray, b: np.ndarray):
        self.y = (lightness + 16) * np.float32(1 / 116)
        self.beside = np.empty((2, *self.y.shape), np.float32)  # x and z beside y
        np.multiply(a, np.float32(1 / 500), out=self.beside[0])
        np.multiply(b, np.float32(-1 / 200), out=self.beside[1])
        self.middle = FROM_WHITE[:, 1:2] * _uncurved(self.y).reshape(1, -1)

    def at(self, share: np.ndarray | float) -> np.ndarray:
        curved = self.beside * share
        curved += self.y
        np.maximum(curved[1], 0, out=curved[1])
        light = FROM_WHITE[:, ::2] @ _uncurved(curved).reshape(2, -1)
        light += self.middle
        return light.reshape(3, *self.y.shape)


def _uncurved(f: np.ndarray) -> np.ndarray:
    cube = f * f
    cube *= f
    line = f - np.float32(16 / 116)
    line *= np.float32(1 / 7.787)
    np.copyto(cube, line, where=f <= 0.2068966)
    return cube


def _levels(light: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Light (3, H, W) of any size as levels (H, W, 3); changes ``light``."""
    if kind == np.uint16:
        top = np.iinfo(kind).max
        planes = np.rint(_gamma(np.clip(light, 0, 1)) * top).astype(kind)
    else:
        light *= STEPS
        light += 0.5
        planes = _TABLE.take(light.astype(np.int32), mode="clip")
    return cv2.merge(list(planes))


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
        first, last = taps.min(), taps.max() + 1
        shares = np.zeros((len(taps), last - first), np.float32)
        for tap in range(4):  # at the border a row stands for several
            np.add.at(shares, (np.arange(len(taps)), taps[:, tap] - first), weights[:, tap])
        a, b = (shares @ wide[first:last] for wide in self._wide)
        return a, b


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
