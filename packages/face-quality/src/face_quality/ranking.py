"""The best picture of each person's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_quality import system
from face_quality.result import Result
from vitrail.errors import InputError
from vitrail.job import Steps
from vitrail.preprocess.kinds import Kind, kind_of
from vitrail.say import warn, warn_left_out
from vitrail.sources import Source, natural_sorted, walk

if TYPE_CHECKING:
    from face_quality.job import QualityJob


@dataclass(frozen=True, eq=False)
class Ranked:
    """The pictures of one person with a face, the best first, by the main face."""

    source: str
    results: tuple[Result, ...]
    without: tuple[str, ...]
    damage: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        pictures = []
        for result in self.results:
            row = result.to_dict()
            kept = {key: row[key] for key in ("raw", "score", "word", "reasons", "remarks")}
            pictures.append({"picture": _within(self.source, result.source), **kept})
        best = pictures[0]["picture"] if pictures else None
        return {"best": best, "pictures": pictures, "without_face": list(self.without)}

    @property
    def best_crop(self) -> np.ndarray | None:
        face = self.results[0].main_face if self.results else None
        return None if face is None else face.crop

    def cells(self) -> dict[str, str]:
        said = [f"{len(self.without)} pictures without a face"] if self.without else []
        count = str(len(self.results))
        if not self.results:
            return {"best": "-", "score": "-", "pictures": count, "remarks": _joined(said, self)}
        best = self.results[0]
        return {
            "best": _within(self.source, best.source),
            "score": best.cells()["score"],
            "pictures": count,
            "remarks": _joined([*best.reasons, *best.remarks, *said], self),
        }


def _within(person: str, picture: Path | str) -> str:
    """A picture's name in the folder of its person."""
    path = Path(picture)
    return str(path.relative_to(person)) if path.is_relative_to(person) else path.name


def _joined(said: list[str], ranked: Ranked) -> str:
    return "; ".join([*said, *ranked.damage])


class RankJob:
    """Sources of several pictures in, these in order out. A picture that cannot be read is damage
    and no failure, unless none can."""

    def __init__(self, job: "QualityJob"):
        self.job = job
        self.model, self.version, self.networks = job.model, job.version, job.networks
        self.options = job.options

    def process(self, source: Source) -> Steps:
        results, without, damage, unread = [], [], [], 0
        for path in source.paths:
            try:
                result = yield from self.job.process(Source.of(path))
            except InputError as error:
                damage.append(f"{_within(source.name, path)} is left out: {error.reason}")
                unread += 1
                continue
            name = _within(source.name, path)
            damage += [f"{name}: {sentence}" for sentence in result.damage]
            if result.main is None:
                without.append(name)
            else:
                results.append(result)
        if unread == len(source.paths):
            raise InputError(source.name, "none of its pictures can be read", "look at one of them")
        results.sort(key=lambda result: -result.main_face.raw)
        return Ranked(source.name, tuple(results), tuple(without), tuple(damage))


def people_of(folder: Path, *, quiet: bool = False) -> list[Source]:
    """A source for each folder inside, with all pictures at and below it; InputError where there is
    none. A line names what is left out: files that belong to nobody or are no pictures, and folders
    without any."""
    if not folder.is_dir():
        raise InputError(folder, "is no folder", "name one that holds a folder for each person")
    tree = walk(folder)
    if folder in tree.faults:
        raise tree.faults[folder]
    for place, fault in tree.faults.items():
        warn(system.name, f"{place}: {fault.reason}")
    people: dict[Path, list[Path]] = {}
    others = []
    for path in natural_sorted(tree.files):
        inside = path.relative_to(folder).parts
        if len(inside) > 1 and kind_of(path) is Kind.IMAGE:
            people.setdefault(folder / inside[0], []).append(path)
        else:
            others.append(path)
    empty = {folder / one.relative_to(folder).parts[0] for one in tree.folders if one != folder}
    others += sorted(empty - people.keys())
    if not quiet:
        warn_left_out(system.name, folder, others, "no pictures of anybody")
    if not people:
        problem = "holds no folders with pictures"
        raise InputError(folder, problem, "make one folder for each person in it")
    return [Source(str(one), tuple(pictures)) for one, pictures in people.items()]
