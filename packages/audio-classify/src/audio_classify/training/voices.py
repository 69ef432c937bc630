"""Lists of spoken digits and of what is none, from checkouts of public repositories.

    python -m audio_classify.training.voices FOLDER

``pipelines/audio-classify/voices.md`` names the repositories and where they go. FOLDER gets
``digits.csv``, to train and test on, and ``elsewhere.csv``, of which training sees nothing.
"""

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from vitrail.training.recipe import data_folder

UNKNOWN = "unknown"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Of each digit by each speaker; the official split tests on the first five.
TAKES, TEST_TAKES = 15, 5
EACH_WORD = 4  # every fourth recording of a word is enough
EACH_VOICE = 40  # words made of a speaker's digits
SEAM = 0.01  # s, over which two halves pass into each other
COLUMNS = ("path", "digit", "group", "split")
Row = tuple[Path, str, str, str]


def write_lists(folder: Path, sounds: Path) -> None:
    """``sounds`` is the list of ESC-10, whose clips are noises here."""
    digits = list(spoken_digits(folder))
    parts = (digits, other_words(folder), made_words(digits, folder / "made"), noises(sounds))
    _write(folder / "digits.csv", [row for part in parts for row in part])
    _write(folder / "elsewhere.csv", list(elsewhere(folder)))


def spoken_digits(folder: Path) -> Iterator[Row]:
    """Named DIGIT_SPEAKER_TAKE.wav; the group is the speaker."""
    for path in sorted((folder / "free-spoken-digit-dataset" / "recordings").glob("*.wav")):
        digit, speaker, take = path.stem.split("_")
        if int(take) < TAKES:
            yield path, digit, speaker, "test" if int(take) < TEST_TAKES else "train"


def other_words(folder: Path) -> Iterator[Row]:
    """In a folder for each word, which is the group."""
    paths = sorted((folder / "wake-word-benchmark" / "audio").glob("*/*.*"))
    for path in paths[::EACH_WORD]:
        yield path, UNKNOWN, path.parent.name, "train"


def made_words(digits: Sequence[Row], folder: Path) -> Iterator[Row]:
    """What no digit is and sounds like several: the end of one and the beginning of another by the
    same speaker, whose name is the group. The sounds are written into ``folder``."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for speaker in sorted({row[2] for row in digits}):
        spoken = [row for row in digits if row[2:] == (speaker, "train")]
        for number in range(EACH_VOICE if len({row[1] for row in spoken}) > 1 else 0):
            end, beginning = (spoken[place] for place in random.permutation(len(spoken))[:2])
            while beginning[1] == end[1]:
                beginning = spoken[random.integers(len(spoken))]
            path = folder / f"{speaker}_{number}.wav"
            _join(end[0], beginning[0], path)
            yield path, UNKNOWN, speaker, "train"


def _join(end: Path, beginning: Path, path: Path) -> None:
    rate, first = wavfile.read(end)
    _, second = wavfile.read(beginning)
    first, second = first[len(first) // 2 :], second[: len(second) // 2]
    seam = min(round(SEAM * rate), len(first), len(second))
    rising = np.linspace(0, 1, seam)
    both = first[len(first) - seam :] * (1 - rising) + second[:seam] * rising
    parts = (first[: len(first) - seam], both.round().astype(first.dtype), second[seam:])
    wavfile.write(path, rate, np.concatenate(parts))


def noises(sounds: Path) -> Iterator[Row]:
    with sounds.open(newline="") as file:
        for row in csv.DictReader(file):
            yield sounds.parent / row["path"], UNKNOWN, f"fold {row['fold']}", row["split"]


def elsewhere(folder: Path) -> Iterator[Row]:
    """Digits, other words and noises of other people and rooms; the group says which of the
    three."""
    commands = folder / "speech-commands" / "data"
    for path in sorted((commands / "examples").glob("*.wav")):
        digit = NUMBERS.index(path.stem) if path.stem in NUMBERS else None
        group, label = ("words", UNKNOWN) if digit is None else ("digits", str(digit))
        yield path, label, group, "test"
    for path in sorted((commands / "noises").glob("*.wav")):
        yield path, UNKNOWN, "noises", "test"
    for path in sorted((folder / "audioMNIST-classifier" / "predict_data").glob("*/*.wav")):
        yield path, str(int(path.stem.rpartition("_")[2])), "digits", "test"


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for sound, *others in rows:
            table.writerow((os.path.relpath(sound, path.parent), *others))


if __name__ == "__main__":
    write_lists(Path(sys.argv[1]).resolve(), Path(data_folder()).resolve() / "audio" / "esc10.csv")
