"""Small clips and pictures to test on."""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


def pattern(width: int = 64, height: int = 64, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture, uint8 (height, width, 3), that survives compression well."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def moving_pattern(length: int = 20, width: int = 64, height: int = 64) -> Iterator[np.ndarray]:
    """``length`` frames of one picture that slides to the right by 3 pixels a frame."""
    still = pattern(width, height)
    for index in range(length):
        yield np.roll(still, 3 * index, axis=1)


def write_picture(path: Path, image: np.ndarray | None = None, **options) -> Path:
    """Saves ``image`` (default: ``pattern()``) through Pillow with its save ``options``."""
    Image.fromarray(pattern() if image is None else image).save(path, **options)
    return path


def write_damaged_jpeg(path: Path, image: np.ndarray | None = None) -> Path:
    """A JPEG of which 200 bytes of the picture are lost, as libjpeg notices; Pillow reads it."""
    write_picture(path, pattern(256, 256) if image is None else image, quality=95)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + data[middle + 200 :])
    return path


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray] | None = None,
    *,
    fps: int = 25,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Iterable[int] | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encodes uint8 RGB ``frames`` (default: ``moving_pattern()``), yuv420p unless told otherwise.

    ``times`` are presentation times in units of 1 / ``fps``, for a variable rate; ``rotation`` goes
    into the display matrix, in degrees counterclockwise; ``options`` are the encoder's (``g``,
    ``bf``, ``crf``), ``container_options`` the container's (``movflags``).
    """
    frames = iter(moving_pattern() if frames is None else frames)
    first = next(frames)
    ticks = itertools.count() if times is None else iter(times)
    import av  # packages whose sources are pictures have no decoder of films

    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        assert isinstance(stream, av.VideoStream), f"{codec} encodes no video"
        stream.height, stream.width, stream.pix_fmt = *first.shape[:2], pixel_format
        if rotation:
            stream.set_display_rotation(rotation)
        for image in (first, *frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = next(ticks), Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """A film's container with a breath of silence and no pictures."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
