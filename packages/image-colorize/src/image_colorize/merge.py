"""The last step: lightness of the original at full size and chroma of the network, merged strip by
strip into displayable colours."""

from dataclasses import dataclass

import cv2
import numpy as np

from image_colorize.color import FROM_XYZ, TO_XYZ, WHITE, linear
from image_colorize.seen import toned

STRIP = 256  # rows that are merged together
CUBIC = -0.5  # Keys' cubic, as the page's own merging has it
STEPS = 1 << 14  # of light, in the table of gamma
HALVINGS = 7  # of the search for the largest displayable chroma
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
    outside = 0
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height))
        lightness = lightness_of(levels[rows])
        ab = enlarged.rows(rows)
        if tone is not None:
            ab = ab + toned(lightness, tone)
        rgb[rows], count = displayed(lightness, ab, levels.dtype)
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


def displayed(lightness: np.ndarray, ab: np.ndarray, kind: np.dtype) -> tuple[np.ndarray, int]:
    """L (H, W) and chroma (H, W, 2) as levels of ``kind`` (H, W, 3), and how many colours were
    brought into the gamut, by less chroma at the same L and hue."""
    light = _to_light(lightness, ab)
    beyond = (light.min(-1) < -SLACK) | (light.max(-1) > 1 + SLACK)
    count = int(beyond.sum())
    if count:
        light[beyond] = _inside(lightness[beyond], ab[beyond])
    return _levels(light, kind), count


def _inside(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Light (N, 3) of the largest share of each chroma (N, 2) that can be displayed at its L."""
    low, high = np.zeros(len(ab), np.float32), np.ones(len(ab), np.float32)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        light = _to_light(lightness, ab * middle[:, None])
        fits = (light.min(-1) >= -SLACK) & (light.max(-1) <= 1 + SLACK)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return _to_light(lightness, ab * low[:, None])


def _to_light(lightness: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Linear sRGB (..., 3), not limited."""
    y = (lightness + 16) / 116
    f = np.stack([y + ab[..., 0] / 500, y, np.maximum(y - ab[..., 1] / 200, 0)], axis=-1)
    xyz = np.where(f > 0.2068966, f * f * f, (f - np.float32(16 / 116)) / 7.787)
    return xyz.astype(np.float32) @ (FROM_XYZ * WHITE).T.astype(np.float32)


def _levels(light: np.ndarray, kind: np.dtype) -> np.ndarray:
    top = np.iinfo(kind).max
    light = np.clip(light, 0, 1)
    if kind == np.uint16:
        return np.rint(_gamma(light) * top).astype(kind)
    table = np.rint(_gamma(np.arange(STEPS + 1) / STEPS) * top).astype(kind)
    return table[(light * STEPS + 0.5).astype(np.int32)]


def _gamma(light: np.ndarray) -> np.ndarray:
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


class _Enlarged:
    """Chroma (S, S, 2) at (height, width), by cubic interpolation, a few rows at a time."""

    def __init__(self, chroma: np.ndarray, height: int, width: int):
        chroma = chroma.astype(np.float32)
        taps, weights = _taps(chroma.shape[1], width)
        wide = np.zeros((chroma.shape[0], width, 2), np.float32)
        for tap in range(4):
            wide += chroma[:, taps[:, tap]] * weights[None, :, tap, None]
        self._wide, (self._taps, self._weights) = wide, _taps(chroma.shape[0], height)

    def rows(self, rows: slice) -> np.ndarray:
        taps, weights = self._taps[rows], self._weights[rows]
        made = self._wide[taps[:, 0]] * weights[:, 0, None, None]
        for tap in range(1, 4):
            made += self._wide[taps[:, tap]] * weights[:, tap, None, None]
        return made


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
    whole = np.empty(levels.shape[:2], np.float32)
    for top in range(0, len(levels), STRIP):
        whole[top : top + STRIP] = lightness_of(levels[top : top + STRIP]) / 100
    return whole


class _Guided:
    """Chroma that is, round each place, a linear function of the lightness (He et al., "Guided
    Image Filtering", 2013)."""

    def __init__(self, lightness: np.ndarray, enlarged: _Enlarged):
        height, width = lightness.shape
        side = 2 * max(9, round(GUIDE_SHARE * max(height, width))) + 1
        chroma = enlarged.rows(slice(0, height))

        def mean(values: np.ndarray) -> np.ndarray:
            return cv2.blur(values, (side, side), borderType=cv2.BORDER_REFLECT)

        centre = mean(lightness)
        spread = mean(lightness * lightness) - centre * centre
        for channel in (0, 1):
            plane = chroma[..., channel]
            average = mean(plane)
            slope = (mean(plane * lightness) - average * centre) / (spread + GUIDE_EPS)
            chroma[..., channel] = mean(slope) * lightness + mean(average - slope * centre)
        self._chroma = chroma

    def rows(self, rows: slice) -> np.ndarray:
        return self._chroma[rows]
