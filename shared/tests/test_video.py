"""Reading videos: exact frames however they are asked for, and an honest word on what is
missing."""

import json
import struct
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import FFmpegError
from PIL import Image

from vitrail.errors import InputError, UsageError
from vitrail.preprocess import decoding
from vitrail.preprocess.video import open_video, sample_indices
from vitrail.testing.beside import DATA, PARITY, needs
from vitrail.testing.media import moving_pattern, pattern, write_clip, write_picture
from vitrail.testing.mutants import mutate_bytes

GOPS = {
    "b-frames": {"g": "12", "bf": "3"},
    "long": {"g": "250", "bf": "2"},
    "intra": {"g": "1"},
    "plain": {"g": "12", "bf": "0"},
}
FRONT = {"movflags": "faststart"}  # the index before the pictures


def full_decode(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def read_all(path, backend="pyav"):
    with open_video(path, backend) as reader:
        return reader, list(reader.frames(range(reader.frame_count)))


@pytest.mark.parametrize("gop", GOPS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_frames_are_those_of_a_full_decode(tmp_path, suffix, gop):
    path = write_clip(tmp_path / f"clip.{suffix}", moving_pattern(90), options=GOPS[gop])
    reference = full_decode(path)
    reader, frames = read_all(path)
    assert reader.frame_count == len(reference) == 90
    assert reader.damage == []
    assert [frame.index for frame in frames] == list(range(90))
    assert all(
        np.array_equal(frame.image, expected)
        for frame, expected in zip(frames, reference, strict=True)
    )
    assert np.allclose([frame.time for frame in frames], np.arange(90) / 25, atol=0.001)
    rng = np.random.default_rng(0)
    for size in (1, 2, 3, 5, 15):
        wanted = sorted(rng.choice(90, size, replace=False).tolist())
        got = list(reader.frames(wanted))
        assert [frame.index for frame in got] == wanted
        assert all(np.array_equal(frame.image, reference[frame.index]) for frame in got)


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    """As a player shows them: a wide picture that was stored narrow looks like the wide one."""
    path = tmp_path / "dvd.mp4"
    wide = pattern(128, 64)
    narrow = np.asarray(Image.fromarray(wide).resize((72, 64)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 72, 64, "yuv444p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 9)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(narrow, format="rgb24")))
        container.mux(stream.encode(None))
    reader, frames = read_all(path)
    assert (reader.width, reader.height) == (128, 64)
    note = "its pixels are not square (16:9): 72 x 64 was stretched to 128 x 64"
    assert reader.damage == [note]
    assert np.abs(frames[0].image.astype(int) - wide).mean() < 6


UNTAGGED = "it does not say how its colours are coded: taken as BT.709, as players do"


@pytest.mark.parametrize(
    ("size", "tagged", "read_as"),
    [((1280, 64), None, "709"), ((64, 640), None, "709"), ((640, 64), None, "601"),
     ((1280, 64), "601", "601"), ((640, 64), "709", "709")],
)  # fmt: skip
def test_colours_without_a_tag_are_read_as_players_do(tmp_path, size, tagged, read_as):
    """A green whose planes are computed by the standards' own equations."""
    red, green, blue = 0.2, 0.7, 0.3
    weights = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}
    wr, wb = weights[read_as]
    luma = wr * red + (1 - wr - wb) * green + wb * blue
    planes = (
        16 + 219 * luma,
        128 + 112 * (blue - luma) / (1 - wb),
        128 + 112 * (red - luma) / (1 - wr),
    )
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        if tagged:
            stream.codec_context.colorspace = {"601": 6, "709": 1}[tagged]
        frame = av.VideoFrame(*size, "yuv444p")
        for plane, value in zip(frame.planes, planes, strict=True):
            plane.update(bytes([round(value)]) * plane.buffer_size)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    reader, frames = read_all(path)
    assert np.abs(frames[0].image / 255 - (red, green, blue)).max() < 0.012
    assert reader.damage == ([UNTAGGED] if tagged is None and read_as == "709" else [])


def test_a_grey_film_has_no_colours_to_remark_on(tmp_path):
    path = tmp_path / "grey.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "gray"
        frame = av.VideoFrame.from_ndarray(np.full((720, 1280), 90, np.uint8), format="gray")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    reader, _ = read_all(path)
    assert reader.damage == []


@pytest.mark.parametrize("kind, transfer", [("PQ", 16), ("HLG", 18)])
def test_hdr_looks_like_the_sdr_picture_with_white_at_203_candela(tmp_path, kind, transfer):
    """Right values by the standards' own curves (BT.1886, ST 2084, BT.2100's HLG at 1000 cd/m2)."""
    levels = np.array([20, 60, 100, 140, 180, 220, 250])
    light = 203 * (levels / 255) ** 2.4  # cd/m2
    if kind == "PQ":
        power = (light / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        scene = (light / 1000) ** (1 / 1.2)
        curve = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), curve)
    path, row = tmp_path / "hdr.mkv", np.repeat(np.rint(64 + 876 * signal), 16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = len(row), 64, "yuv420p10le"
        coding = stream.codec_context
        coding.colorspace, coding.color_primaries, coding.color_trc = 9, 9, transfer
        coding.color_range = 1
        frame = av.VideoFrame(len(row), 64, "yuv420p10le")
        grey = np.full(len(row) // 2, 512)
        for plane, values in zip(frame.planes, (row, grey, grey), strict=True):
            lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
            lines[:, : len(values)] = values
            plane.update(lines.tobytes())
        container.mux([*stream.encode(frame), *stream.encode(None)])
    reader, frames = read_all(path)
    (note,) = reader.damage
    assert note.startswith(f"it is HDR ({kind})") and "203 cd/m2" in note
    seen = frames[0].image[32, 8::16].astype(int)
    assert np.abs(seen - levels[:, None]).max() <= 2


def test_hdr_that_cannot_be_converted_is_said_to_be_read_as_sdr(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mkv", moving_pattern(2))
    monkeypatch.setattr(decoding, "HDR", {2: "unspecified"})
    monkeypatch.setattr(decoding, "ColorTrc", type("Refused", (), {"BT709": 250}))
    reader, frames = read_all(path)
    assert len(frames) == 2
    assert reader.damage == [
        "its HDR colours could not be converted; they were read as if they were SDR"
    ]


def test_transparency_is_told(tmp_path):
    path = tmp_path / "clip.mkv"
    write_clip(path, moving_pattern(3), codec="ffv1", pixel_format="yuva420p")
    assert read_all(path)[0].damage == [
        "it is transparent in places: what is hidden there was read too"
    ]


def test_damaged_vp9_gives_its_own_frames_or_none(tmp_path):
    """FFmpeg's own decoder would give wrong pictures for every other of these files."""
    path = tmp_path / "clip.webm"
    write_clip(path, moving_pattern(30), codec="libvpx-vp9", options={"g": "10", "b": "300k"})
    whole, data, told = full_decode(path), path.read_bytes(), 0
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in places[::3]:
        broken = bytearray(data)
        broken[position + 4 + size // 2] ^= 0x55
        path.write_bytes(broken)
        reader, frames = read_all(path)
        told += bool(reader.damage)
        for frame in frames:
            wrong = np.abs(frame.image.astype(int) - whole[frame.index]).max(axis=2) > 30
            assert wrong.mean() < 0.01
    assert told >= 8


def test_pictures_that_begin_late_do_not_end_early(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        sound = container.add_stream("aac", rate=16000)
        silence = np.zeros((1, 1024), np.float32)
        for number in range(125):
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 1024 * number
            container.mux(sound.encode(frame))
        for number, image in enumerate(moving_pattern(100)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 100 + number, Fraction(1, 25)
            container.mux(video.encode(frame))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    reader, frames = read_all(path)
    assert reader.damage == [] and len(frames) == 100


@pytest.mark.parametrize("suffix, codec", [("y4m", "wrapped_avframe"), ("mxf", "mpeg2video"),
                                           ("h264", "libx264"), ("hevc", "libx265")])  # fmt: skip
def test_formats_of_cameras_and_encoders(tmp_path, suffix, codec):
    path = tmp_path / f"clip.{suffix}"
    try:
        write_clip(path, moving_pattern(12), codec=codec)
    except (ValueError, FFmpegError) as error:
        pytest.skip(f"cannot be made here: {error}")
    reader, frames = read_all(path)
    assert len(frames) == reader.frame_count == 12 and reader.damage == []


def test_hidden_reference_frames_do_not_count(tmp_path):
    path = write_clip(
        tmp_path / "clip.webm", moving_pattern(60), codec="libvpx", options={"g": "30"}
    )
    with av.open(str(path)) as container:
        hidden = bytes(list(container.demux(video=0))[10])
    data = path.read_bytes()
    assert data.count(hidden) == 1
    path.write_bytes(
        data.replace(hidden, bytes([hidden[0] & ~0x10]) + hidden[1:])
    )  # the bit that says "show"
    reference = full_decode(path)
    reader, frames = read_all(path)
    assert reader.frame_count == len(reference) == 59
    assert reader.damage == []
    assert all(
        np.array_equal(frame.image, expected)
        for frame, expected in zip(frames, reference, strict=True)
    )
    assert np.array_equal(next(reader.frames([47])).image, reference[47])


def test_seeks_where_that_saves_decoding_and_never_decodes_twice(tmp_path, monkeypatch):
    decoded = []

    def counted(clip, frames, original=decoding._sound):
        for index, frame in original(clip, frames):
            decoded.append(index)
            yield index, frame

    monkeypatch.setattr(decoding, "_sound", counted)
    reader = open_video(write_clip(tmp_path / "clip.mp4", moving_pattern(300), options={"g": "30"}))
    assert [frame.index for frame in reader.frames([0, 292])] == [0, 292]
    assert len(decoded) < 40
    decoded.clear()
    assert len(list(reader.frames(range(5, 300, 10)))) == 30
    assert decoded == sorted(set(decoded))


def test_repeated_indices_give_repeated_frames(tmp_path):
    reader = open_video(write_clip(tmp_path / "clip.mp4"))
    assert [frame.index for frame in reader.frames([7, 3, 7, 0])] == [0, 3, 7, 7]
    assert list(reader.frames([])) == []
    for index in (-1, 20):
        with pytest.raises(UsageError, match="frames 0 to 19"):
            list(reader.frames([index]))


def test_two_iterations_do_not_disturb_each_other(tmp_path):
    reader = open_video(write_clip(tmp_path / "clip.mp4", options={"g": "5"}))
    pairs = zip(reader.frames(range(20)), reader.frames(range(20)), strict=True)
    assert [(first.index, second.index) for first, second in pairs] == [
        (index, index) for index in range(20)
    ]


def test_facts(tmp_path):
    reader = open_video(write_clip(tmp_path / "clip.mp4", moving_pattern(50, 96, 64), fps=20))
    assert (reader.frame_count, reader.fps, reader.width, reader.height, reader.rotation) == (
        50,
        20,
        96,
        64,
        0,
    )
    assert reader.duration == pytest.approx(2.5)


def test_variable_rate_keeps_index_and_time(tmp_path):
    ticks = [0, 1, 2, 10, 11, 30, 31, 32, 60, 100]
    path = write_clip(
        tmp_path / "clip.mp4", moving_pattern(10), times=ticks, options={"g": "4", "bf": "2"}
    )
    reader, frames = read_all(path)
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([tick / 25 for tick in ticks])
    assert [reader.time(index) for index in range(10)] == [frame.time for frame in frames]
    assert [frame.index for frame in reader.frames_at([-1, 0, 0.41, 1.19, 1.21, 99])] == [
        0,
        0,
        3,
        4,
        5,
        9,
    ]


def test_times_count_from_the_first_frame(tmp_path):
    path = write_clip(tmp_path / "late.ts", times=range(50, 70))
    assert [frame.time for frame in open_video(path).frames([0, 5])] == pytest.approx([0, 0.2])


@pytest.mark.parametrize("backend", ["pyav", "decord"])
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_display_rotation_is_applied(tmp_path, turn, backend):
    if backend == "decord":
        pytest.importorskip("decord")
    frames = list(moving_pattern(5, 96, 64))
    lossless = {"qp": "0"}  # two encodings of the same pictures need not be equal otherwise
    reference = read_all(write_clip(tmp_path / "straight.mp4", frames, options=lossless))[1]
    clip = write_clip(tmp_path / "turned.mp4", frames, rotation=turn, options=lossless)
    reader, turned = read_all(clip, backend)
    assert reader.rotation == -turn % 360
    assert (reader.width, reader.height) == ((96, 64) if turn == 180 else (64, 96))
    for frame, straight in zip(turned, reference, strict=True):
        difference = np.abs(frame.image.astype(int) - np.rot90(straight.image, turn // 90))
        assert difference.max() <= (
            0 if backend == "pyav" else 40
        )  # decord turns before it restores the colours
        assert difference.mean() < 3


def test_mirrored_display_matrix(tmp_path):
    data = bytearray(write_clip(tmp_path / "clip.mp4").read_bytes())
    straight = read_all(tmp_path / "clip.mp4")[1][0].image
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    place = data.index(b"tkhd")
    place = data.index(identity, place)
    data[place : place + 36] = struct.pack(">9i", -65536, 0, 0, 0, 65536, 0, 64 << 16, 0, 1 << 30)
    (tmp_path / "mirrored.mp4").write_bytes(data)
    assert np.array_equal(read_all(tmp_path / "mirrored.mp4")[1][0].image, straight[:, ::-1])


def test_decord_gives_the_same_frames(tmp_path):
    pytest.importorskip("decord")
    path = write_clip(tmp_path / "clip.mp4", moving_pattern(60), options=GOPS["b-frames"])
    wanted = [0, 7, 31, 59]
    ours, theirs = (
        list(open_video(path, backend).frames(wanted)) for backend in ("pyav", "decord")
    )
    assert [frame.index for frame in theirs] == wanted
    assert all(
        np.array_equal(a.image, b.image) and a.time == b.time
        for a, b in zip(ours, theirs, strict=True)
    )


def test_unknown_backend(tmp_path):
    with pytest.raises(UsageError, match="choose pyav or decord"):
        open_video(tmp_path / "clip.mp4", backend="opencv")


def test_index_in_front_and_file_cut(tmp_path):
    path = write_clip(
        tmp_path / "clip.mp4", moving_pattern(60), options=GOPS["b-frames"], container_options=FRONT
    )
    reference, fps = full_decode(path), open_video(path).fps
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
    data, end_of_first = path.read_bytes(), first.pos + first.size
    path.write_bytes(data[: end_of_first - 1])
    with pytest.raises(InputError, match="no frame that can be decoded"):
        open_video(path)
    for step in range(20):
        path.write_bytes(data[: end_of_first + (len(data) - end_of_first) * step // 20])
        reader, frames = read_all(path)
        assert 0 < len(frames) <= reader.frame_count < 60
        assert reader.damage[0] == f"the file holds {reader.frame_count} of 60 declared frames"
        # A cut between two packets may leave out frames that are shown before the last one.
        numbers = [round(frame.time * fps) for frame in frames]
        assert all(
            np.array_equal(frame.image, reference[number])
            for frame, number in zip(frames, numbers, strict=True)
        )


def test_index_at_the_end_and_file_cut(tmp_path):
    data = write_clip(tmp_path / "clip.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    for step in range(1, 20):
        path.write_bytes(data[: len(data) * step // 20])
        with pytest.raises(InputError, match="damaged, cut short or not a video"):
            open_video(path)


def test_cut_matroska_is_told_by_its_duration(tmp_path):
    data = write_clip(tmp_path / "clip.mkv", moving_pattern(100), options={"g": "10"}).read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: len(data) // 2])
    assert "of 4.0 s declared" in open_video(path).damage[0]


def test_damage_spoils_frames_up_to_the_next_key_frame_only(tmp_path):
    path = write_clip(
        tmp_path / "clip.mp4", moving_pattern(60), options={"g": "20", "bf": "0", "crf": "10"}
    )
    reference = full_decode(path)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[25]
    data[position + 8 : position + size] = bytes(size - 8)
    path.write_bytes(data)
    reader, frames = read_all(path)
    assert [frame.index for frame in frames] == [*range(25), *range(40, 60)]
    assert all(np.array_equal(frame.image, reference[frame.index]) for frame in frames)
    assert reader.damage == ["read 45 of 60 frames"]
    assert [frame.index for frame in reader.frames([10, 30, 50])] == [10, 50]
    assert reader.damage[-1] == "read 2 of 3 wanted frames"
    with pytest.raises(InputError, match="no frame that can be decoded"):
        list(reader.frames([30]))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_damaged_files_give_frames_or_a_reason(tmp_path, suffix):
    front = FRONT if suffix == "mp4" else None
    data = write_clip(
        tmp_path / f"clip.{suffix}", options={"g": "8"}, container_options=front
    ).read_bytes()
    path = tmp_path / f"damaged.{suffix}"
    outcomes = {"reason": 0, "told": 0, "whole": 0}
    for damaged in mutate_bytes(data, seed=3, count=200):
        path.write_bytes(damaged)
        try:
            reader, frames = read_all(path)
        except InputError as error:
            outcomes["reason"] += 1
            assert len(str(error)) <= 200
            continue
        outcomes["told" if reader.damage else "whole"] += 1
        assert 0 < len(frames) <= reader.frame_count
        assert len(frames) == reader.frame_count or reader.damage
        assert all(frame.image.shape == (reader.height, reader.width, 3) for frame in frames)
    assert outcomes["reason"]
    assert outcomes["told"] > 50


def test_declared_frames_are_only_a_hint(tmp_path):
    data = bytearray(write_clip(tmp_path / "clip.avi").read_bytes())
    place = data.index(b"strh") + 8 + 32
    assert struct.unpack_from("<I", data, place) == (20,)
    struct.pack_into("<I", data, place, 1_000_000_000)
    (tmp_path / "boast.avi").write_bytes(data)
    reader, frames = read_all(tmp_path / "boast.avi")
    assert len(frames) == reader.frame_count == 20
    assert reader.damage == ["the file holds 20 of 1000000000 declared frames"]


@pytest.mark.parametrize("fixed_size", [0, 1])
def test_an_index_of_a_thousand_million_frames_is_refused(tmp_path, fixed_size):
    data = bytearray(write_clip(tmp_path / "clip.mp4", container_options=FRONT).read_bytes())
    struct.pack_into(">II", data, data.index(b"stsz") + 8, fixed_size, 1_000_000_000)
    struct.pack_into(">I", data, data.index(b"stts") + 12, 1_000_000_000)
    struct.pack_into(">I", data, data.index(b"stsc") + 16, 1_000_000_000)
    (tmp_path / "boast.mp4").write_bytes(data)
    with pytest.raises(InputError):
        open_video(tmp_path / "boast.mp4")


def test_size_change_in_mid_stream_is_scaled(tmp_path):
    small = write_clip(tmp_path / "small.ts", moving_pattern(10, 64, 64))
    large = write_clip(tmp_path / "large.ts", moving_pattern(10, 96, 80), times=range(10, 20))
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    reader, frames = read_all(path)
    assert {frame.image.shape for frame in frames} == {(64, 64, 3)}
    assert len(frames) == reader.frame_count == 20
    assert reader.damage == ["its frames change size; all were scaled to the first"]


def test_frames_above_the_cap_are_refused(tmp_path):
    wide = (np.zeros((2048, 18_000, 3), np.uint8) for _ in range(2))
    path = write_clip(tmp_path / "wide.avi", wide, codec="mjpeg", pixel_format="yuvj420p")
    with pytest.raises(InputError):
        open_video(path)


def mux(path, *, films=(), sound=False, cover=None):
    """A file with several streams: ``films`` are iterables of frames; ``cover`` is the bytes of a
    JPEG picture."""
    with av.open(str(path), "w", format="mp4") as container:
        streams = [(container.add_stream("libx264", rate=25), list(frames)) for frames in films]
        for stream, frames in streams:
            stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        voice = container.add_stream("aac", rate=8000, layout="mono") if sound else None
        picture = container.add_stream("mjpeg") if cover else None
        if picture:
            picture.width = picture.height = 64
            picture.pix_fmt, picture.time_base = "yuvj420p", Fraction(1, 90_000)
            picture.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts, packet.time_base = (
                picture,
                0,
                0,
                Fraction(1, 90_000),
            )
        if voice:
            noise = av.AudioFrame.from_ndarray(
                np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
            )
            noise.sample_rate = 8000
            container.mux(chain(voice.encode(noise), voice.encode(None)))
        for stream, frames in streams:
            encoded = (stream.encode(av.VideoFrame.from_ndarray(frame)) for frame in frames)
            container.mux([*chain.from_iterable(encoded), *stream.encode(None)])
        if picture:
            container.mux(packet)
    return path


def test_the_largest_moving_pictures_are_read(tmp_path):
    path = mux(
        tmp_path / "two.mp4",
        films=[moving_pattern(5, 32, 32), moving_pattern(9, 96, 64)],
        sound=True,
    )
    reader, frames = read_all(path)
    assert (reader.width, reader.height, len(frames)) == (96, 64, 9)
    assert reader.damage == []


def test_sound_only_with_and_without_a_cover(tmp_path):
    cover = write_picture(tmp_path / "cover.jpg").read_bytes()
    for path in (
        mux(tmp_path / "plain.m4a", sound=True),
        mux(tmp_path / "art.m4a", sound=True, cover=cover),
    ):
        with pytest.raises(InputError, match="holds sound only"):
            open_video(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one.mp4", b"\0"),
        ("text.mp4", b"hello " * 1000),
        (
            "list.mp4",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        ),
        ("script.mp4", b"ffconcat version 1.0\nfile 'clip.mp4'\n"),
        ("no_frames.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08moov"),
    ],
)
def test_not_a_video(tmp_path, name, content):
    write_clip(tmp_path / "clip.mp4")
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError):
        open_video(path)


def test_pictures_folders_and_absences_are_not_videos(tmp_path, capfd):
    (tmp_path / "empty.mp4").touch()
    Path(write_picture(tmp_path / "photo.jpg")).rename(tmp_path / "photo.mp4")
    cases = {
        "photo.mp4": "not a video",
        "empty.mp4": "is empty",
        "gone.mp4": "does not exist",
        ".": "is a folder",
    }
    for name, problem in cases.items():
        with pytest.raises(InputError, match=problem):
            open_video(tmp_path / name)
    assert capfd.readouterr() == ("", "")


def test_odd_names_and_single_frames(tmp_path):
    for name in ("a b\n🙂.mp4", "-dash.mp4", "concat:x|y.mp4", "100%d.mp4"):
        reader, frames = read_all(
            write_clip(tmp_path / name.replace(":", "_"), [pattern()]).rename(tmp_path / name)
        )
        assert (reader.frame_count, len(frames), reader.duration) == (1, 1, pytest.approx(1 / 25))


def test_sampling_by_number_rate_and_all():
    assert sample_indices(300, number=15)[:4] == [0, 21, 42, 64]
    assert sample_indices(10, number=15) == [0, 0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9]
    assert sample_indices(300, number=1) == [0]
    assert sample_indices(100, rate=5, fps=25) == list(range(0, 100, 5))
    assert sample_indices(10, rate=100, fps=25) == list(range(10))
    assert sample_indices(4) == [0, 1, 2, 3]
    assert sample_indices(0, number=15) == []


@needs(PARITY / "deepfake")
def test_sampling_matches_the_official_goldens():
    golden = PARITY / "deepfake" / "preproc.json"
    for case in json.loads(golden.read_text())["frame_sampling"]:
        assert sample_indices(case["total_frames"], number=case["num_frames"]) == case["indices"]


@needs(DATA / "deepfake")
def test_real_clips_are_read_whole():
    clips = sorted((DATA / "deepfake" / "videos").glob("*/*.mp4"))
    assert clips
    for clip in clips:
        reader = open_video(clip)
        wanted = sample_indices(reader.frame_count, number=5)
        assert [frame.index for frame in reader.frames(wanted)] == wanted
        assert set(reader.damage) <= {UNTAGGED}


@needs(DATA)
def test_single_frames_of_open_groups_of_pictures():
    """FFmpeg calls their key frames broken when it has not seen the group before."""
    reader = open_video(DATA / "deepfake/videos/real/ffpp_519.mp4")
    ((_, alone),) = [(frame.index, frame.image) for frame in reader.frames([300])]
    before = {frame.index: frame.image for frame in reader.frames(range(240, 301))}
    assert np.array_equal(alone, before[300]) and reader.damage == []
