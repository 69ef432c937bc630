"""Frames from video files: exact ones by number or time, and an honest account of what could not be
read."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitrail.errors import InputError, UsageError
from vitrail.preprocess import decoding
from vitrail.preprocess.clip import Clip, scan
from vitrail.sources import VIDEO_SUFFIXES

__all__ = ["VIDEO_SUFFIXES", "Frame", "VideoReader", "open_video", "sample_indices"]

_DECODERS = {"pyav": decoding.pyav_frames, "decord": decoding.decord_frames}


@dataclass(frozen=True)
class Frame:
    """``index`` in presentation order, ``time`` in seconds from the first frame, ``image`` uint8
    RGB (H, W, 3)."""

    index: int
    time: float
    image: np.ndarray


class VideoReader:
    """A video file's facts, and its frames on demand.

    ``frame_count`` counts the frames that the file really holds; ``damage`` tells in plain
    sentences what it lacks and grows while frames are read. ``width`` and ``height`` are those of
    the upright frames, ``rotation`` the clockwise degrees by which the stored ones were turned.
    Where ``timed`` is false the file tells no times and ``fps`` makes them.
    """

    def __init__(
        self, clip: Clip, decode: Callable[[Clip, Sequence[int]], Iterator[tuple[int, np.ndarray]]]
    ):
        self._clip, self._decode = clip, decode
        self.frame_count = len(clip.stamps)
        self.fps = clip.fps
        self.timed = clip.timed
        self.path, self.start = clip.path, clip.start
        self.duration = clip.time(self.frame_count - 1) + 1 / clip.fps
        self.rotation = clip.orientation.rotation
        swap = -1 if clip.orientation.swapped else 1
        self.width, self.height = (clip.width, clip.height)[::swap]
        self.damage = clip.damage

    @property
    def facts(self) -> dict[str, str]:
        """What the file is, for people."""
        clip, rate = self._clip, f"{self.fps:.4g} frames a second"
        return {
            "codec": clip.codec,
            "size": f"{self.width} x {self.height} pixels",
            "pixel shape": f"{clip.aspect.numerator}:{clip.aspect.denominator}",
            "rotation": f"{self.rotation} degrees",
            "rate": rate if self.timed else f"{rate} (the file tells no times)",
            "duration": f"{self.duration:.2f} s, {self.frame_count} frames",
        }

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to release: the file is open only while ``frames`` is being read."""

    def frames(self, indices: Iterable[int]) -> Iterator[Frame]:
        """The frames of ``indices``, lazily, in ascending order, one for each time an index is
        named.

        A frame that cannot be decoded is left out and ``damage`` says so; InputError where not one
        can be.
        """
        times_wanted = Counter(indices)
        wanted = sorted(times_wanted)
        if wanted and not 0 <= wanted[0] <= wanted[-1] < self.frame_count:
            raise UsageError(
                self._clip.path, f"has frames 0 to {self.frame_count - 1}", "choose among them"
            )
        read = 0
        for index, image in self._decode(self._clip, wanted):
            read += 1
            for _ in range(times_wanted[index]):
                yield Frame(index, self._clip.time(index), image)
        self._report(read, len(wanted))

    def frames_at(self, seconds: Iterable[float]) -> Iterator[Frame]:
        """The frames that a player shows at these times, in seconds from the first frame (the ends
        are clamped)."""
        every = range(self.frame_count)
        return self.frames(
            max(0, bisect_right(every, second, key=self._clip.time) - 1) for second in seconds
        )

    def time(self, index: int) -> float:
        """When a frame is shown, in seconds from the first, without decoding it."""
        return self._clip.time(index)

    def _report(self, read: int, wanted: int) -> None:
        if wanted and not read:
            raise InputError(
                self._clip.path,
                "holds no frame that can be decoded",
                "copy it again from where it came",
            )
        if read < wanted:
            of = "" if wanted == self.frame_count else "wanted "
            self.damage.append(f"read {read} of {wanted} {of}frames")


def open_video(path: str | Path, backend: str = "pyav") -> VideoReader:
    """A reader on a video file; ``backend`` "decord" decodes the same frames through decord, where
    it is installed.

    InputError: missing, empty, a folder, damaged beyond reading, without moving pictures, frames
    too large.
    """
    if backend not in _DECODERS:
        raise UsageError(backend, "is no video backend", f"choose {' or '.join(_DECODERS)}")
    return VideoReader(scan(Path(path)), _DECODERS[backend])


def sample_indices(
    frame_count: int, *, number: int | None = None, rate: float | None = None, fps: float = 25.0
) -> list[int]:
    """Which frames to look at: ``number`` spread evenly from first to last, ``rate`` a second, or
    all of them.

    ``number`` above ``frame_count`` repeats frames, as the official GenConViT does: ``linspace(0, n
    - 1, number)`` cut to integers.
    """
    if number is not None:
        return np.linspace(0, frame_count - 1, number).astype(int).tolist() if frame_count else []
    if rate is not None:
        step = max(1.0, fps / rate)
        return np.arange(0, frame_count, step).astype(int).tolist()
    return list(range(frame_count))
