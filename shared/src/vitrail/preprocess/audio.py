"""Sound files as mono float32 at one sample rate, block by block, and an honest account of what
could not be read."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

from vitrail.errors import InputError
from vitrail.sources import natural_sorted, require_file

AUDIO_SUFFIXES = frozenset(
    {".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3"}
    | {".oga", ".ogg", ".opus", ".rf64", ".snd", ".w64", ".wav", ".wma"}
)
MIN_RATE, MAX_RATE = 1_000, 768_000
MAX_CHANNELS = 64
BLOCK_VALUES = (
    1 << 14
)  # little is lost where a decoder gives up, and memory stays small whatever a header claims
MAX_SAMPLE = 1e4  # a float file may exceed 1; beyond this it holds no sound

# MP3 is left to FFmpeg: the decoder inside libsndfile prints dozens of lines on damaged files.
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")
# Formats that hold their own sound: a playlist could name other files and hosts.
_FORMATS = "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav"
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
av.logging.set_level(None)  # FFmpeg's own lines would land on stderr beside ours

Blocks = Iterator[np.ndarray]


@dataclass
class Recording:
    """A sound file that was found readable.

    ``rate`` and ``channels`` are the file's own; ``damage`` fills while ``blocks`` is read, one
    sentence per trouble.
    """

    path: Path
    rate: int
    channels: int
    declared_seconds: float | None
    damage: list[str] = field(default_factory=list)

    def blocks(self, sample_rate: int, channel: int | None = None) -> Blocks:
        """The sound as float32 (n,) at ``sample_rate``, lazily: all channels' mean, or one of them
        (counted from 0).

        Resampled by soxr (quality HQ), which librosa uses too; however it is cut into blocks, the
        samples are the same. InputError for a channel that is not there, samples that are no
        numbers, and a file without any sample.
        """
        if channel is not None and channel >= self.channels:
            raise InputError(
                self.path, f"has {self.channels} channels", f"channel {channel} is not there"
            )
        resampler = soxr.ResampleStream(self.rate, sample_rate, 1, dtype="float32")
        samples = 0
        for block in self._decoded():
            mono = block.mean(axis=1, dtype=np.float32) if channel is None else block[:, channel]
            self._check(mono, samples)
            samples += len(mono)
            yield resampler.resample_chunk(np.ascontiguousarray(mono))
        if not samples:
            raise InputError(self.path, "holds no sound", "copy it again from where it came")
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
        if self.declared_seconds and samples / self.rate < self.declared_seconds - 0.1:
            end = f"{samples / self.rate:.1f} s of {self.declared_seconds:.1f} s declared"
            self.damage.append(f"the sound ends at {end}")

    def _check(self, mono: np.ndarray, before: int) -> None:
        wrong = ~np.isfinite(mono) | (np.abs(mono) > MAX_SAMPLE)
        if wrong.any():
            seconds = (before + int(wrong.argmax())) / self.rate
            raise InputError(
                self.path, f"holds samples that are no sound at {seconds:.2f} s", "export it again"
            )

    def _decoded(self) -> Blocks:
        """Blocks (n, channels) at the file's own rate, up to the end or to the first unreadable
        place."""
        decode = _soundfile_blocks if _soundfile_reads(self.path) else _pyav_blocks
        try:
            yield from decode(self.path, self.rate, self.channels)
        except (av.FFmpegError, soundfile.LibsndfileError) as error:
            self.damage.append(f"it cannot be read to the end ({_said(error)})")


def open_audio(path: Path) -> Recording:
    """What a sound file, or the first sound track of a video, says of itself; InputError where
    there is no sound.

    WAV, FLAC, OGG, AIFF and their like are read by libsndfile, all else by FFmpeg.
    """
    path = require_file(path)
    if _soundfile_reads(path):
        with soundfile.SoundFile(path) as file:
            recording = Recording(
                path, file.samplerate, file.channels, file.frames / max(1, file.samplerate)
            )
    else:
        with _pyav_stream(path) as (container, stream):
            seconds = container.duration / av.time_base if container.duration else None
            recording = Recording(path, stream.rate or 0, stream.channels, seconds)
    if not MIN_RATE <= recording.rate <= MAX_RATE:
        raise InputError(
            path,
            f"claims {recording.rate} samples per second",
            "its header is damaged; convert it again",
        )
    if not 1 <= recording.channels <= MAX_CHANNELS:
        raise InputError(path, f"claims {recording.channels} channels", "mix it down first")
    return recording


def read_audio(path: Path, sample_rate: int) -> np.ndarray:
    """A whole short file as mono float32 (n,) at ``sample_rate``; InputError where it is damaged at
    all."""
    recording = open_audio(path)
    sound = np.concatenate(list(recording.blocks(sample_rate)))
    if recording.damage:
        raise InputError(path, recording.damage[0], "copy it again from where it came")
    return sound


def sound_files(folder: Path, more: Collection[str] = ()) -> list[Path]:
    """All sound files below ``folder`` (or the one file that it is), naturally sorted, and those
    with one of ``more`` suffixes, such as videos'."""
    wanted = AUDIO_SUFFIXES.union(more)
    found = [folder] if folder.is_file() else folder.rglob("*")
    return natural_sorted(
        path for path in found if path.suffix.lower() in wanted and path.is_file()
    )


def _soundfile_reads(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.read(4).startswith(_SOUNDFILE_MAGIC):
            return False
    try:
        with soundfile.SoundFile(path):
            return True
    except (
        soundfile.LibsndfileError,
        TypeError,
    ):  # a TypeError for names that mean headerless files
        return False


def _soundfile_blocks(path: Path, rate: int, channels: int) -> Blocks:
    with soundfile.SoundFile(path) as file:
        while len(
            block := file.read(max(1, BLOCK_VALUES // channels), dtype="float32", always_2d=True)
        ):
            yield block


def _pyav_blocks(path: Path, rate: int, channels: int) -> Blocks:
    with _pyav_stream(path) as (container, stream):
        floats = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)
        for frame in container.decode(stream):
            for converted in floats.resample(frame):
                yield converted.to_ndarray().T
        for converted in floats.resample(None):
            yield converted.to_ndarray().T


@contextmanager
def _pyav_stream(path: Path) -> Iterator[tuple[av.container.InputContainer, av.AudioStream]]:
    try:
        container = av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        problem = "is damaged, cut short or not a sound file"
        raise InputError(path, problem, "copy it again or convert it to WAV") from error
    with container:
        streams = [stream for stream in container.streams.audio if stream.codec_context]
        if not streams:
            raise InputError(path, "holds no sound", "give a file with sound")
        yield container, streams[0]


def _said(error: Exception) -> str:
    return (
        str(getattr(error, "strerror", None) or getattr(error, "error_string", error))
        .strip(". ")
        .lower()
    )
