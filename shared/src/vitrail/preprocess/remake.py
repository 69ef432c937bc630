"""A film made anew, picture by picture: other pictures, the times and the sound of the old one."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError

from vitrail.preprocess.clip import open_container
from vitrail.preprocess.film import Pictures, open_film, unwritable
from vitrail.preprocess.packets import Losses, open_track, origin, packet_blocks
from vitrail.preprocess.video import VideoReader

QUALITY = 18  # finer than the usual one: the film stands in place of the old one
COPIED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})  # what MP4 holds
AAC_RATES = frozenset({8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000})
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # raw sound tells a number alone

Packets = Iterator[tuple[float, av.Packet]]


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
        self._shift = -source.start

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open, unwritable(self.path):
            if self._container is None:
                return
            if kind is None or not issubclass(kind, Exception):
                self._pictures.end()
                self._sound_until(self._pictures.reached if kind else float("inf"))
            self._container.close()

    def add(self, image: np.ndarray, time: float, duration: float) -> None:
        """A picture (H, W, 3) uint8 RGB, shown from ``time`` on, in seconds from the first one, for
        ``duration`` seconds."""
        with unwritable(self.path):
            if self._container is None:
                self._container = self._begin(*image.shape[:2])
            begin = time + self._source.start + self._shift
            self._sound_until(begin)
            self._pictures.add(image, begin, duration)

    def _begin(self, height: int, width: int) -> OutputContainer:
        container = open_film(self.path)
        self._pictures = Pictures(container, height, width, QUALITY)
        high, wide = self._pictures.size
        if (high, wide) != (height, width):
            made = f"{width} x {height} pixels became {wide} x {high}"
            self.damage.append(f"H.264 wants even sides: with a border {made}")
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


def _timed(packets: list[av.Packet], begin: float) -> Packets:
    for packet in packets:
        if packet.pts is not None and packet.time_base:
            yield begin + float(packet.pts * packet.time_base), packet
