"""What one pass over a video file's packets tells of its frames: how many, when, how large, which way up."""

from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData

from vitrine.errors import InputError
from vitrine.preprocess.image import MAX_PIXELS
from vitrine.preprocess.sources import require_file

# Playlists and scripts (HLS, concat, …) could name other files and hosts: only formats that hold their own pictures.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
_FIRST_FRAME_WITHIN = 1000  # packets; a stream that shows nothing for that long is no video

# FFmpeg's own lines would land on stderr beside ours.
av.logging.set_level(None)


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become upright ones: swap the axes, then mirror columns, then rows."""

    swapped: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """From the container's display matrix, to the nearest quarter turn."""
        matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]  # x' = a x + c y, y' = b x + d y
        swapped = bool(abs(int(b)) > abs(int(a)))
        return cls(swapped, bool((c if swapped else a) < 0), bool((b if swapped else d) < 0))

    @property
    def rotation(self) -> int:
        """Degrees clockwise that a player turns the stored picture by: 0, 90, 180 or 270."""
        if self.swapped:
            return 270 if self.mirror_y else 90
        return 180 if self.mirror_y else 0

    def upright(self, image: np.ndarray) -> np.ndarray:
        """Stored (H, W, 3) to upright, contiguous."""
        if self.swapped:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1])


@dataclass(frozen=True)
class Clip:
    """A video stream's frames in presentation order, known without decoding them.

    ``stamps``: each frame's time stamp, ascending. ``keys``: the key frames' indices, ascending, each with the stamp to
    seek to in ``seek_stamps``. ``timed`` is False where the stamps do not tell the order: frames must then be counted.
    ``width`` and ``height`` are those of the stored picture.
    """

    path: Path
    stream: int
    stamps: list[int]
    keys: list[int]
    seek_stamps: dict[int, int]
    timed: bool
    seconds_per_tick: float
    fps: float
    width: int
    height: int
    orientation: Orientation
    damage: list[str]

    def time(self, index: int) -> float:
        """Seconds from the first frame to frame ``index``."""
        if not self.timed:
            return index / self.fps
        return (self.stamps[index] - self.stamps[0]) * self.seconds_per_tick

    def key_before(self, index: int) -> int:
        """The last key frame that is not after frame ``index``; 0 where there is none."""
        place = bisect_right(self.keys, index)
        return self.keys[place - 1] if place else 0


def open_container(path: Path) -> av.container.InputContainer:
    """FFmpeg's demuxer on a local file of an ordinary video format; InputError otherwise."""
    try:
        return av.open(str(require_file(path).absolute()), options=_OPTIONS)
    except av.FFmpegError as error:
        raise InputError(path, "is damaged, cut short or not a video", "copy it again or convert it to MP4") from error


def scan(path: Path) -> Clip:
    """Reads every packet of the video stream once. InputError: no video, no frame, frames too large."""
    with open_container(path) as container:
        stream = video_stream(path, container)
        if stream.width * stream.height > MAX_PIXELS:
            raise InputError(path, f"has frames of {stream.width} x {stream.height}", "scale it down")
        packets = _packets(container, stream)
        shown = [packet for packet in packets if not packet[3]]
        if not shown:
            raise InputError(path, "holds no frames", "copy it again from where it came")
        first = _first_frame(path, container, stream)
        stamps, seek_stamps, timed = _order(shown, container.format.name)
        tick = float(stream.time_base or 0)
        fps = _fps(stream, stamps, timed, tick)
        declared = max(0, stream.frames)
        return Clip(
            path=path,
            stream=stream.index,
            stamps=stamps,
            keys=sorted(seek_stamps),
            seek_stamps=seek_stamps,
            timed=timed,
            seconds_per_tick=tick,
            fps=fps,
            width=first.width,
            height=first.height,
            orientation=Orientation.of(first),
            damage=_missing_end(container, len(packets), declared, len(stamps) / fps),
        )


def video_stream(path: Path, container: av.container.InputContainer, index: int | None = None) -> av.VideoStream:
    """The stream of the largest moving pictures (cover pictures do not count), or that of ``index``; others muted."""
    cover = av.stream.Disposition.attached_pic
    films = [stream for stream in container.streams.video if not stream.disposition & cover]
    if index is not None:
        films = [stream for stream in films if stream.index == index]
    if not films:
        kind = "holds sound only" if container.streams.audio else "holds no video"
        raise InputError(path, kind, "give a file with moving pictures")
    chosen = max(films, key=lambda stream: stream.width * stream.height)
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = av.stream.Discard.all
    return chosen


def _packets(container, stream) -> list[tuple[int | None, int | None, bool, bool]]:
    """(presentation stamp, decoding stamp, key, hidden) of every packet up to the end or the first unreadable place."""
    found = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                hidden = packet.is_discard or (stream.codec_context.name == "vp8" and not bytes(packet)[0] & 0x10)
                found.append((packet.pts, packet.dts, packet.is_keyframe, hidden))
    except av.FFmpegError:
        pass  # what is missing shows in the count
    return found


def _order(shown, format_name: str) -> tuple[list[int], dict[int, int], bool]:
    stamps = sorted({packet[0] for packet in shown if packet[0] is not None})
    if len(stamps) != len(shown) or format_name == "avi":  # AVI stores no presentation order
        return list(range(len(shown))), {}, False
    index = {stamp: i for i, stamp in enumerate(stamps)}
    seek_stamps = {index[pts]: pts if dts is None else dts for pts, dts, key, _ in shown if key}
    return stamps, seek_stamps, True


def _first_frame(path: Path, container, stream) -> av.VideoFrame:
    container.seek(0)
    for count, packet in enumerate(container.demux(stream)):
        try:
            if frames := packet.decode():
                return frames[0]
        except av.FFmpegError:
            continue
        if count > _FIRST_FRAME_WITHIN:
            break
    raise InputError(path, "holds no frame that can be decoded", "copy it again from where it came")


def _fps(stream, stamps: list[int], timed: bool, tick: float) -> float:
    """The header's average rate where the time stamps agree with it to 1 %, theirs otherwise."""
    header = float(stream.average_rate or 0)
    span = (stamps[-1] - stamps[0]) * tick if timed else 0
    if span <= 0:
        return header or 25.0
    measured = (len(stamps) - 1) / span
    return header if abs(header - measured) <= 0.01 * measured else measured


def _missing_end(container, packets: int, declared: int, seconds: float) -> list[str]:
    if packets < declared:
        return [f"the file holds {packets} of {declared} declared frames"]
    promised = (container.duration or 0) / av.time_base
    if not declared and seconds < promised - max(1.0, 0.05 * promised):
        return [f"the pictures end at {seconds:.1f} s of {promised:.1f} s declared"]
    return []
