"""What one pass over a video file's packets tells of its frames: how many, when, how large, which
way up."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, NamedTuple, cast

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from av.stream import Discard, Disposition
from av.video.reformatter import ColorTrc, VideoReformatter

from vitrail.errors import InputError
from vitrail.sources import IMAGE_SUFFIXES, require_file

# Playlists and scripts (HLS, concat, …) could name other files and hosts: only formats that hold
# their own pictures.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mp3,wav,flac,aac,mxf,dv,yuv4mpegpipe,h264,hevc"
_MAX_PIXELS = 36_000_000  # a frame of 8K; a decoder holds up to 16 of them
_CODEC_OPTIONS = {"max_pixels": str(_MAX_PIXELS)}
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", **_CODEC_OPTIONS}
_TILED = frozenset({"heic", "heix", "mif1"})  # photographs, of which a stream is a part only
HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}  # by transfer function
HDR_WHITE = 203  # cd/m2 of an SDR picture's white in an HDR one (ITU-R BT.2408)
STRICT_VP9 = "libvpx-vp9"
MAX_ASPECT = 4  # of a pixel; what claims more is wrong
_FIRST_FRAME_WITHIN = 1000  # packets; a stream that shows nothing for that long is no video

# FFmpeg's own lines would land on stderr beside ours.
av.logging.set_level(None)


@dataclass(frozen=True)
class Orientation:
    """How stored rows and columns become upright ones: swap the axes, then mirror columns, then
    rows."""

    swapped: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """From the container's display matrix, to the nearest quarter turn."""
        # PyAV's stubs promise keys of text alone.
        matrix = frame.side_data.get(SideData.DISPLAYMATRIX)  # pyright: ignore[reportCallIssue, reportArgumentType]
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
        return np.ascontiguousarray(
            image[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]
        )


@dataclass(frozen=True)
class Clip:
    """A video stream's frames in presentation order, known without decoding them.

    ``stamps``: each frame's time stamp, ascending. ``keys``: the key frames' indices, ascending,
    each with the stamp to seek to in ``seek_stamps``. ``torn``: the frames whose packet is
    incomplete. ``timed`` is False where the stamps do not tell the order: frames must then be
    counted. ``aspect`` is the width of a pixel over its height, as the file has it. ``stored`` is
    the size (width, height) of the first picture as it is stored, ``width`` and ``height`` are that
    with its pixels made square. ``converter`` keeps its tables, which take seconds to make for HDR,
    from one reading to the next.
    """

    path: Path
    stream: int
    codec: str
    aspect: Fraction
    stamps: list[int]
    keys: list[int]
    seek_stamps: dict[int, int]
    torn: frozenset[int]
    timed: bool
    seconds_per_tick: float
    fps: float
    stored: tuple[int, int]
    width: int
    height: int
    orientation: Orientation
    damage: list[str]
    converter: VideoReformatter = field(default_factory=VideoReformatter, compare=False)

    @property
    def start(self) -> float:
        """Seconds on the file's own clock, which its sound follows too, at the first frame."""
        return self.stamps[0] * self.seconds_per_tick if self.timed else 0.0

    def time(self, index: int) -> float:
        """Seconds from the first frame to frame ``index``."""
        if not self.timed:
            return index / self.fps
        return (self.stamps[index] - self.stamps[0]) * self.seconds_per_tick

    def remark(self, sentence: str) -> None:
        """Says in ``damage``, once, what was found while frames were read."""
        if sentence not in self.damage:
            self.damage.append(sentence)

    def key_before(self, index: int) -> int:
        """The last key frame that is not after frame ``index``; 0 where there is none."""
        place = bisect_right(self.keys, index)
        return self.keys[place - 1] if place else 0


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """FFmpeg's demuxer on a local file of an ordinary video format. InputError where it cannot be
    opened, or FFmpeg gives up on it inside."""
    try:
        with (
            _opened(require_file(path)) as file,
            av.open(file, mode="r", options=_OPTIONS, metadata_errors="replace") as container,
        ):
            yield container
    except FFmpegError as error:
        raise _unreadable(path) from error


