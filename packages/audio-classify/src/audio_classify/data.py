"""Labelled and unlabelled sounds on disk, how they are split, and their spectrograms as training
samples."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from audio_classify.sound.features import Features
from audio_classify.sound.level import Level
from vitrail.errors import InputError
from vitrail.preprocess.audio import open_audio, read_audio, sound_files
from vitrail.preprocess.filterbank import SILENCE

LAYOUT = "give one folder per class, a CSV list with path and label, or the official JSON"
Augment = Callable[[Tensor, torch.Generator], Tensor]  # of a raw filterbank (frames, bins)
FULL_SCALE = 32768
POOL = 4  # batches within which clips are sorted by length


@dataclass(frozen=True)
class Clip:
    """A file and its label; ``facts`` are the other columns of a list, such as fold or speaker."""

    path: Path
    label: str
    facts: dict[str, str]


def read_clips(source: Path, label: str = "label") -> list[Clip]:
    """The labelled files of one folder per class, of a CSV list with the columns ``path`` and
    ``label``, or of the official JSON ``{"data": [{"wav": ..., "labels": ...}]}``. Paths in a list
    are relative to it.

    Of several labels in the JSON the first counts. In folders the fact ``group`` is the sub-folder
    that a file lies in, or its own name. Raises InputError.
    """
    if source.is_dir():
        clips = list(_in_folders(source))
    elif source.suffix == ".json":
        clips = list(_in_json(source))
    else:
        clips = list(_in_list(source, label))
    if len({clip.label for clip in clips}) < 2:
        raise InputError(source, "holds sounds of fewer than two classes", LAYOUT)
    return clips


def _in_folders(folder: Path) -> Iterator[Clip]:
    for path in sound_files(folder):
        label, *rest = path.relative_to(folder).parts
        if rest:
            yield Clip(path, label, {"group": rest[0]})


def _in_json(source: Path) -> Iterator[Clip]:
    try:
        for row in json.loads(source.read_text(encoding="utf-8"))["data"]:
            yield Clip(
                source.parent / row["wav"], str(row["labels"]).split(",")[0], {"group": row["wav"]}
            )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            source, f"is not a list of sounds ({type(error).__name__})", LAYOUT
        ) from error


def _in_list(source: Path, label: str) -> Iterator[Clip]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(source, "cannot be read as a list", LAYOUT) from error
    for number, row in enumerate(rows, start=2):
        if not row.get("path") or not row.get(label):
            raise InputError(source, f"line {number} has no path or no {label}", LAYOUT)
        yield Clip(source.parent / row["path"], row[label], {"group": row["path"], **row})


def held_out(clips: Sequence[Clip], by: str, share: float) -> tuple[list[Clip], list[Clip]]:
    """The clips without and with about ``share`` of each class: whole groups of equal ``by``,
    chosen by their names."""
    chosen: set[str] = set()
    for label in sorted({clip.label for clip in clips}):
        groups = sorted(
            {clip.facts.get(by, "") for clip in clips if clip.label == label}, key=_by_chance
        )
        chosen |= set(groups[: round(share * len(groups))])
    kept = [clip for clip in clips if clip.facts.get(by, "") not in chosen]
    return kept, [clip for clip in clips if clip.facts.get(by, "") in chosen]


def _by_chance(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def spectrograms(
    paths: Sequence[Path], features: Features, gain: float | None = None
) -> list[Tensor]:
    """Raw filterbanks (frames, 128) of short files, kept in memory; InputError where a file is no
    good sound. With ``gain`` they are those of recordings louder by so many dB (``at_level``)."""
    sounds = (read_audio(path, features.sample_rate) for path in paths)
    if gain is not None:
        sounds = (at_level(sound, gain, features.sample_rate) for sound in sounds)
    return [torch.from_numpy(features.raw(sound)) for sound in sounds]


def at_level(sound: np.ndarray, gain: float, rate: int) -> np.ndarray:
    """The sound (samples,) as the job hears it when it was ``recorded`` with ``gain`` dB more:
    raised where it is quiet."""
    heard = recorded(sound, gain)
    return heard * np.float32(10 ** (Level(rate, 0.0).gain(heard) / 20))


def recorded(sound: np.ndarray, gain: float) -> np.ndarray:
    """The sound (samples,) louder by ``gain`` dB, in 16 bits: clipped and rounded."""
    levels = np.round(sound * (FULL_SCALE * 10 ** (gain / 20)))
    return (np.clip(levels, -FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE).astype(np.float32)


def excerpts(paths: Sequence[Path], features: Features) -> Iterator[Tensor]:
    """Files of any length cut into consecutive raw filterbanks of ``num_frames``, the last one of a
    file shorter."""
    for path in paths:
        rest = np.empty(0, np.float32)
        for block in open_audio(path).blocks(features.sample_rate):
            rest = np.concatenate([rest, block])
            while len(rest) >= 2 * features.window_samples:
                yield torch.from_numpy(features.raw(rest[: features.window_samples]))
                rest = rest[features.window_samples :]
        yield torch.from_numpy(features.raw(rest)[: features.num_frames])


def excerpt(clip: Tensor, longest: int, generator: torch.Generator | None = None) -> Tensor:
    """At most ``longest`` frames of a raw filterbank: the loudest part, or at random one at most 10
    dB below it."""
    if len(clip) <= longest:
        return clip
    energy = F.pad(clip.double().exp().sum(1).cumsum(0), (1, 0))
    parts = energy[longest:] - energy[:-longest]
    if generator is None:
        start = int(parts.argmax())
    else:
        start = int(torch.multinomial((parts >= 0.1 * parts.max()).float(), 1, generator=generator))
    return clip[start : start + longest]


def statistics(clips: Sequence[Tensor]) -> tuple[float, float]:
    """Mean and standard deviation of all values that are not silence."""
    values = torch.cat([clip.flatten() for clip in clips])
    values = values[values > SILENCE + 1e-3]
    return values.mean().item(), values.std().item()


class Spectrograms(Dataset):
    """Sample n: a raw filterbank of at most ``longest`` frames, and its class number (-1: none).

    With ``augment`` it is changed, and cut anywhere; without, the loudest part of a longer clip is
    taken. ``others`` are the same clips at other levels, one of which is learned in place of it.
    """

    def __init__(
        self,
        clips: Sequence[Tensor],
        longest: int,
        classes: Sequence[int] | None = None,
        augment: Augment | None = None,
        others: Sequence[Sequence[Tensor]] = (),
    ):
        self.clips, self.longest, self.augment = list(clips), longest, augment
        self.others = others
        self.classes = list(classes) if classes is not None else [-1] * len(self.clips)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        clip, generator = self.clips[number], None
        if self.augment:
            # From the global state, which the training loop sets at each epoch: a resumed run
            # repeats it.
            generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
            level = int(torch.randint(1 + len(self.others), (), generator=generator))
            clip = self.augment((self.clips, *self.others)[level][number], generator)
        return excerpt(clip, self.longest, generator), self.classes[number]


class AlikeLengths(Sampler[list[int]]):
    """Batches in random order of clips of about the same length, so that little is padded."""

    def __init__(self, lengths: Sequence[int], batch_size: int):
        self.lengths, self.batch_size = lengths, min(batch_size, len(lengths))

    def __len__(self) -> int:
        return len(self.lengths) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self.lengths)).tolist()[: len(self) * self.batch_size]
        pool = POOL * self.batch_size
        for start in range(0, len(order), pool):
            alike = sorted(order[start : start + pool], key=self.lengths.__getitem__)
            yield from (
                alike[at : at + self.batch_size] for at in range(0, len(alike), self.batch_size)
            )


def collate(
    batch: Sequence[tuple[Tensor, int]], features: Features, min_frames: int
) -> tuple[Tensor, Tensor]:
    """Raw filterbanks of any length as the networks' input (B, frames, bins), the shorter ones
    padded with silence, and classes (B,)."""
    clips, classes = zip(*batch, strict=True)
    frames = max(min_frames, *(len(clip) for clip in clips))
    padded = np.full((len(clips), frames, clips[0].shape[1]), SILENCE, np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    image = features.normalise(features.silence_high(padded))
    return torch.from_numpy(image), torch.tensor(classes)
