"""Sound from packets by FFmpeg: broken ones are skipped and told, and every sample stands at the
time that the file gives it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError

from vitrail.errors import InputError

MIN_HOLE = 0.05  # seconds; less is how codecs and containers round
MIN_RESTART = 1.0  # seconds back; less is jitter, which the next stamps mend
MAX_HOLE = 3600.0  # seconds, all holes together; more comes from damaged time stamps
MAX_SAMPLE = 1e4  # a float file may exceed 1; beyond this it holds no sound
MAX_STUMBLES = 1000  # of the reader between two packets
_SILENT_BLOCK = 1 << 14

# Formats that hold their own sound: a playlist could name other files and hosts.
_FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dts,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,tta,"
    "w64,wav,wv"
)
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
# Stamps of these count from the beginning of the recording, and what they lack there was lost;
# those of other formats may begin anywhere.
_FROM_ZERO = {"flac", "ogg"}
_MAX_LEAD = 60.0  # seconds; a radio stream that was joined late
av.logging.set_level(None)  # FFmpeg's own lines would land on stderr beside ours

# Packets without a container, whose number nothing tells
_BARE = {"aac", "ac3", "amr", "dts", "eac3"}
_COUNTS = (b"Xing", b"Info", b"VBRI")  # of the packets of an MP3, in its first one

Blocks = Generator[np.ndarray, None, None]


@contextmanager
def open_track(path: Path, track: int = 0) -> Iterator[tuple[InputContainer, av.AudioStream]]:
    """A file's sound track, counted from 0; InputError where there is none."""
    try:
        container = av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        problem = "is damaged, cut short or not a sound file"
        raise InputError(path, problem, "copy it again or convert it to WAV") from error
    with container:
        streams = [stream for stream in container.streams.audio if stream.codec_context]
        if not streams:
            raise InputError(path, "holds no sound", "give a file with sound")
        if track >= len(streams):
            problem = f"has {len(streams)} sound tracks"
            raise InputError(path, problem, f"track {track + 1} is not there")
        yield container, streams[track]


def declared_seconds(container: InputContainer, stream: av.AudioStream) -> float | None:
    """The length of the sound, where the file tells it: that of a video may be another, and that
    of bare packets is FFmpeg's guess."""
    if container.format.name in _BARE or not _counted(container):
        return None
    if stream.duration and stream.time_base:
        start = float((stream.start_time or 0) * stream.time_base) - origin(container)
        return float(stream.duration * stream.time_base) + max(0.0, start)
    if container.duration and not container.streams.video:
        return (container.duration - max(0, container.start_time or 0)) / av.time_base
    return None


def _counted(container: InputContainer) -> bool:
    if container.format.name != "mp3":
        return True
    with open(container.name, "rb") as file:
        head = file.read(10)
        tag = sum(
            (byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
        )
        file.seek(tag + 10 if head.startswith(b"ID3") else 0)
        first = file.read(4096)
    return any(count in first for count in _COUNTS)


def origin(container: InputContainer) -> float:
    """The time stamp, in seconds, of the file's beginning."""
    start = (container.start_time or 0) / av.time_base
    return 0.0 if container.format.name in _FROM_ZERO and start < _MAX_LEAD else start


@dataclass
class Losses:
    """What could not be heard: ``packets`` that are broken, and the seconds that are silent in
    their place or because no packet has them, with the ``first`` moment of each."""

    packets: int = 0
    first_packet: float = 0.0
    silent: float = 0.0
    first_silent: float = 0.0
    jumps: list[float] = field(default_factory=list)

    def packet(self, seconds: float) -> None:
        self.first_packet = self.first_packet if self.packets else seconds
        self.packets += 1

    def hole(self, start: float, seconds: float) -> None:
        self.first_silent = self.first_silent if self.silent else start
        self.silent += seconds

    def remarks(self) -> Iterator[str]:
        if self.packets:
            count = f"{self.packets} packets" if self.packets > 1 else "a packet"
            yield f"{count} cannot be read, first at {self.first_packet:.2f} s"
        if self.silent:
            yield (
                f"{self.silent:.2f} s without sound in the file, from {self.first_silent:.2f} s "
                "on, count as silence"
            )
        if self.jumps:
            yield f"time stamps jump at {self.jumps[0]:.2f} s; times behind it follow the sound"


def packet_blocks(path: Path, track: int, rate: int, losses: Losses) -> Blocks:
    """Blocks float32 (n, channels) at ``rate``, from the file's beginning to its end."""
    with open_track(path, track) as (container, stream):
        if stream.codec_context.name == "flac":  # else a broken frame would sound as noise
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        convert = _Converter(rate, stream.layout)
        channels = stream.channels
        clock, zero, heard = 0.0, origin(container), 0
        frames = _frames(container, stream, losses)
        for frame, following in pairwise(chain(frames, [None])):
            assert frame is not None  # None comes last, and only follows
            time = _stamp(frame, following)
            if time is not None:
                gap = time - zero + clock - heard / rate
                # Backwards: the next link of a radio stream begins at 0
                if gap < -MIN_RESTART or losses.silent + gap > MAX_HOLE:
                    if heard and gap > 0:
                        losses.jumps.append(heard / rate)
                    clock -= gap
                elif gap > MIN_HOLE:
                    losses.hole(heard / rate, gap)
                    missing = round(gap * rate)
                    heard += missing
                    yield from _silence(missing, channels)
            for block in convert(frame):
                wrong = ~np.isfinite(block) | (np.abs(block) > MAX_SAMPLE)
                if wrong.any():
                    losses.packet(heard / rate)
                    block = np.where(wrong, np.float32(0), block)
                heard += len(block)
                yield block
        yield from convert(None)


def _frames(container, stream, losses: Losses) -> Iterator[av.AudioFrame]:
    packets, stumbles, reached, zero = container.demux(stream), 0, 0.0, origin(container)
    while stumbles <= MAX_STUMBLES:
        try:
            packet = next(packets, None)
        except EndOfFile:
            return
        except FFmpegError:
            losses.packet(reached)
            stumbles += 1
            packets = container.demux(stream)
            continue
        if packet is None:
            return
        if packet.pts is not None and packet.time_base:
            reached = float(packet.pts * packet.time_base) - zero
        stumbles = 0
        try:
            yield from stream.decode(packet)
        except EndOfFile:
            continue
        except FFmpegError:
            losses.packet(reached)


def _stamp(frame: av.AudioFrame, following: av.AudioFrame | None) -> float | None:
    """The time of a frame, where that of the next one confirms it: parsers guess behind damage."""
    if following is None or frame.time is None or following.time is None:
        return None
    length = frame.samples / frame.sample_rate
    return frame.time if following.time - frame.time > length - MIN_HOLE else None


class _Converter:
    """Frames to float32 (n, channels) of one rate and layout; a stream may change its own on the
    way."""

    def __init__(self, rate: int, layout: av.AudioLayout):
        self.rate, self.layout = rate, layout
        self._kind: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame | None) -> Blocks:
        kind = frame and (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler and kind != self._kind:
            yield from self._converted(None)
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
            self._kind = kind
        yield from self._converted(frame)

    def _converted(self, frame: av.AudioFrame | None) -> Blocks:
        assert self._resampler is not None
        for converted in self._resampler.resample(frame):
            yield converted.to_ndarray().T


def _silence(samples: int, channels: int) -> Blocks:
    while samples > 0:
        yield np.zeros((min(samples, _SILENT_BLOCK), channels), np.float32)
        samples -= _SILENT_BLOCK