@contextmanager
def open_stream(
    path: Path, index: int | None = None
) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """As ``open_container``, with all streams muted but one of moving pictures: that of ``index``,
    or the largest."""
    with open_container(path) as container:
        yield container, _choose_stream(path, container, index)


@contextmanager
def _opened(path: Path) -> Iterator[str | BinaryIO]:
    """What FFmpeg is given: a path, or, where its name is an image's and would be believed, the
    bytes alone."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        yield str(path.absolute())
        return
    with path.open("rb") as file:
        yield cast(BinaryIO, SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell))


def _unreadable(path: Path) -> InputError:
    return InputError(
        path, "is damaged, cut short or not a video", "copy it again or convert it to MP4"
    )


def scan(path: Path) -> Clip:
    """Reads every packet of the video stream once. InputError: no video, no frame, frames too
    large."""
    with open_stream(path) as (container, stream):
        shown, hidden = _packets(container, stream)
        if not shown:
            raise InputError(path, "holds no frames", "copy it again from where it came")
        order = _order(shown, container.format.name)
        tick = float(stream.time_base or 0)
        fps = _fps(stream, order["stamps"], order["timed"], tick)
        end = _end(container, order, tick, fps)
        damage = _missing_end(container, stream, len(shown) + hidden, end)
        clip = {
            "path": path,
            "stream": stream.index,
            "codec": stream.codec_context.name,
            "aspect": stream.sample_aspect_ratio or Fraction(1),
            "seconds_per_tick": tick,
            "fps": fps,
            "damage": damage,
            **order,
        }
        transparent = _is_transparent(stream)
    first = _first_frame(path, clip["stream"])
    width, note = _shown_width(first, clip["aspect"])
    clip["damage"] += note + _is_hdr(first) + transparent
    stored = (first.width, first.height)
    return Clip(
        stored=stored,
        width=width,
        height=first.height,
        orientation=Orientation.of(first),
        **clip,
    )


def _shown_width(frame: av.VideoFrame, aspect: Fraction) -> tuple[int, list[str]]:
    """How wide a player shows a frame whose pixels are ``aspect`` times as wide as high."""
    if aspect == 1 or not 0 < aspect <= MAX_ASPECT or aspect < 1 / MAX_ASPECT:
        return frame.width, []
    width = max(1, round(frame.width * aspect))
    shape = f"{aspect.numerator}:{aspect.denominator}"
    stored, shown = (f"{one} x {frame.height}" for one in (frame.width, width))
    return width, [f"its pixels are not square ({shape}): {stored} was stretched to {shown}"]


def _is_hdr(frame: av.VideoFrame) -> list[str]:
    kind = HDR.get(frame.color_trc)
    made = f"made SDR, with what is brighter than {HDR_WHITE} cd/m2 cut to white"
    return [f"it is HDR ({kind}): its frames were {made}"] if kind else []


def _is_transparent(stream: av.VideoStream) -> list[str]:
    """WebM keeps transparency in a stream beside the pictures, other formats within them."""
    alpha = stream.metadata.get("alpha_mode") == "1"
    kind = stream.codec_context.format
    if alpha or (kind and any(part.is_alpha for part in kind.components)):
        return ["it is transparent in places: what is hidden there was read too"]
    return []


def decoder_of(stream: av.VideoStream) -> av.VideoCodecContext:
    """What decodes the stream: libvpx for VP9, as FFmpeg's own decoder makes pictures of damaged
    data and says nothing."""
    own = stream.codec_context
    if (own.name, own.pix_fmt) != ("vp9", "yuv420p") or STRICT_VP9 not in av.codecs_available:
        return own
    strict = av.VideoCodecContext.create(STRICT_VP9, "r")
    strict.extradata, strict.options = own.extradata, _CODEC_OPTIONS
    for tag in ("color_primaries", "color_trc", "colorspace", "color_range"):
        setattr(strict, tag, getattr(own, tag))  # which VP9 itself does not store
    return strict


def _choose_stream(path: Path, container: InputContainer, index: int | None) -> av.VideoStream:
    cover = Disposition.attached_pic
    films = [
        stream
        for stream in container.streams.video
        if stream.codec_context and not stream.disposition & cover
    ]
    if len(films) > 1 and container.metadata.get("major_brand") in _TILED:
        raise InputError(path, "is a photograph in several tiles", "convert it to JPEG")
    if index is not None:
        films = [stream for stream in films if stream.index == index]
    if not films and container.streams.audio:
        raise InputError(path, "holds sound only", "give a file with moving pictures")
    if not films:
        raise _unreadable(path)
    chosen = max(films, key=lambda stream: stream.width * stream.height)
    if chosen.width * chosen.height > _MAX_PIXELS:
        raise InputError(path, f"has frames of {chosen.width} x {chosen.height}", "scale it down")
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    chosen.codec_context.options = _CODEC_OPTIONS
    return chosen


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    key: bool
    torn: bool


def _packets(container, stream) -> tuple[list[_Packet], int]:
    """The packets of frames that are shown, up to the end or the first unreadable place; and how
    many are not shown."""
    shown, hidden = [], 0
    try:
        for packet in container.demux(stream):
            if packet.is_discard or _is_unseen_reference(stream, packet):
                hidden += 1
            elif packet.size:
                shown.append(_Packet(packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt))
    except FFmpegError:
        pass  # what is missing shows in the count
    return shown, hidden


def _is_unseen_reference(stream, packet: av.Packet) -> bool:
    """VP8 stores pictures that only help to predict others in packets of their own; the show bit is
    then 0."""
    return stream.codec_context.name == "vp8" and packet.size > 0 and not bytes(packet)[0] & 0x10


def _order(shown: list[_Packet], format_name: str) -> dict[str, Any]:
    """The fields of Clip that say in which order the packets' frames are presented."""
    stamps = sorted({packet.pts for packet in shown if packet.pts is not None})
    if len(stamps) != len(shown) or format_name == "avi":  # AVI stores no presentation order
        return {
            "stamps": list(range(len(shown))),
            "timed": False,
            "keys": [],
            "seek_stamps": {},
            "torn": frozenset(),
        }
    index = {stamp: number for number, stamp in enumerate(stamps)}
    timed = [(packet.pts, packet) for packet in shown if packet.pts is not None]
    seek_stamps = {index[pts]: pts if p.dts is None else p.dts for pts, p in timed if p.key}
    torn = frozenset(index[pts] for pts, packet in timed if packet.torn)
    return {
        "stamps": stamps,
        "timed": True,
        "keys": sorted(seek_stamps),
        "seek_stamps": seek_stamps,
        "torn": torn,
    }


