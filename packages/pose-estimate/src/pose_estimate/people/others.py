"""Detectors of others, of which only the people count."""

from collections.abc import Generator, Mapping, Sequence

import numpy as np

from vitrail.detection.others import NAME, OtherDetector, load_other
from vitrail.errors import InputError
from vitrail.job import Ask, Engine

PERSON = "person"


class OtherFinder:
    """People alone: rows (n, 5) of x, y, width, height in pixels and score."""

    def __init__(self, engine: OtherDetector, min_score: float):
        self.networks: Mapping[str, Engine] = {NAME: engine}
        self.min_score = min_score
        self.person = engine.labels.index(PERSON)

    def find(self, images: Sequence[np.ndarray]) -> Generator[Ask, list, list[np.ndarray]]:
        found = yield Ask(NAME, list(images))
        people = [rows[rows[:, 5] == self.person, :5] for rows in found]
        return [rows[rows[:, 4] >= self.min_score] for rows in people]


def load_people(spec: str, min_score: float, device: str) -> OtherFinder:
    """As ``load_other``; raises InputError too for a detector that does not know people."""
    engine = load_other(spec, device)
    if PERSON not in engine.labels:
        raise InputError(spec, "has no class 'person'", "give a detector that knows people")
    return OtherFinder(engine, min_score)
