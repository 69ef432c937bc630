"""A film made anew, picture by picture: other pictures, the times and the sound of the old one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vitrail.errors import InputError
from vitrail.preprocess.clip import open_container
from vitrail.preprocess.packets import Losses, open_track, origin, packet_blocks
from vitrail.preprocess.video import VideoReader

TICKS = 90_000  # of a second, in which times are written
# Each second is whole on the disk once it is over: what is written so far can be played.
FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof", "flush_packets": "1"}
QUALITY = {"crf": "18", "preset": "veryfast", "bf": "0", "g": "25"}
MIN_SIDE = 16  # pixels, of the encoder
COPIED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})  # what MP4 holds
AAC_RATES = frozenset({8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000})
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # raw sound tells a number alone

Packets = Iterator[tuple[float, av.Packet]]


def add_pictures(
    container: OutputContainer, height: int, width: int, quality: dict[str, str]
) -> av.VideoStream:
    """A stream of H.264 for ``coded_picture``, of even sides, that says how its colours are
    coded."""
    stream = container.add_stream("libx264", options=quality)
    stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
    codec = stream.codec_context
    stream.time_base = codec.time_base = Fraction(1, TICKS)
    codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
    codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def coded_picture(image: np.ndarray, stamp: int) -> av.VideoFrame:
    """A picture (H, W, 3) uint8 RGB as the encoder takes it, shown from ``stamp`` on, in
    ``TICKS``.

    The encoder's own conversion would take BT.601, whatever the stream says.
    """
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    picture = picture.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    picture.pts, picture.time_base = stamp, Fraction(1, TICKS)
    return picture


class FilmWriter:
    """An MP4 of H.264 in fragments, in a ``with`` block.

    ``source`` is the film whose sound it gets, copied where MP4 can hold it, else as AAC;
    ``damage`` tells what could not be kept. Pictures of odd sides get a border of a pixel. After an
    interruption what was written stays, and can be played. InputError where the place cannot be
    written.
    """

    def __init__(self, path: Path, source: VideoReader):
        self.path, self.damage = path, list[str]()
        self._source, self._open = source, ExitStack()
        self._container: OutputContainer | None = None
        self._sound: Packets = iter(())
        self._waiting: tuple[float, av.Packet] | None = None
        self._shift, self._last = -source.start, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open, _told(self.path):
            if self._container is None:
                return
            if kind is None or not issubclass(kind, Exception):
                self._container.mux(self._stream.encode(None))
                self._sound_until(self._last / TICKS if kind else float("inf"))
            self._container.close()

    def add(self, image: np.ndarray, time: float, duration: float) -> None:
        """A picture (H, W, 3) uint8 RGB, shown from ``time`` on, in seconds from the first one, for
        ``duration`` seconds."""
        with _told(self.path):
            container = self._container or self._begin(*image.shape[:2])
            begin = time + self._source.start + self._shift
            stamp = self._last = max(round(begin * TICKS), self._last + 1)  # stamps must rise
            self._sound_until(stamp / TICKS)
            picture = coded_picture(self._even(image), stamp)
            picture.duration = max(1, round(duration * TICKS))
            container.mux(self._stream.encode(picture))

    def _begin(self, height: int, width: int) -> OutputContainer:
        self._container = container = av.open(
            str(self.path), "w", format="mp4", container_options=FRAGMENTS
        )
        high, wide = (max(MIN_SIDE, side + side % 2) for side in (height, width))
        if (high, wide) != (height, width):
            made = f"{width} x {height} pixels became {wide} x {high}"
            self.damage.append(f"H.264 wants even sides: with a border {made}")
        self._stream = add_pictures(container, high, wide, QUALITY)
        self._sound = self._sound_of(container)
        self._waiting = next(self._sound, None)
        if self._waiting:  # sound that begins before the pictures is kept: they wait for it
            self._shift = -min(self._waiting[0], self._source.start)
        return container

    def _sound_of(self, container: OutputContainer) -> Packets:
        """Packets for the new film, each with its time on the old one's clock."""
        source = self._open.enter_context(open_container(self._source.path))
        tracks = [stream for stream in source.streams.audio if stream.codec_context]
        if len(tracks) > 1:
            self.damage.append(f"of its {len(tracks)} sound tracks only the first was kept")
        if source.streams.subtitles:
            self.damage.append("its subtitles were left out")
        if not tracks:
            return iter(())
        codec = tracks[0].codec_context
        if codec.name in COPIED and (codec.extradata or codec.name in ("ac3", "eac3", "mp3")):
            made = container.add_stream_from_template(tracks[0])
            return self._copied(source, tracks[0], made)
        self.damage.append(f"its sound ({codec.name}) was encoded anew, as AAC")
        rate = codec.sample_rate if codec.sample_rate in AAC_RATES else 48_000
        layout = LAYOUTS.get(codec.layout.nb_channels, codec.layout.name)
        made = container.add_stream("aac", rate=rate, layout=layout)
        return self._encoded(made)

    def _copied(
        self, source: InputContainer, track: av.AudioStream, made: av.AudioStream
    ) -> Packets:
        lost, last, reached = 0, float("-inf"), 0.0
        try:
            for packet in source.demux(track):
                if not packet.size:
                    continue
                time, dts = packet.pts, packet.dts
                if time is None or dts is None or packet.is_corrupt or dts <= last:
                    lost += 1
                    continue
                last, reached = dts, float(time * packet.time_base)
                packet.stream = made
                yield reached, packet
        except FFmpegError:
            self.damage.append(f"its sound cannot be read beyond {reached:.2f} s")
        if lost:
            self.damage.append(f"its sound lacks {lost} packets, which are broken")

    def _encoded(self, made: av.AudioStream) -> Packets:
        with open_track(self._source.path) as (container, _):
            begin = origin(container)
        codec, losses, heard = made.codec_context, Losses(), 0
        for block in packet_blocks(self._source.path, 0, codec.sample_rate, losses):
            planes = np.ascontiguousarray(block.T)
            sound = av.AudioFrame.from_ndarray(planes, format="fltp", layout=codec.layout.name)
            sound.sample_rate, sound.time_base = codec.sample_rate, Fraction(1, codec.sample_rate)
            sound.pts, heard = heard, heard + len(block)
            yield from _timed(made.encode(sound), begin)
        yield from _timed(made.encode(None), begin)
        self.damage += [f"its sound: {remark}" for remark in losses.remarks()]

    def _sound_until(self, time: float) -> None:
        """Writes the sound that is heard before a time of the new film."""
        assert self._container is not None
        while self._waiting and self._waiting[0] + self._shift < time:
            begin, packet = self._waiting
            assert packet.time_base and packet.dts is not None
            early = packet.pts - packet.dts if packet.pts is not None else 0
            packet.pts = max(0, round((begin + self._shift) / packet.time_base))
            packet.dts = packet.pts - early
            self._container.mux(packet)
            self._waiting = next(self._sound, None)

    def _even(self, image: np.ndarray) -> np.ndarray:
        down = self._stream.height - image.shape[0]
        across = self._stream.width - image.shape[1]
        if down or across:
            image = np.pad(image, ((0, down), (0, across), (0, 0)), "edge")
        return image


def _timed(packets: list[av.Packet], begin: float) -> Packets:
    for packet in packets:
        if packet.pts is not None and packet.time_base:
            yield begin + float(packet.pts * packet.time_base), packet


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (FFmpegError, OSError) as error:
        reason = (error.strerror or str(error)).lower()
        problem = f"cannot be written: {reason}"
        raise InputError(path, problem, "choose another place or make room") from error
