"""Cut, broken, chained and mislabelled sound files: all that is there is heard, at its own time,
and what is wrong is said."""

import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from vitrail.errors import InputError
from vitrail.preprocess.audio import Recording, open_audio
from vitrail.preprocess.ogg import read_pages

from .test_audio import write_av

RATE = 16000
SECONDS = 10
SPEEX = b"Speex   1.2".ljust(28, b"\0") + struct.pack(
    "<iiiiiiiii", 1, 80, RATE, 1, 4, 1, -1, 320, 0
)


def sweep(seconds: float = SECONDS) -> np.ndarray:
    """A sound that is like itself at no other time."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.4 * np.sin(2 * np.pi * (200 * time + 150 * time**2))).astype(np.float32)


def hear(path: Path) -> tuple[np.ndarray, Recording]:
    recording = open_audio(path)
    return np.concatenate(list(recording.blocks(RATE))), recording


def agrees(heard: np.ndarray, start: float, end: float, wanted: np.ndarray | None = None) -> bool:
    """Whether seconds ``start`` to ``end`` of ``heard`` are those of the sweep, no sooner or
    later."""
    place = slice(round(start * RATE), round(end * RATE))
    a, b = heard[place], (sweep() if wanted is None else wanted)[place]
    return len(a) == len(b) and np.corrcoef(a, b)[0, 1] > 0.95


def moved(heard: np.ndarray, wanted: np.ndarray) -> float:
    """By how many seconds ``heard`` is later than ``wanted``; it is surely the same sound."""
    size = 2 * max(len(heard), len(wanted))
    likeness = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(wanted, size).conj())
    assert likeness.max() > 0.9 * np.linalg.norm(heard) * np.linalg.norm(wanted)
    lag = int(likeness.argmax())
    return (lag if lag < size // 2 else lag - size) / RATE


PLAIN = {
    "a.wav": {"format": "WAV"},
    "ex.wav": {"format": "WAVEX"},
    "big.wav": {"format": "WAV", "endian": "BIG"},
    "adpcm.wav": {"format": "WAV", "subtype": "IMA_ADPCM"},
    "a.rf64": {"format": "RF64"},
    "a.w64": {"format": "W64"},
    "a.aiff": {"format": "AIFF"},
    "a.au": {"format": "AU"},
    "a.caf": {"format": "CAF"},
}


def plain(folder: Path, name: str) -> Path:
    soundfile.write(folder / name, sweep(), RATE, **PLAIN[name])
    return folder / name


def declare(path: Path, length: int) -> None:
    """Writes ``length`` bytes of sound into the header."""
    data = bytearray(path.read_bytes())

    def put(mark: bytes, behind: int, layout: str, value: int) -> None:
        struct.pack_into(layout, data, data.index(mark) + behind, value)

    match path.suffix:
        case ".wav":
            put(b"data", 4, ">I" if data.startswith(b"RIFX") else "<I", length)
        case ".rf64":
            put(b"ds64", 16, "<Q", length)
        case ".w64":
            put(b"data\xf3", 16, "<Q", length + 24)
        case ".aiff":
            put(b"SSND", 4, ">I", length + 8)
        case ".au":
            put(b".snd", 8, ">I", length)
        case ".caf":
            put(b"data", 4, ">q", length + 4)
    path.write_bytes(data)


@pytest.mark.parametrize("name", PLAIN)
def test_a_whole_file_is_not_damaged(name, tmp_path):
    sound, recording = hear(plain(tmp_path, name))
    assert recording.damage == [] and agrees(sound[: SECONDS * RATE], 0, SECONDS)


@pytest.mark.parametrize("name", PLAIN)
def test_a_cut_file_says_how_much_was_heard(name, tmp_path):
    path = plain(tmp_path, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 10])
    sound, recording = hear(path)
    (sentence,) = recording.damage
    words = sentence.split()
    assert sentence.startswith("the sound ends at") and sentence.endswith("s declared")
    assert float(words[4]) == pytest.approx(len(sound) / RATE, abs=0.06)
    assert float(words[7]) == pytest.approx(SECONDS, abs=0.25)
    assert 3.8 < len(sound) / RATE < 4.1 and agrees(sound, 0, 3.8)


@pytest.mark.parametrize("length", [0, 32000])
@pytest.mark.parametrize("name", PLAIN)
def test_a_header_that_declares_too_little_is_not_believed(name, length, tmp_path):
    path = plain(tmp_path, name)
    declare(path, length)
    sound, recording = hear(path)
    assert agrees(sound[: SECONDS * RATE], 0, SECONDS)
    (sentence,) = recording.damage
    assert sentence.startswith("the header declares") and "all 10.0 s were heard" in sentence


def test_a_size_that_ends_in_digital_silence_is_not_believed_either(tmp_path):
    path = tmp_path / "a.wav"
    sound = sweep()
    sound[3 * RATE : 6 * RATE] = 0
    soundfile.write(path, sound, RATE)
    declare(path, 4 * RATE * 2)
    heard, recording = hear(path)
    assert len(heard) == SECONDS * RATE and agrees(heard, 6.1, 9.9)
    assert recording.damage == ["the header declares 4.0 s of sound; all 10.0 s were heard"]


@pytest.mark.skipif(os.name == "nt", reason="makes a sparse file of more than 4 GB")
def test_a_wav_that_wrapped_at_4_gb_is_heard_to_its_end(tmp_path):
    path = tmp_path / "night.wav"
    soundfile.write(path, np.zeros(16, np.float32), 384_000)
    size = 2**32 + 400_000
    with path.open("r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", size - 2**32))
        file.truncate(44 + size)
    recording = open_audio(path)
    assert recording.declared_seconds == size / 2 / 384_000
    path.unlink()


def test_a_header_of_a_pipe_does_not_say_how_long_it_is(tmp_path):
    path = plain(tmp_path, "a.wav")
    declare(path, 0xFFFF_FFFF)
    sound, recording = hear(path)
    assert len(sound) == SECONDS * RATE and "does not say how long" in recording.damage[0]


def test_an_au_or_caf_file_may_leave_its_length_open(tmp_path):
    for name, length in (("a.au", 0xFFFF_FFFF), ("a.caf", -5)):
        path = plain(tmp_path, name)
        declare(path, length)
        sound, recording = hear(path)
        assert len(sound) == SECONDS * RATE and recording.damage == []


@pytest.mark.parametrize(
    "tail", [b"LIST" + struct.pack("<I", 5000) + bytes(5000), b"TAG" + bytes(9000)]
)
def test_what_follows_the_sound_is_not_heard(tail, tmp_path):
    path = plain(tmp_path, "a.wav")
    path.write_bytes(path.read_bytes() + tail)
    sound, recording = hear(path)
    assert len(sound) == SECONDS * RATE and recording.damage == []


def ogg(path: Path, subtype: str = "OPUS", seconds: float = SECONDS) -> bytes:
    soundfile.write(path, sweep(seconds), RATE, format="OGG", subtype=subtype)
    return path.read_bytes()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_all_links_of_a_chained_ogg_are_heard(subtype, tmp_path):
    path = tmp_path / "radio.ogg"
    path.write_bytes(ogg(path, subtype) + ogg(path, subtype, 4))
    sound, recording = hear(path)
    assert len(sound) / RATE == pytest.approx(14, abs=0.05) and recording.damage == []
    assert agrees(sound, 0, 9.9)
    assert moved(sound[10 * RATE : 14 * RATE], sweep(4)) == pytest.approx(0, abs=0.02)


def test_a_cut_ogg_says_that_its_end_is_missing(tmp_path):
    path = tmp_path / "a.opus"
    data = ogg(path)
    path.write_bytes(data[: len(data) * 55 // 100])
    sound, recording = hear(path)
    assert 3 < len(sound) / RATE < 7 and agrees(sound, 0, 3)
    assert f"ends at {len(sound) / RATE:.1f} s" in recording.damage[-1]
    pages = [place for place in range(len(data)) if data.startswith(b"OggS", place)]
    path.write_bytes(data[: pages[-3]])  # between two pages: nothing but the end mark is missing
    sound, recording = hear(path)
    assert recording.damage == [
        f"the sound was cut off: it ends at {len(sound) / RATE:.1f} s without a last page"
    ]


@pytest.mark.parametrize("where", [0.12, 0.5])
def test_behind_a_broken_page_the_time_is_right(where, tmp_path):
    path = tmp_path / "a.opus"
    data = bytearray(ogg(path))
    place = int(where * len(data))
    data[place : place + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    sound, recording = hear(path)
    assert len(sound) / RATE == pytest.approx(SECONDS, abs=0.05) and agrees(sound, 7, 9.9)
    assert any("count as silence" in sentence for sentence in recording.damage)
    assert any(sentence.startswith("pages are broken") for sentence in recording.damage)


def test_the_length_of_speex_is_in_its_pages(tmp_path):
    def page(flags: int, granule: int, number: int, content: bytes) -> bytes:
        from vitrail.preprocess.ogg import _checksum

        head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, 7, number, 0, 1)
        whole = head + bytes([len(content)]) + content
        return whole[:22] + struct.pack("<I", _checksum(whole)) + whole[26:]

    path = tmp_path / "a.spx"
    pages = [page(2, 0, 0, SPEEX), page(0, 0, 1, b"tags"), page(0, 32000, 2, b"a" * 99)]
    path.write_bytes(b"".join([*pages, page(4, 80000, 3, b"b" * 99)]))
    whole = read_pages(path)
    assert whole.plain and whole.seconds == 5 and list(whole.remarks(5)) == []
    path.write_bytes(b"".join(pages))
    assert list(read_pages(path).remarks(2.0)) == [
        "the sound was cut off: it ends at 2.0 s without a last page"
    ]


CODED = {
    "a.mp3": "libmp3lame",
    "a.aac": "aac",
    "a.m4a": "aac",
    "a.ts": "aac",
    "a.mka": "aac",
    "a.mp2": "mp2",
    "a.flac": "flac",
}


@pytest.mark.parametrize("name", CODED)
def test_a_broken_packet_does_not_end_the_night(name, tmp_path):
    if name == "a.flac":
        soundfile.write(tmp_path / name, sweep(), RATE)
    else:
        write_av(tmp_path / name, CODED[name], sweep(), RATE)
    path = tmp_path / name
    whole, recording = hear(path)
    assert recording.damage == []
    data = bytearray(path.read_bytes())
    place = len(data) // 10
    data[place : place + 300] = np.random.default_rng(0).bytes(300)
    path.write_bytes(data)
    sound, recording = hear(path)
    assert len(sound) / RATE > 9.6 and np.isfinite(sound).all()
    text = "; ".join(recording.damage)
    assert "cannot be read, first at" in text or "count as silence" in text
    # Packets of MP3 bear no time: what is lost, and told, moves the rest by as much.
    least = -0.4 if name == "a.mp3" else -0.002
    end = len(whole) - RATE
    assert least <= moved(sound[end - 3 * RATE : end], whole[end - 3 * RATE : end]) <= 0.002


def test_flac_behind_a_broken_frame_is_the_same_to_the_last_bit(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, sweep(), RATE)
    whole, _ = hear(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF  # one byte, which only the checksum of the frame tells of
    path.write_bytes(data)
    sound, recording = hear(path)
    same = sound == whole
    assert len(sound) == len(whole) and 0.9 < same.mean() < 1 and recording.damage
    assert same[: RATE * 4].all() and same[RATE * 6 :].all()
    assert np.abs(sound[~same]).max() == 0


def test_a_track_that_begins_late_keeps_the_clock_of_the_file(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(60):
            image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            image.pts = number
            container.mux(video.encode(image))
            start = number - 20  # the sound begins two seconds after the images
            if 0 <= start < 30:  # and ends a second before them
                values = sweep(3)[start * 1600 : (start + 1) * 1600]
                frame = av.AudioFrame.from_ndarray(
                    (values * 32767).astype(np.int16)[None], format="s16", layout="mono"
                )
                frame.sample_rate, frame.pts = RATE, number * 1600
                container.mux(audio.encode(frame))
        container.mux(video.encode(None))
    sound, recording = hear(path)
    assert len(sound) / RATE == pytest.approx(5, abs=0.05)
    assert not sound[: round(1.95 * RATE)].any()
    assert np.corrcoef(sound[2 * RATE : 5 * RATE], sweep(3))[0, 1] > 0.99
    assert recording.damage == [
        "2.00 s without sound in the file, from 0.00 s on, count as silence"
    ]


def test_a_time_stamp_far_away_is_not_filled_with_silence(tmp_path, monkeypatch):
    monkeypatch.setattr("vitrail.preprocess.packets.MAX_HOLE", 1.0)
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 1600), 1000, np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE, number * 1600 + (80_000 if number > 9 else 0)
            container.mux(audio.encode(frame))
    sound, recording = hear(path)
    assert len(sound) == 2 * RATE and "time stamps jump at 1.00 s" in recording.damage[0]


def test_many_holes_are_not_filled_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("vitrail.preprocess.packets.MAX_HOLE", 2.5)
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(50):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, 1600), 1000, np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE, number * 1600 + number // 10 * RATE
            container.mux(audio.encode(frame))
    sound, recording = hear(path)
    assert len(sound) == 5 * RATE + 2 * RATE  # two holes of a second of the four
    assert "2.00 s without sound" in recording.damage[0] and "jump" in recording.damage[1]


def test_one_of_several_tracks(tmp_path):
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in range(2)]
        for track, value in zip(tracks, (1000, 2000), strict=True):
            frame = av.AudioFrame.from_ndarray(
                np.full((1, RATE), value, np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = RATE, 0
            container.mux(track.encode(frame))
    for track, value in enumerate((1000, 2000)):
        recording = open_audio(path, track)
        (*_, last) = (block for block in recording.blocks(RATE) if len(block))
        assert last[0] == pytest.approx(value / 32768, rel=1e-3)
        assert recording.notes[0] == f"track {track + 1} of 2 was heard"
    with pytest.raises(InputError, match="has 2 sound tracks; track 3 is not there"):
        open_audio(path, 2)
