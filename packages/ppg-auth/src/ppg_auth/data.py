"""Recordings of known people: where they lie, how they are cut into windows, and the samples of
training."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from ppg_auth.signal.reading import read_recording
from ppg_auth.signal.windows import Preprocess, SignalConfig, Windows
from vitrail.errors import InputError, UsageError
from vitrail.sources import natural_sorted
from vitrail.training.recipe import Section

USC_RATE = 100.0


@dataclass(frozen=True)
class Take:
    """One recording of a known person. ``condition`` is the posture; takes of one condition are in
    temporal order.

    Recordings of different ``sensor`` tell people apart too easily, and are not compared.
    """

    person: str
    condition: str
    path: Path
    sample_rate: float | None = None
    sensor: str = ""


class Collection(Section):
    """The folder ``ppg`` of the supplied data: NR2-UFPR (people sNN, sitting and standing) and USC
    (people uNN).

    ``train``, ``val`` and ``test`` name people, nobody twice.
    """

    format: Literal["collection"]
    path: Path
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...] = ()

    def takes(self) -> list[Take]:
        return [*_nr2_takes(self.path), *_usc_takes(self.path)]

    def people(self, part: Literal["train", "val", "test"]) -> list[str]:
        return list(getattr(self, part))


class ClosedSet(Section):
    """The paper's experiment on the same folder: one sitting recording of each person ``named``,
    its windows split."""

    format: Literal["closed-set"]
    path: Path
    named: tuple[str, ...]
    split: Literal["random", "contiguous"]

    def takes(self) -> list[Take]:
        first = {
            take.person: take for take in reversed([*_nr2_takes(self.path), *_usc_takes(self.path)])
        }
        return list(first.values())

    def people(self, part: Literal["train", "val", "test"]) -> list[str]:
        """Nobody is tested whom training has not seen."""
        return [] if part == "test" else list(self.named)


class Folders(Section):
    """The user's own recordings: below ``path`` a folder per person, with one file per recording.

    ``sample_rate`` in Hz is needed where files tell no times. The last ``val_share`` of the people
    validate, the last ``test_share`` before them test.
    """

    format: Literal["folders"]
    path: Path
    sample_rate: PositiveFloat | None = None
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def takes(self) -> list[Take]:
        folders = natural_sorted(folder for folder in _children(self.path) if folder.is_dir())
        return [
            Take(folder.name, "", file, self.sample_rate)
            for folder in folders
            for file in natural_sorted(
                path for path in _children(folder) if not path.name.startswith(".")
            )
        ]

    def people(self, part: Literal["train", "val", "test"]) -> list[str]:
        everyone = list(dict.fromkeys(take.person for take in self.takes()))
        val, test = round(len(everyone) * self.val_share), round(len(everyone) * self.test_share)
        cut = len(everyone) - val - test
        if cut < 2 or val < 2:
            raise UsageError(
                self.path, f"has recordings of {len(everyone)} people", "at least five are needed"
            )
        return {
            "train": everyone[:cut],
            "test": everyone[cut : cut + test],
            "val": everyone[cut + test :],
        }[part]


Data = Annotated[Collection | ClosedSet | Folders, Field(discriminator="format")]


def load_takes(
    data: Collection | ClosedSet | Folders, people: Sequence[str], signal: SignalConfig
) -> dict[Take, Windows]:
    """The windows of every recording of ``people``; UsageError where somebody has none."""
    takes = [take for take in data.takes() if take.person in people]
    for person in people:
        if not any(take.person == person for take in takes):
            raise UsageError(
                data.path, f"holds no recording of {person}", "check the names in the recipe"
            )
    return read_takes(takes, signal)


def read_takes(takes: Iterable[Take], signal: SignalConfig) -> dict[Take, Windows]:
    """The windows of each recording; InputError names one that cannot be used."""
    preprocess, loaded = Preprocess(signal), {}
    for take in takes:
        try:
            loaded[take] = preprocess(read_recording(take.path, take.sample_rate))
        except InputError as error:
            raise InputError(take.path, error.problem, error.remedy) from error
    return loaded


def _nr2_takes(folder: Path) -> list[Take]:
    with _open(folder / "nr2_ufpr.csv") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
    return [
        Take(row["subject"], row["posture"], folder / row["path"], sensor="nr2") for row in rows
    ]


def _usc_takes(folder: Path) -> list[Take]:
    with _open(folder / "usc_bp.csv") as file:
        rows = list(csv.DictReader(file))
    return [
        Take(f"u{row['record'][-2:]}", "sitting", folder / row["path"], USC_RATE, "usc")
        for row in rows
    ]


def _open(path: Path):
    try:
        return path.open(newline="", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            path, f"cannot be read: {str(error.strerror).lower()}", "set VITRAIL_DATA"
        ) from error


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UsageError(
            folder, f"cannot be read: {str(error.strerror).lower()}", "check data.path"
        ) from error
