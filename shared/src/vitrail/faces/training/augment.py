"""What cameras and codecs do to an image: light, colour, blur, noise, compression."""

import cv2
import numpy as np


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random mixture of changes of a uint8 RGB image (H, W, 3); none of them moves anything."""
    image = _tones(image, rng)
    if rng.random() < 0.15:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if rng.random() < 0.3:
        image = _blur(image, rng)
    if rng.random() < 0.25:
        image = _small_and_back(image, rng.uniform(0.35, 0.9), rng)
    if rng.random() < 0.3:
        image = _noise(image, rng)
    if rng.random() < 0.55:
        image = _compress(image, int(rng.integers(12, 90)))
    elif rng.random() < 0.4:
        image = _small_and_back(
            image, rng.uniform(0.35, 1.0), rng, quality=int(rng.integers(5, 40))
        )
    return image


def low_resolution(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One image in two as if enlarged from up to six times fewer pixels per side."""
    return (
        _small_and_back(image, np.exp(rng.uniform(np.log(0.16), 0)), rng)
        if rng.random() < 0.5
        else image
    )


def _tones(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, contrast, brightness and a colour cast by one table per channel; one image in eight is
    very dark."""
    levels = np.linspace(0, 1, 256)
    table = np.tile(levels ** np.exp(rng.uniform(-0.5, 0.5)), (3, 1))
    table = (table - 0.5) * rng.uniform(0.6, 1.4) + 0.5 + rng.uniform(-0.15, 0.15)
    table *= rng.uniform(0.85, 1.15, (3, 1))
    if rng.random() < 0.125:
        table = np.clip(table, 0, 1) * rng.uniform(0.1, 0.5)
    table = np.clip(table * 255, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, np.ascontiguousarray(table.T[:, None]))
    if rng.random() < 0.3:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 1] = cv2.convertScaleAbs(hsv[..., 1], alpha=rng.uniform(0.2, 1.8))
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + rng.integers(-12, 13)) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return image


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.6:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.5))
    length = int(rng.integers(3, 12))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5,) * 2, rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _small_and_back(
    image: np.ndarray, scale: float, rng: np.random.Generator, quality: int | None = None
) -> np.ndarray:
    """Shrunk by ``scale`` and enlarged again; compressed to ``quality`` in between, it has large
    blocks."""
    height, width = image.shape[:2]
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if quality is not None:
        small = _compress(small, quality)
    return cv2.resize(
        small, (width, height), interpolation=int(rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC)))
    )


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 18)
    if rng.random() < 0.5:
        noise = noise[..., :1]
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(code, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line above
    return decoded
