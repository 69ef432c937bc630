"""Sound files as mono float32 at one sample rate, block by block, and an honest account of what
could not be read."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vitrail.errors import InputError
from vitrail.preprocess.containers import Body, Mended, read_body
from vitrail.preprocess.mixing import Mix, choose_mix, equal_mix
from vitrail.preprocess.ogg import Pages, read_pages
from vitrail.preprocess.packets import (
    MAX_SAMPLE,
    Blocks,
    Losses,
    declared_seconds,
    open_track,
    packet_blocks,
)
from vitrail.sources import natural_sorted, require_file, walk

AUDIO_SUFFIXES = frozenset(
    {".3ga", ".aac", ".ac3", ".adts", ".aif", ".aifc", ".aiff", ".amr", ".au", ".awb", ".bwf"}
    | {".caf", ".dts", ".eac3", ".flac", ".m4a", ".m4b", ".m4r", ".mka", ".mp2", ".mp3", ".mpga"}
    | {".oga", ".ogg", ".opus", ".rf64", ".snd", ".spx", ".tta", ".w64", ".wav", ".wave", ".weba"}
    | {".wma", ".wv"}
)
MIN_RATE, MAX_RATE = 1_000, 768_000
MAX_CHANNELS = 64
MIN_OFFSET = 0.02  # of full scale; less is how converters are
BLOCK_VALUES = (
    1 << 14
)  # little is lost where a decoder gives up, and memory stays small whatever a header claims
# MP3 is left to FFmpeg: the decoder inside libsndfile prints dozens of lines on damaged files.
_SOUNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff")


@dataclass
class Recording:
    """A sound file that was found readable.

    ``rate`` and ``channels`` are the file's own; ``damage`` fills while ``blocks`` is read, one
    sentence per trouble, and ``notes`` with what was done to sound that is whole. ``container`` is
    what the file's own header tells, where libsndfile reads it (``by_soundfile``) or it is an OGG.
    """

    path: Path
    rate: int
    channels: int
    declared_seconds: float | None
    by_soundfile: bool = False
    container: Body | Pages | None = None
    track: int = 0
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def blocks(self, sample_rate: int, channel: int | None = None) -> Blocks:
        """The sound as float32 (n,) at ``sample_rate``, lazily: the mean of all channels but dead
        and opposite ones (``mixing``), or one of them (counted from 0).

        Resampled by soxr (quality HQ), which librosa uses too; however it is cut into blocks, the
        samples are the same. InputError for a channel that is not there, samples that are no
        numbers, and a file without any sample.
        """
        if channel is not None and channel >= self.channels:
            raise InputError(
                self.path, f"has {self.channels} channels", f"channel {channel} is not there"
            )
        resampler = soxr.ResampleStream(self.rate, sample_rate, 1, dtype="float32")
        mix = self._mix() if channel is None else None
        samples, total = 0, 0.0
        for block in self._decoded(self.damage):
            mono = mix(block) if mix else block[:, channel]
            self._check(mono, samples)
            samples += len(mono)
            total += float(mono.sum(dtype=np.float64))
            yield resampler.resample_chunk(np.ascontiguousarray(mono))
        if not samples:
            raise InputError(self.path, "holds no sound", "copy it again from where it came")
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
        self.damage.extend(self._end_remarks(samples / self.rate))
        self.notes.extend(mix.notes if mix else ())
        if abs(offset := total / samples) > MIN_OFFSET:
            self.notes.append(f"the sound stands {offset:+.2f} off its middle")

    def _mix(self) -> Mix:
        """Only the whole recording tells whether a channel is dead, so several are read twice."""
        if self.channels == 1:
            return equal_mix(1)
        return choose_mix(self._decoded([]), self.channels)

    def _end_remarks(self, seconds: float) -> Iterator[str]:
        if self.container:
            yield from self.container.remarks(seconds)
        elif self.declared_seconds and seconds < self.declared_seconds - 0.1:
            yield f"the sound ends at {seconds:.1f} s of {self.declared_seconds:.1f} s declared"

    def _check(self, mono: np.ndarray, before: int) -> None:
        wrong = ~np.isfinite(mono) | (np.abs(mono) > MAX_SAMPLE)
        if wrong.any():
            seconds = (before + int(wrong.argmax())) / self.rate
            raise InputError(
                self.path, f"holds samples that are no sound at {seconds:.2f} s", "export it again"
            )

    def _decoded(self, damage: list[str]) -> Blocks:
        """Blocks (n, channels) at the file's own rate, up to the end; adds to ``damage``."""
        done = 0
        if self.by_soundfile:
            try:
                with _soundfile(self.path, self.container) as file:
                    for block in _soundfile_blocks(file):
                        done += len(block)
                        yield block
                return
            except soundfile.LibsndfileError:
                pass  # FFmpeg goes on where libsndfile gives up
        losses = Losses()
        try:
            yield from _behind(packet_blocks(self.path, self.track, self.rate, losses), done)
        except InputError:
            if not done:
                raise
            damage.append("it cannot be read to the end")
        damage.extend(losses.remarks())