def _first_frame(path: Path, index: int) -> av.VideoFrame:
    with open_stream(path, index) as (container, stream):
        for packet in islice(container.demux(stream), _FIRST_FRAME_WITHIN):
            try:
                if frames := packet.decode():
                    return frames[0]
            except FFmpegError:
                continue
    raise InputError(path, "holds no frame that can be decoded", "copy it again from where it came")


def _fps(stream, stamps: list[int], timed: bool, tick: float) -> float:
    """The header's average rate where the time stamps agree with it to 1 %, theirs otherwise."""
    header = float(stream.average_rate or 0)
    span = (stamps[-1] - stamps[0]) * tick if timed else 0
    if span <= 0:
        return header or 25.0
    measured = (len(stamps) - 1) / span
    return header if abs(header - measured) <= 0.01 * measured else measured


def _end(container: InputContainer, order: dict[str, Any], tick: float, fps: float) -> float:
    """Seconds from the beginning of the file to the end of the last frame."""
    stamps = order["stamps"]
    if not order["timed"] or container.start_time is None:
        return len(stamps) / fps
    late = max(0.0, stamps[0] * tick - container.start_time / av.time_base)
    return late + (stamps[-1] - stamps[0]) * tick + 1 / fps


def _missing_end(container, stream, packets: int, seconds: float) -> list[str]:
    if packets < stream.frames:
        return [f"the file holds {packets} of {stream.frames} declared frames"]
    promised = (container.duration or 0) / av.time_base
    slack = (
        0.1 if len(container.streams) == 1 else max(1.0, 0.05 * promised)
    )  # sound may well outlast the pictures
    if not stream.frames and seconds < promised - slack:
        return [f"the pictures end at {seconds:.1f} s of {promised:.1f} s declared"]
    return []
