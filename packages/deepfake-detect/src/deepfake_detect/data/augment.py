"""What happens to a video on its way to the viewer, done to a real image and its pseudo-fake
alike."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce

import av
import cv2
import numpy as np
from numpy.random import Generator

Change = Callable[[np.ndarray], np.ndarray]


def augment_alike(images: Sequence[np.ndarray], rng: Generator) -> list[np.ndarray]:
    """The same random changes with the same strengths for all ``images`` (uint8 RGB (H, W, 3) of
    one size)."""
    for change in _draw(images[0].shape[:2], rng):
        images = [change(image) for image in images]
    return list(images)


def _draw(size: tuple[int, int], rng: Generator) -> list[Change]:
    kinds = (
        (0.3, _colour),
        (0.3, _light),
        (0.35, _rescale),
        (0.15, _blur),
        (0.2, _noise),
        (0.5, _jpeg),
        (0.3, _video),
    )
    return [kind(size, rng) for chance, kind in kinds if rng.random() < chance]


def _colour(size: tuple[int, int], rng: Generator) -> Change:
    shift = rng.uniform(-20, 20, 3).astype(np.float32)
    saturation = np.float32(rng.uniform(0.6, 1.3))

    def change(image: np.ndarray) -> np.ndarray:
        grey = image.mean(axis=2, keepdims=True, dtype=np.float32)
        return (grey + saturation * (image - grey) + shift).clip(0, 255).astype(np.uint8)

    return change


def _light(size: tuple[int, int], rng: Generator) -> Change:
    levels = np.arange(256) / 255
    curve = (
        (levels ** rng.uniform(0.7, 1.4) - 0.5) * rng.uniform(0.7, 1.3)
        + 0.5
        + rng.uniform(-0.12, 0.12)
    )
    table = (curve * 255).clip(0, 255).astype(np.uint8)
    return lambda image: table[image]


def _rescale(size: tuple[int, int], rng: Generator) -> Change:
    factor = rng.uniform(0.4, 0.95)
    small = (max(8, int(size[1] * factor)), max(8, int(size[0] * factor)))
    down = rng.choice((cv2.INTER_AREA, cv2.INTER_LINEAR))
    up = rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    return lambda image: cv2.resize(
        cv2.resize(image, small, interpolation=int(down)), size[::-1], interpolation=int(up)
    )


def _blur(size: tuple[int, int], rng: Generator) -> Change:
    sigma = rng.uniform(0.4, 1.4)
    return lambda image: cv2.GaussianBlur(image, (0, 0), sigma)


def _noise(size: tuple[int, int], rng: Generator) -> Change:
    grain = rng.normal(0, rng.uniform(1, 7), (*size, 3)).astype(np.float32)
    return lambda image: (image + grain).clip(0, 255).astype(np.uint8)


def _jpeg(size: tuple[int, int], rng: Generator) -> Change:
    """JPEG; a second time in half of the cases, as an image that was stored and sent on."""
    qualities = [int(quality) for quality in rng.integers(30, 96, 1 + int(rng.random() < 0.5))]
    return lambda image: reduce(jpeg, qualities, image)


def _video(size: tuple[int, int], rng: Generator) -> Change:
    factor = int(rng.integers(20, 39))
    return lambda image: recompress(image, factor)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """The image after JPEG at ``quality`` (1 to 100)."""
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None  # it was encoded a line above
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def recompress(image: np.ndarray, rate_factor: int) -> np.ndarray:
    """The image after H.264 at x264's constant rate factor (18 is fine, 40 coarse), as the first
    frame of a clip."""
    height, width = image.shape[:2]
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
    encoder.options = {"crf": str(rate_factor), "preset": "veryfast", "tune": "zerolatency"}
    packets = [
        *encoder.encode(av.VideoFrame.from_ndarray(np.asarray(even, np.uint8), format="rgb24")),
        *encoder.encode(None),
    ]
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return frames[0].to_ndarray(format="rgb24")[:height, :width]
