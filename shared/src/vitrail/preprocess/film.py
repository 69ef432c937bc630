"""Pictures written as a film: H.264 that says how its colours are coded, in an MP4 of which all
that was written before a stop can be played."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from PIL import Image

from vitrail.errors import InputError

TICKS = 90_000  # of a second, in which times are written
# Each second is whole on the disk once it is over.
FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
CODING = {"preset": "veryfast", "bf": "0", "g": "25"}
QUALITY = 23  # the encoder's constant rate factor: higher is smaller and worse
MIN_SIDE = 16  # pixels, of the encoder
BOX = Image.Resampling.BOX  # each new pixel is the mean of those that it covers


def open_film(path: Path) -> OutputContainer:
    return av.open(str(path), "w", format="mp4", container_options=FRAGMENTS)


class Pictures:
    """The pictures of a film, in a container that others may write sound into.

    The first of them is ``height`` x ``width``; the film's sides are ``size``, even and at least
    ``MIN_SIDE``. What a picture lacks of the first one's size is black, of the film's its edge.
    """

    def __init__(self, container: OutputContainer, height: int, width: int, quality: int = QUALITY):
        self.first = height, width
        self.size = tuple(max(MIN_SIDE, side + side % 2) for side in self.first)
        self._container, self._last = container, -1
        stream = container.add_stream("libx264", options=CODING | {"crf": str(quality)})
        (stream.height, stream.width), stream.pix_fmt = self.size, "yuv420p"
        codec = stream.codec_context
        stream.time_base = codec.time_base = Fraction(1, TICKS)
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._stream = stream

    @property
    def reached(self) -> float:
        """The time of the last picture, in seconds."""
        return self._last / TICKS

    def add(self, image: np.ndarray, time: float, duration: float | None = None) -> None:
        """A picture (H, W, 3) uint8 RGB, shown from ``time`` on, for ``duration``, in seconds."""
        # The encoder's own conversion would take BT.601, whatever the stream says.
        picture = av.VideoFrame.from_ndarray(self._fitted(image), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        picture.pts = self._last = max(round(time * TICKS), self._last + 1)  # stamps must rise
        picture.time_base = Fraction(1, TICKS)
        if duration is not None:
            picture.duration = max(1, round(duration * TICKS))
        self._container.mux(self._stream.encode(picture))

    def end(self) -> None:
        self._container.mux(self._stream.encode(None))

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        scale = min(self.first[0] / image.shape[0], self.first[1] / image.shape[1])
        if scale < 1:
            width, height = (max(round(side * scale), 1) for side in image.shape[1::-1])
            image = np.asarray(Image.fromarray(image).resize((width, height), BOX))
        image = _padded(image, self.first, "constant")
        return np.ascontiguousarray(_padded(image, self.size, "edge"))


class Film:
    """A film of pictures alone, in a ``with`` block; without a picture there is no file. InputError
    where the place cannot be written."""

    def __init__(self, path: Path):
        self.path = path
        self._container: OutputContainer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is not None:
            with unwritable(self.path), self._container:
                self._pictures.end()

    def add(self, image: np.ndarray, time: float, duration: float | None = None) -> None:
        """As ``Pictures.add``."""
        with unwritable(self.path):
            if self._container is None:
                self._container = open_film(self.path)
                self._pictures = Pictures(self._container, *image.shape[:2])
            self._pictures.add(image, time, duration)


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """What FFmpeg says of a place that cannot be written, as InputError."""
    try:
        yield
    except (FFmpegError, OSError) as error:
        reason = (error.strerror or str(error)).lower()
        problem = f"cannot be written: {reason}"
        raise InputError(path, problem, "choose another place or make room") from error


def _padded(image: np.ndarray, size: tuple[int, ...], mode) -> np.ndarray:
    down, across = (want - have for want, have in zip(size, image.shape, strict=False))
    if not down and not across:
        return image
    return np.pad(image, ((0, down), (0, across), (0, 0)), mode)
