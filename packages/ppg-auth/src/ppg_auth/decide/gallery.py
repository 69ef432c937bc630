"""Everyone's templates side by side, for one search over all of them.

Each person has a projection of their own, so that the search projects the attempt once for
everyone: time grows in proportion to the number of people (about 10 µs each on one core), memory
too (about 0.5 kB each).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.decision import Impostors, placement_mean
from ppg_auth.store.people import Person
from ppg_auth.store.template import cosine, expand_key, protect

_AT_ONCE = 2048  # people projected together; more would not stay in the processor's cache
_SHORT_LIST = 20


@dataclass(frozen=True)
class Candidate:
    """``score`` is normalised as in a verification."""

    name: str
    score: float


class Gallery:
    """The templates of people enrolled with one model; others and the revoked are left out."""

    def __init__(self, people: Iterable[Person], model: str, key_ids: frozenset[str] = frozenset()):
        members = [p for p in people if p.record.model == model and not p.record.revoked]
        self.key_ids = key_ids
        self._records = [person.record for person in members]
        self._projections = np.array(
            [expand_key(p.projection_key) for p in members], np.uint8
        ).reshape(-1, 192)
        width = max((len(record.placements) for record in self._records), default=0)
        self._templates = np.array(
            [_padded(record.placements, width) for record in self._records], np.uint8
        )

    def __len__(self) -> int:
        return len(self._records)

    def search(self, embeddings: NDArray, impostors: Impostors) -> list[Candidate]:
        """The twenty enrolled people nearest to an attempt's windows (n, 128), the best first."""
        if not self._records:
            return []
        cosines = self._cosines(placement_mean(embeddings))
        nearest = np.argsort(-cosines)[:_SHORT_LIST]
        return [
            Candidate(self._records[n].name, float(impostors.normalise(cosines[n])))
            for n in nearest
        ]

    def _cosines(self, mean: NDArray) -> NDArray:
        """To the nearest placement of each person (people,)."""
        parts = []
        for start in range(0, len(self._records), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            bits = protect(mean, self._projections[part])
            parts.append(cosine(bits[:, None], self._templates[part]).max(axis=1))
        return np.concatenate(parts)


def protected_cosine(embeddings: NDArray, projection: NDArray, placements: NDArray) -> float:
    """The cosine of an attempt, the mean of its windows (n, 128), to the nearest of protected
    placements (p, 64)."""
    return float(cosine(protect(placement_mean(embeddings), projection), placements).max())


def _padded(placements: NDArray, width: int) -> NDArray:
    """Placements (p, 64) with the first one repeated to (width, 64)."""
    return np.concatenate([placements, np.repeat(placements[:1], width - len(placements), axis=0)])
