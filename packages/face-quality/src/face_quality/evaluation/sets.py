"""The test people's crops, as they are and with a seeded part of them degraded, and the pairs."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from face_quality.training.degrade import TESTED, Degradation
from vitrail.errors import InputError
from vitrail.preprocess.image import read_image

PART = 0.25  # of the pictures is degraded
LANDMARKS = [
    f"{point}_{axis}" for point in ("eye_l", "eye_r", "nose", "mouth_l", "mouth_r") for axis in "xy"
]


@dataclass(frozen=True)
class TestSet:
    """Crops uint8 (n, 112, 112, 3) of people (n,), their landmarks (n, 5, 2) in the photographs
    that they come from; pairs (p, 2) of their numbers, ``same`` (p,) of one person."""

    crops: np.ndarray
    people: np.ndarray
    paths: tuple[str, ...]
    landmarks: np.ndarray
    pairs: np.ndarray
    same: np.ndarray

    def part(self, chosen: np.ndarray) -> "TestSet":
        """Some of the crops, by a mask (n,), without pairs."""
        return replace(
            self,
            crops=self.crops[chosen],
            people=self.people[chosen],
            paths=tuple(np.array(self.paths)[chosen].tolist()),
            landmarks=self.landmarks[chosen],
            pairs=self.pairs[:0],
            same=self.same[:0],
        )

    @property
    def genuine(self) -> np.ndarray:
        return self.pairs[self.same]

    @property
    def impostors(self) -> np.ndarray:
        return self.pairs[~self.same]


def read_test_set(folder: Path) -> TestSet:
    """``test.csv`` and ``test_pairs.csv`` of a folder, as face-quality's data set has them."""
    rows = _rows(folder / "test.csv", {"path", "identity", *LANDMARKS})
    numbers = {row["path"]: number for number, row in enumerate(rows)}
    pairs = _rows(folder / "test_pairs.csv", {"path_a", "path_b", "same"})
    return TestSet(
        crops=np.stack([read_image(folder / row["path"]) for row in rows]),
        people=np.array([row["identity"] for row in rows]),
        paths=tuple(numbers),
        landmarks=np.array([[float(row[key]) for key in LANDMARKS] for row in rows]).reshape(
            -1, 5, 2
        ),
        pairs=np.array([[numbers[row["path_a"]], numbers[row["path_b"]]] for row in pairs]),
        same=np.array([row["same"] == "1" for row in pairs]),
    )


def read_photographs(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """``raw.csv`` of face-quality's data set: the photographs, uint8 (H, W, 3), and the landmarks
    (5, 2) of the detector that its crops were aligned by."""
    return [
        (
            read_image(folder / row["path"]),
            np.array([float(row[key]) for key in LANDMARKS]).reshape(5, 2),
        )
        for row in _rows(folder / "raw.csv", {"path", *LANDMARKS})
    ]


def read_crops(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The crops of a list and whose they are."""
    rows = _rows(path, {"path", "identity"})
    crops = np.stack([read_image(path.parent / row["path"]) for row in rows])
    return crops, np.array([row["identity"] for row in rows])


def partly_degraded(test: TestSet, kinds: Mapping[str, Degradation] = TESTED) -> TestSet:
    """The set with a quarter of its crops degraded, the same ones at each call: one kind, of a
    strength drawn evenly from 0 to 1."""
    crops = test.crops.copy()
    for number, path in enumerate(test.paths):
        random = _random(path)
        if random.random() < PART:
            crops[number] = _spoilt(crops[number], random, kinds)
    return replace(test, crops=crops)


def degraded_copies(test: TestSet, kinds: Mapping[str, Degradation] = TESTED) -> np.ndarray:
    """A degraded copy of each crop, at least of strength 0.25, uint8 (n, 112, 112, 3)."""
    return np.stack(
        [
            _spoilt(crop, _random(f"copy of {path}"), kinds, low=0.25)
            for crop, path in zip(test.crops, test.paths, strict=True)
        ]
    )


def _spoilt(
    crop: np.ndarray,
    random: np.random.Generator,
    kinds: Mapping[str, Degradation],
    low: float = 0.0,
) -> np.ndarray:
    names: Sequence[str] = list(kinds)
    kind = kinds[names[random.integers(len(names))]]
    return kind(crop, random.uniform(low, 1), random)


def _random(name: str) -> np.random.Generator:
    digest = hashlib.sha256(name.encode()).digest()[:8]
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _rows(path: Path, columns: set[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, "cannot be read as a list") from error
    if not rows or not columns <= rows[0].keys():
        missing = ", ".join(sorted(columns - (rows[0].keys() if rows else set()))) or "rows"
        raise InputError(path, f"lacks {missing}", "see the data set's own list")
    return rows
