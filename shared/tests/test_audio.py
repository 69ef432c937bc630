"""Reading sound: right samples from any format in any blocks, and one sentence on what is wrong."""

import struct
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file

from vitrail.errors import InputError
from vitrail.preprocess import audio
from vitrail.preprocess.audio import open_audio, other_files, read_audio, sound_files
from vitrail.preprocess.filterbank import SILENCE, filterbank, mel_triangles
from vitrail.testing.beside import DATA, PARITY, needs
from vitrail.testing.media import write_clip
from vitrail.testing.mutants import mutate_bytes


def chirp(seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 * time + 700 * time**2))).astype(np.float32)


def write(path: Path, sound: np.ndarray | None = None, rate: int = 16000, **options) -> Path:
    soundfile.write(path, chirp() if sound is None else sound, rate, **options)
    return path


def write_av(
    path: Path, codec: str, sound: np.ndarray, rate: int = 16000, form: str | None = None
) -> Path:
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        frame.sample_rate = rate
        for converted in av.AudioResampler(
            stream.format, "mono", rate, frame_size=stream.frame_size or 1024
        ).resample(frame):
            container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return path


LOSSLESS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("flac", "PCM_24"),
    ("aiff", "PCM_16"),
]


@pytest.mark.parametrize("suffix, subtype", LOSSLESS)
def test_lossless_formats(suffix, subtype, tmp_path):
    path = write(tmp_path / f"a.{suffix}", subtype=subtype)
    assert np.abs(read_audio(path, 16000) - chirp()).max() < 1e-4


@pytest.mark.parametrize("name, subtype", [("a.ogg", None), ("a.mp3", None), ("a.wav", "ULAW")])
def test_lossy_formats(name, subtype, tmp_path):
    sound = read_audio(write(tmp_path / name, subtype=subtype), 16000)
    length = min(len(sound), 16000)
    assert len(sound) >= 16000 and np.corrcoef(sound[:length], chirp()[:length])[0, 1] > 0.9


def test_what_libsndfile_cannot_read_comes_through_ffmpeg(tmp_path):
    path = write_av(tmp_path / "a.m4a", "aac", chirp(2.0))
    recording = open_audio(path)
    assert (recording.rate, recording.channels) == (16000, 1)
    sound = read_audio(path, 16000)
    assert abs(len(sound) - 32000) < 3000 and 0.2 < sound.std() < 0.5


def test_the_content_decides_not_the_name(tmp_path):
    path = write(tmp_path / "a.flac")
    path = path.rename(tmp_path / "a.wav")
    assert np.abs(read_audio(path, 16000) - chirp()).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 192000])
