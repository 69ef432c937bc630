"""Colours: sRGB and CIE Lab (D65) as the release computes them, in NumPy.

L is 0..100, a and b are unscaled; RGB is 0..1. All arrays have the channels last. float32 in,
float32 out.
"""

import numpy as np

CHROMA_SCALE = 110.0  # of a and b as the network has them
TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
FROM_XYZ = np.array(
    [
        [3.24048134, -1.53715152, -0.49853633],
        [-0.96925495, 1.87599, 0.04155593],
        [0.05564664, -0.20404134, 1.05731107],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
GAMUT_TRIES = 20


def linear(rgb: np.ndarray) -> np.ndarray:
    """sRGB's values to light."""
    rgb = np.asarray(rgb)
    return np.where(rgb > 0.04045, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def rgb_to_lab(rgb: np.ndarray) -> np.ndarray:
    """(..., 3) RGB in 0..1 to (..., 3) L, a, b."""
    xyz = linear(rgb) @ (TO_XYZ / WHITE[:, None]).T.astype(rgb.dtype)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(rgb.dtype)


def lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """(..., 3) L, a, b to (..., 3) RGB; a colour that no screen shows leaves 0..1 above."""
    y = (lab[..., 0] + 16) / 116
    x, z = y + lab[..., 1] / 500, np.maximum(y - lab[..., 2] / 200, 0)
    f = np.stack([x, y, z], axis=-1)
    xyz = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
    light = np.maximum(xyz @ (FROM_XYZ * WHITE).T.astype(lab.dtype), 0)
    values = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return values.astype(lab.dtype)


def displayable(lightness: float, rgb: np.ndarray) -> np.ndarray:
    """The colour (3,) uint8 with about this L (0..100) and the chroma of ``rgb`` (3,) uint8, as far
    as a screen shows it: L is put in its place and the colour clipped until that changes little."""
    colour = np.asarray(rgb, np.float64) / 255
    for _ in range(GAMUT_TRIES):
        lab = rgb_to_lab(colour)
        lab[0] = lightness
        shown = np.clip(lab_to_rgb(lab), 0, 1)
        change = np.abs(shown - colour).max() * 255
        colour = shown
        if change < 1:
            break
    return np.rint(colour * 255).astype(np.uint8)
