"""Ways in which a camera, a codec or a hand spoils a face, each by a strength from 0 to 1."""

from collections.abc import Callable

import cv2
import numpy as np

Image = np.ndarray  # uint8 (S, S, 3), RGB, the face about as large as in a crop of 112
Random = np.random.Generator
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)
VERSION = 1  # rises when any of these gives another image: what a teacher said of it is void then
TWICE = 0.3  # of the degraded images get a second degradation


def blur(image: Image, strength: float, random: Random) -> Image:
    """Out of focus: a Gaussian of up to 5 pixels."""
    return cv2.GaussianBlur(image, (0, 0), 0.2 + 4.8 * strength)


def motion(image: Image, strength: float, random: Random) -> Image:
    """A straight smear of up to 25 pixels."""
    length = 1 + 24 * strength
    kernel = np.zeros((27, 27), np.float32)
    angle = random.uniform(0, np.pi)
    half = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    ends = 16 * (13 + np.stack((-half, half)))
    first, last = ends.round().astype(int).tolist()
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


def scale(image: Image, strength: float, random: Random) -> Image:
    """Far away: down to a ninth of the side, and up again."""
    side = image.shape[0]
    small = max(round(side * (1 - strength * 8 / 9)), 4)
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    kind = INTERPOLATIONS[random.integers(3)]
    return cv2.resize(shrunk, (side, side), interpolation=kind)


def jpeg(image: Image, strength: float, random: Random) -> Image:
    """Quality 95 down to 3."""
    quality = round(95 * (3 / 95) ** strength)
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line ago
    return np.ascontiguousarray(decoded[..., ::-1])


def dark(image: Image, strength: float, random: Random) -> Image:
    """Little light: down to a twentieth of it, in whole levels."""
    return _scaled(image, 0.05**strength)


def low_light(image: Image, strength: float, random: Random) -> Image:
    """Little light and a camera that makes up for it: noise, grown with the gain."""
    light = image * 0.1**strength
    noisy = light + random.normal(0, 1 + 4 * strength, image.shape)
    return np.clip(noisy * 0.1 ** (-0.7 * strength), 0, 255).astype(np.uint8)


def bright(image: Image, strength: float, random: Random) -> Image:
    """Overexposed: up to five times the light."""
    return _scaled(image, 5**strength)


def noise(image: Image, strength: float, random: Random) -> Image:
    """Of a standard deviation of up to 70 levels."""
    noisy = image + random.normal(0, 70 * strength, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def occlusion(image: Image, strength: float, random: Random) -> Image:
    """Something in front of up to seven tenths of the face: flat, speckled, or a piece of the
    image."""
    side = image.shape[0]
    share = 0.7 * strength
    aspect = np.exp(random.uniform(-0.7, 0.7))
    width = int(min(side, max(side * np.sqrt(share * aspect), 1)))
    height = int(min(side, max(share * side * side / width, 1)))
    x, y = (int(random.integers(0, side - length + 1)) for length in (width, height))
    covered = image.copy()
    kind = random.integers(3)
    if kind == 0:
        covered[y : y + height, x : x + width] = random.integers(0, 256, 3)
    elif kind == 1:
        covered[y : y + height, x : x + width] = random.integers(0, 256, (height, width, 3))
    else:
        covered[y : y + height, x : x + width] = image[::-1, ::-1][y : y + height, x : x + width]
    return covered


def rotation(image: Image, strength: float, random: Random) -> Image:
    """A head that lies on its side, up to 90 degrees either way."""
    angle = 90 * strength * random.choice([-1, 1])
    side = image.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    return cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)


def _scaled(image: Image, factor: float) -> Image:
    return np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


Degradation = Callable[[Image, float, Random], Image]
# Those of the degraded test set, in which heads are upright
TESTED: dict[str, Degradation] = {
    "blur": blur,
    "motion": motion,
    "scale": scale,
    "jpeg": jpeg,
    "dark": dark,
    "bright": bright,
    "noise": noise,
    "occlusion": occlusion,
}
ALL = TESTED | {"low light": low_light, "rotation": rotation}


def degrade(image: Image, random: Random, kinds: dict[str, Degradation] = ALL) -> Image:
    """One degradation of a strength drawn evenly, sometimes two."""
    names = list(kinds)
    for _ in range(1 + (random.random() < TWICE)):
        image = kinds[names[random.integers(len(names))]](image, random.random(), random)
    return image