def test_resampling_gives_librosas_samples_in_any_blocks(rate, tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", chirp(1.3, rate), rate, subtype="FLOAT")
    whole = librosa.resample(chirp(1.3, rate), orig_sr=rate, target_sr=16000)
    for values in (audio.BLOCK_VALUES, 777):
        monkeypatch.setattr(audio, "BLOCK_VALUES", values)
        sound = np.concatenate(list(open_audio(path).blocks(16000)))
        assert abs(len(sound) - len(whole)) <= 1
        length = min(len(sound), len(whole))
        assert np.abs(sound[:length] - whole[:length]).max() < 1e-4


def test_channels_are_mixed_or_chosen(tmp_path):
    stereo = np.stack([chirp(), np.zeros(16000, np.float32)], axis=1)
    path = write(tmp_path / "a.wav", stereo, subtype="FLOAT")
    mixed, left, right = (
        np.concatenate(list(open_audio(path).blocks(16000, channel))) for channel in (None, 0, 1)
    )
    assert np.allclose(mixed, chirp(), atol=1e-6)  # a silent channel would halve it
    assert np.allclose(left, chirp(), atol=1e-6) and not right.any()
    with pytest.raises(InputError, match="has 2 channels; channel 2 is not there"):
        list(open_audio(path).blocks(16000, 2))


def test_offset_and_loud_floats_are_read_as_they_are(tmp_path):
    path = write(tmp_path / "a.wav", 3 * chirp() + 1, subtype="FLOAT")
    assert np.abs(read_audio(path, 16000) - (3 * chirp() + 1)).max() < 1e-4


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_samples_that_are_no_sound(value, tmp_path):
    sound = chirp()
    sound[8000] = value
    with pytest.raises(InputError, match=r"no sound at 0\.50 s"):
        read_audio(write(tmp_path / "a.wav", sound, subtype="FLOAT"), 16000)


@pytest.mark.parametrize("rate", [0, 1, 900, 4_000_000_000])
def test_a_rate_that_cannot_be(rate, tmp_path):
    path = write(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)
    with pytest.raises(InputError):
        open_audio(path)


@pytest.mark.parametrize("channels", [0, 200])
def test_channels_that_cannot_be(channels, tmp_path):
    path = write(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[22:24] = struct.pack("<H", channels)
    path.write_bytes(data)
    with pytest.raises(InputError):
        open_audio(path)


def test_no_samples_at_all(tmp_path):
    path = write(tmp_path / "a.wav", np.empty(0, np.float32))
    with pytest.raises(InputError, match="holds no sound"):
        read_audio(path, 16000)


def test_a_cut_file_is_read_as_far_as_it_goes_and_told(tmp_path):
    path = write(tmp_path / "a.flac", chirp(3.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recording = open_audio(path)
    sound = np.concatenate(list(recording.blocks(16000)))
    assert 0 < len(sound) < 48000 and recording.damage
    with pytest.raises(InputError):
        read_audio(path, 16000)


def test_a_video_without_sound(tmp_path):
    with pytest.raises(InputError, match="holds no sound"):
        open_audio(write_clip(tmp_path / "a.mp4"))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a"])
def test_damaged_variants_give_sound_or_one_sentence(suffix, tmp_path):
    good = tmp_path / f"good.{suffix}"
    write_av(good, "aac", chirp(0.3)) if suffix == "m4a" else write(good, chirp(0.3))
    for number, data in enumerate(mutate_bytes(good.read_bytes(), seed=11, count=200)):
        path = tmp_path / f"{number}.{suffix}"
        path.write_bytes(data)
        try:
            recording = open_audio(path)
            assert all(np.isfinite(block).all() for block in recording.blocks(16000))
        except InputError as error:
            assert len(str(error).splitlines()) == 1


def test_sound_files_below_a_folder(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a10.wav", "a9.FLAC", "below/b.mp3", "notes.txt", "c.mp4", "._a9.FLAC", ".hidden"):
        (tmp_path / name).touch()
    names = [path.name for path in sound_files(tmp_path)]
    assert names == ["a9.FLAC", "a10.wav", "b.mp3"]
    assert len(sound_files(tmp_path, {".mp4"})) == 4
    assert sound_files(tmp_path / "a10.wav") == [tmp_path / "a10.wav"]
    assert [path.name for path in other_files(tmp_path)] == ["c.mp4", "notes.txt"]
    assert [path.name for path in other_files(tmp_path, {".mp4"})] == ["notes.txt"]


KINDS = {
    "a.mp2": ("mp2", "mp2", 16000),
    "a.m4b": ("aac", "ipod", 16000),
    "a.weba": ("libopus", "webm", 48000),
    "a.ac3": ("ac3", "ac3", 48000),
    "a.wv": ("wavpack", "wv", 16000),
    "a.tta": ("tta", "tta", 16000),
    "a.amr": ("libopencore_amrnb", "amr", 8000),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_folder_gives_every_kind_that_is_read(name, tmp_path):
    codec, container, rate = KINDS[name]
    path = write_av(tmp_path / name, codec, chirp(2.0, rate), rate, container)
    assert sound_files(tmp_path) == [path]
    sound = read_audio(path, 8000)
    assert abs(len(sound) / 8000 - 2) < 0.15
    assert 0.2 < sound[4000:8000].std() < 0.5


def test_the_filterbank_of_silence_and_of_too_little():
    assert np.allclose(filterbank(np.zeros(3200)), SILENCE)
    assert filterbank(np.zeros(399)).shape == (0, 128)
    assert filterbank(np.zeros(400)).shape == (1, 128)
    assert filterbank(np.zeros((2, 3, 16000))).shape == (2, 3, 98, 128)


def test_the_filterbank_of_several_sounds_is_that_of_each():
    sounds = np.random.default_rng(0).standard_normal((2, 3, 30000)).astype(np.float32)
    together = filterbank(sounds)
    assert together.dtype == np.float32
    assert np.array_equal(together[1, 2], filterbank(sounds[1, 2]))


def test_a_tone_lands_in_the_filter_of_its_frequency():
    spectrum = filterbank(np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000))
    centres = mel_triangles(16000).argmax(1) * 16000 / 512
    assert abs(centres[spectrum.mean(0).argmax()] - 1000) < 40


def test_ten_times_as_loud_is_higher_by_two_logarithms_of_ten():
    noise = np.random.default_rng(0).standard_normal(8000)
    difference = (filterbank(10 * noise) - filterbank(noise))[
        :, 20:
    ]  # low filters may hold nothing but the floor
    assert np.allclose(difference, 2 * np.log(10), atol=1e-3)


def test_a_quiet_band_beside_a_loud_rumble_is_no_rounding_error():
    rng = np.random.default_rng(0)
    rumble = 0.1 * np.sin(2 * np.pi * 60 * np.arange(4000) / 16000)
    sound = (rumble + 4e-5 * rng.standard_normal(4000)).astype(np.float32)
    frame = sound[:400].astype(np.float64)
    frame -= frame.mean()
    frame = np.hanning(400) * (frame - 0.97 * np.concatenate([frame[:1], frame[:-1]]))
    power = np.abs(np.fft.rfft(frame, 512)[:-1]) ** 2
    expected = np.log(np.maximum(mel_triangles(16000).astype(np.float64) @ power, 1.1920929e-07))
    assert expected[64:].max() < -11  # nothing but the noise, far below the rumble
    assert np.abs(filterbank(sound)[0] - expected).max() < 1e-5


@needs(PARITY / "audio")
def test_the_filterbank_equals_kaldis():
    tensors = load_file(PARITY / "audio" / "preproc.safetensors")
    names = [
        key.removeprefix("output.fbank.") for key in tensors if key.startswith("output.fbank.")
    ]
    assert len(names) >= 6
    for name in names:
        sound = tensors[f"input.{name}"]
        rate = 8000 if name.endswith("_8k") else 16000
        ours = filterbank(sound - sound.mean(), rate)
        assert np.abs(ours - tensors[f"output.fbank.{name}"]).max() < 1e-3


@needs(DATA / "audio")
def test_real_clips(tmp_path):
    clip = next((DATA / "audio" / "esc10" / "rain").iterdir())
    assert abs(len(read_audio(clip, 16000)) / 16000 - 5) < 0.1