def open_audio(path: Path, track: int = 0) -> Recording:
    """What a sound file, or a sound track (counted from 0) of a video, says of itself; InputError
    where there is no sound.

    WAV, FLAC, OGG, AIFF and their like are read by libsndfile, all else by FFmpeg.
    """
    path = require_file(path)
    container = read_pages(path) or read_body(path)
    whole = not isinstance(container, Pages) or container.plain
    if not track and whole and _soundfile_reads(path, container):
        with _soundfile(path, container) as file:
            seconds = file.frames / max(1, file.samplerate)
            recording = Recording(path, file.samplerate, file.channels, seconds, True, container)
    else:
        with open_track(path, track) as (opened, stream):
            declared = declared_seconds(opened, stream)
            seconds = container.seconds if isinstance(container, Pages) else declared
            recording = Recording(
                path, stream.rate or 0, stream.channels, seconds, False, container, track
            )
            if (tracks := len(opened.streams.audio)) > 1:
                recording.notes.append(f"track {track + 1} of {tracks} was heard")
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
    found = [folder] if folder.is_file() else _files_below(folder)
    return natural_sorted(path for path in found if _is_sound(path, more) and path.is_file())


def other_files(folder: Path, more: Collection[str] = ()) -> list[Path]:
    """The files below ``folder`` that ``sound_files`` leaves out, but for hidden ones."""
    return natural_sorted(
        path for path in _files_below(folder) if not _is_sound(path, more) and path.is_file()
    )


def _files_below(folder: Path) -> list[Path]:
    tree = walk(folder)
    for fault in tree.faults.values():
        raise fault
    return tree.files


def _is_sound(path: Path, more: Collection[str]) -> bool:
    # What macOS lays beside a file on a foreign disk bears that file's suffix, and no sound
    suffix = path.suffix.lower()
    return not path.name.startswith("._") and (suffix in AUDIO_SUFFIXES or suffix in more)


def _soundfile_reads(path: Path, container: Body | Pages | None) -> bool:
    with path.open("rb") as file:
        if not file.read(4).startswith(_SOUNDFILE_MAGIC):
            return False
    try:
        with _soundfile(path, container):
            return True
    except (
        soundfile.LibsndfileError,
        TypeError,
    ):  # a TypeError for names that mean headerless files
        return False


@contextmanager
def _soundfile(path: Path, container: Body | Pages | None) -> Iterator[soundfile.SoundFile]:
    mend = container.mend if isinstance(container, Body) else {}
    if not mend:
        with soundfile.SoundFile(path) as file:
            yield file
        return
    with Mended(path, mend) as mended, soundfile.SoundFile(mended) as file:
        yield file


def _soundfile_blocks(file: soundfile.SoundFile) -> Blocks:
    frames = max(1, BLOCK_VALUES // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):
        yield block


def _behind(blocks: Blocks, samples: int) -> Blocks:
    """``blocks`` without their first ``samples``."""
    for block in blocks:
        if len(block) > samples:
            yield block[samples:]
        samples = max(0, samples - len(block))
