"""The house's colours: for classes, and for how much there is of something."""

from collections.abc import Iterable

import numpy as np

Colour = tuple[int, int, int]

BACKGROUND: Colour = (128, 128, 128)
# Told apart by people who see no red or no green (Okabe and Ito 2008); the rest is worked out.
_FIRST: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (213, 94, 0),
    (0, 114, 178),
    (204, 121, 167),
    (240, 228, 66),
)
_GOLDEN_ANGLE = 2.399963  # radians; hues that stay far apart however many there are


def colour(number: int) -> Colour:
    """The colour of the ``number``-th thing, counted from 0; every number has one."""
    if number < len(_FIRST):
        return _FIRST[max(number, 0)]
    lightness = (0.62, 0.78, 0.48)[number % 3]
    hue = 2.6 + _GOLDEN_ANGLE * number
    tone = _from_oklab(lightness, 0.13 * np.cos(hue), 0.13 * np.sin(hue))
    red, green, blue = map(int, tone)
    return red, green, blue


def class_colours(values: Iterable[int]) -> dict[int, Colour]:
    """A colour for each value of a label map, the same in every map: grey for 0, the background."""
    return {value: colour(value - 1) if value else BACKGROUND for value in values}


def ink_on(background: Colour) -> Colour:
    """Black or white, whichever is easier to read on ``background``."""
    red, green, blue = (_linear(np.array(background) / 255)).tolist()
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # Where both have the same contrast by WCAG 2: (1.05 / (L + 0.05) = (L + 0.05) / 0.05).
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)


def heat(values: np.ndarray) -> np.ndarray:
    """Numbers in 0..1 (…) as uint8 colours (…, 3) from nearly black over violet, red and orange to
    pale yellow, in equal steps to the eye; NaN is grey."""
    steps = np.linspace(0, 1, 256)
    hue = np.interp(steps, [0, 0.4, 0.75, 1], [-1.4, -0.1, 0.9, 1.75])
    chroma = np.interp(steps, [0, 0.25, 0.6, 0.85, 1], [0.02, 0.13, 0.19, 0.15, 0.06])
    table = _from_oklab(0.12 + 0.85 * steps, chroma * np.cos(hue), chroma * np.sin(hue))
    known = np.nan_to_num(np.asarray(values, float), nan=0.0)
    colours = table[np.rint(np.clip(known, 0, 1) * 255).astype(int)]
    colours[np.isnan(values)] = BACKGROUND
    return colours


def _from_oklab(lightness, a, b) -> np.ndarray:
    """Oklab (Ottosson 2020) to uint8 sRGB (…, 3)."""
    lightness, a, b = np.broadcast_arrays(*map(np.asarray, (lightness, a, b)))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    light = np.clip(np.stack([red, green, blue], axis=-1), 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


def _linear(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
