"""The best picture of each person's folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from face_quality.result import Result
from vitrail.errors import InputError
from vitrail.job import Steps
from vitrail.sources import Source, image_files, natural_sorted

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
            pictures.append({"picture": Path(result.source).name, **kept})
        best = pictures[0]["picture"] if pictures else None
        return {"best": best, "pictures": pictures, "without_face": list(self.without)}

    @property
    def best_crop(self) -> np.ndarray | None:
        face = self.results[0].main_face if self.results else None
        return None if face is None else face.crop

    def cells(self) -> dict[str, str]:
        if not self.results:
            return {"best": "-", "score": "-", "pictures": "0", "remarks": "; ".join(self.damage)}
        cells = self.results[0].cells()
        return {
            "best": Path(self.results[0].source).name,
            "score": cells["score"],
            "pictures": str(len(self.results)),
            "remarks": "; ".join(filter(None, [cells["reasons"], *self.damage])),
        }


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
                damage.append(f"{path.name} is left out: {error.reason}")
                unread += 1
                continue
            damage += [f"{path.name}: {sentence}" for sentence in result.damage]
            if result.main is None:
                without.append(path.name)
            else:
                results.append(result)
        if unread == len(source.paths):
            raise InputError(source.name, "none of its pictures can be read", "look at one of them")
        results.sort(key=lambda result: -result.main_face.raw)
        return Ranked(source.name, tuple(results), tuple(without), tuple(damage))


def people_of(folder: Path) -> list[Source]:
    """A source for each folder inside with pictures; InputError where there is none."""
    try:
        inside = natural_sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError as error:
        raise InputError(folder, "is no folder that can be read", "name one") from error
    found = []
    for one in inside:
        pictures = image_files(one)
        if pictures:
            found.append(Source(str(one), tuple(pictures)))
    if not found:
        problem = "holds no folders with pictures"
        raise InputError(folder, problem, "make one folder for each person in it")
    return found
