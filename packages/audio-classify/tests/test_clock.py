"""When a recording was made."""

import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
import soundfile

from audio_classify.sound.clock import recorded_at

from .fakes import RATE, hiss

MORNING = datetime(2024, 5, 18, 4, 30)


@pytest.fixture
def wav(tmp_path):
    """Makes a WAV of a name with one more chunk, behind the sound or before it."""

    def make(name: str, chunk: bytes = b"", content: bytes = b"", *, before: bool = False):
        path = tmp_path / name
        soundfile.write(path, hiss(0.1), RATE, format="WAV")
        data = path.read_bytes()
        more = chunk and chunk + struct.pack("<I", len(content)) + content + b"\0" * (
            len(content) % 2
        )
        path.write_bytes(data[:12] + more + data[12:] if before else data + more)
        return path

    return make


@pytest.mark.parametrize(
    "name, moment",
    [
        ("20240518_043000.WAV", MORNING),
        ("site7_20240518_043000_left.wav", MORNING),
        ("20240518T043000.wav", MORNING),
        ("66482EC8.WAV", datetime(2024, 5, 18, 4, 30, tzinfo=UTC)),
        ("rooster.wav", None),
        ("12345678.wav", None),
        ("20241318_043000.wav", None),
        ("19700101_000000.WAV", None),
        ("00000010.WAV", None),
    ],
)
def test_by_the_name(wav, name, moment):
    assert recorded_at(wav(name)) == moment


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    "chunk, content, moment",
    [
        (b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-05-18T04:30:00+02:00\nMake: X\n",
         MORNING.replace(tzinfo=timezone(timedelta(hours=2)))),
        (b"guan", b"GUANO|Version: 1.0\r\nTimestamp:2024-05-18 04:30:00\r\n", MORNING),
        (b"bext", bytes(320) + b"2024-05-1804:30:00" + bytes(264), MORNING),
        (b"LIST", b"INFOICMT\x80\0\0\0Recorded at 04:30:00 18/05/2024 (UTC) by AudioMoth 24E",
         MORNING.replace(tzinfo=UTC)),
        (b"LIST", b"INFOICMT\x80\0\0\0Recorded at 04:30:00 18/05/2024 (UTC-3:30) by AudioMoth",
         MORNING.replace(tzinfo=timezone(-timedelta(hours=3, minutes=30)))),
        (b"guan", b"GUANO|Version: 1.0\nTimestamp: yesterday\n", None),
        (b"bext", bytes(602), None),
        (b"bext", b"short", None),
    ],
)  # fmt: skip
def test_by_a_chunk(wav, chunk, content, moment, before):
    found = recorded_at(wav("a.wav", chunk, content, before=before))
    assert found == moment
    assert found is None or found.utcoffset() == moment.utcoffset()


def test_a_chunk_knows_better_than_a_name(wav):
    path = wav("20200101_000000.wav", b"bext", bytes(320) + b"2024-05-1804:30:00" + bytes(264))
    assert recorded_at(path) == MORNING


def test_other_files_and_cut_ones_tell_nothing(tmp_path):
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    (tmp_path / "b.wav").write_bytes(b"RIFF\0\0\0\0WAVEbext\xff\0\0\0cut")
    assert recorded_at(tmp_path / "a.flac") is None and recorded_at(tmp_path / "b.wav") is None
