"""The two ways from a clip's packets to its frames: PyAV, which admits damage, and decord, which
hides it."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain

import av
import numpy as np
from av.error import EOFError as EndOfFile
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc

from vitrail.errors import InputError, MissingError
from vitrail.preprocess.clip import HDR, Clip, decoder_of, open_stream

_WORTH_A_SEEK = 24  # frames; decoding fewer is as quick as emptying and refilling the decoder
_UNTAGGED = 2  # what FFmpeg calls colours of which nothing is said
_HD = (1280, 576)  # pixels: whoever is as wide, or higher, is taken for HD by players
# Frames a run; for shorter ones, filling the pipeline of frame threads costs more than it gains
_WORTH_THREADS = 48


def pyav_frames(clip: Clip, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(index, upright RGB) of the ``wanted`` frames (ascending, distinct), without those that
    damage has spoilt."""
    runs = _runs(clip, wanted)
    effort = sum(run[-1] - clip.key_before(run[0]) + 1 for run in runs)
    with open_stream(clip.path, clip.stream) as (container, stream):
        decoder = decoder_of(stream)
        decoder.thread_type = "AUTO" if effort > _WORTH_THREADS * len(runs) else "SLICE"
        for run in runs:
            remaining = set(run)
            for index, frame in _run_frames(clip, container, stream, decoder, run[0]):
                if index in remaining:
                    remaining.discard(index)
                    yield index, _rgb(clip, frame)
                if index >= run[-1]:
                    break


def _runs(clip: Clip, wanted: Sequence[int]) -> list[list[int]]:
    """``wanted`` cut where a seek to a later key frame saves more decoding than it costs."""
    runs: list[list[int]] = []
    reached = 0
    for index in wanted:
        if not runs or clip.key_before(index) - reached > _WORTH_A_SEEK:
            runs.append([])
        runs[-1].append(index)
        reached = index
    return runs


def _run_frames(
    clip: Clip, container, stream, decoder, start: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Sound frames from the key frame before ``start`` on, each with its index."""
    if not clip.timed:
        return _counted(_decoded(decoder, container.demux(stream)))
    key, moved = clip.key_before(start), False
    while True:
        packets = _packets_from(clip, container, stream, decoder, key, moved)
        frames = _decoded(decoder, packets)
        first = next(frames, None)
        if key == 0 or (first is not None and not first.is_corrupt):
            return _sound(clip, chain([first], frames))
        # FFmpeg calls the key frame of an open group broken where it has not seen the one before.
        key, moved = clip.key_before(key - 1), True


def _packets_from(
    clip: Clip, container, stream, decoder, key: int, moved: bool
) -> Iterator[av.Packet]:
    """Packets from that of key frame number ``key`` on; seeks that land late are made good from the
    start, where a reader stands that has not ``moved``."""
    if key == 0 and not moved:
        yield from container.demux(stream)
        return
    for target in (key, clip.keys[0]):
        try:
            container.seek(clip.seek_stamps[target], stream=stream)
        except FFmpegError:
            continue
        if decoder.is_open:
            decoder.flush_buffers()
        packets = container.demux(stream)
        for packet in packets:
            if packet.pts == clip.stamps[key]:
                yield packet
                yield from packets
                return
            if packet.pts is not None and packet.pts > clip.stamps[key]:
                break


def _decoded(decoder, packets: Iterator[av.Packet]) -> Iterator[av.VideoFrame | None]:
    """Frames in presentation order, None where the decoder stumbled; ends at the first unreadable
    packet."""
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            packet = None
        try:
            yield from decoder.decode(packet)
        except EndOfFile:
            return
        except FFmpegError:
            yield None
        if packet is None:
            return


def _sound(
    clip: Clip, frames: Iterator[av.VideoFrame | None]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Leaves out the frames from a damaged or lost one up to the next key frame: they are built on
    it."""
    stumbled, expected, spoilt = False, None, None
    for frame in frames:
        if frame is None:
            stumbled = True
            continue
        if frame.pts is None:  # a place that no packet had
            continue
        index = bisect_left(clip.stamps, frame.pts)
        if index == len(clip.stamps) or clip.stamps[index] != frame.pts:
            continue
        key = clip.key_before(index)
        lost_one = (
            stumbled
            and expected is not None
            and index > expected
            and clip.key_before(index - 1) == key
        )
        if frame.is_corrupt or index in clip.torn or lost_one:
            spoilt = key
        expected = index + 1
        if key != spoilt:
            yield index, frame


def _counted(frames: Iterator[av.VideoFrame | None]) -> Iterator[tuple[int, av.VideoFrame]]:
    """Numbers frames that carry no usable time; behind a damaged one the count would be wrong, so
    it ends there."""
    for index, frame in enumerate(frames):
        if frame is None or frame.is_corrupt:
            return
        yield index, frame


def _rgb(clip: Clip, frame: av.VideoFrame) -> np.ndarray:
    if (frame.width, frame.height) != clip.stored:
        clip.remark("its frames change size; all were scaled to the first")
    if _is_untagged_hd(frame):
        frame.colorspace = Colorspace.ITU709
        clip.remark("it does not say how its colours are coded: taken as BT.709, as players do")
    size = {"width": clip.width, "height": clip.height, "format": "rgb24"}
    if frame.color_trc in HDR:
        image = _sdr(clip, frame, size)
    else:
        image = clip.converter.reformat(frame, **size)
    return clip.orientation.upright(image.to_ndarray())


def _is_untagged_hd(frame: av.VideoFrame) -> bool:
    """FFmpeg takes whatever has no tag for BT.601, which is right for small pictures alone."""
    wide, high = _HD
    large = frame.width >= wide or frame.height > high
    is_coded = len(frame.format.components) > 2 and not frame.format.is_rgb
    return large and frame.colorspace == _UNTAGGED and is_coded


def _sdr(clip: Clip, frame: av.VideoFrame, size: dict) -> av.VideoFrame:
    """An HDR frame as an SDR display shows it: colours of BT.709 that are equal where it can show
    them, the nearest ones where it cannot."""
    if frame.color_primaries == ColorPrimaries.UNSPECIFIED:
        frame.color_primaries = ColorPrimaries.BT2020
    try:
        return clip.converter.reformat(
            frame,
            **size,
            dst_color_trc=ColorTrc.BT709,
            dst_color_primaries=ColorPrimaries.BT709,
        )
    except FFmpegError:
        clip.remark("its HDR colours could not be converted; they were read as if they were SDR")
        return clip.converter.reformat(frame, **size)


def decord_frames(clip: Clip, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The same frames through decord. It repeats frames in place of damaged ones and does not say
    so, and takes all colours without a tag for BT.601."""
    try:
        import decord
    except ImportError as error:
        raise MissingError(
            "decord", "is not installed", "install it or take the backend pyav"
        ) from error
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(clip.path.absolute()))
        if len(reader) != len(clip.stamps):
            problem = f"has {len(reader)} frames for decord, {len(clip.stamps)} in truth"
            raise InputError(clip.path, problem, "take the backend pyav")
        for index in wanted:
            yield index, reader[index].asnumpy()
    except decord.DECORDError as error:
        raise InputError(clip.path, "cannot be read by decord", "take the backend pyav") from error
