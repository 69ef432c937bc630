"""Verification attempts of known people against each other, scored exactly as the command scores
them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppg_auth.decide.decision import fisher, placement_mean
from ppg_auth.store.template import KEY_BYTES, cosine, expand_key, protect

Scorer = Callable[
    [str, NDArray], Callable[[NDArray], float]
]  # (person, placement means) to what scores attempts


@dataclass(frozen=True)
class Placement:
    """One laying on of a finger: the embeddings (n, dim) of its good windows, none where it was not
    usable."""

    person: str
    sensor: str
    rows: NDArray[np.float32]


@dataclass(frozen=True)
class Attempts:
    """Scores (n,); ``claimed`` and ``true`` are people; one attempt against many claims has one
    ``number``."""

    scores: NDArray[np.float64]
    claimed: NDArray[np.str_]
    true: NDArray[np.str_]
    number: NDArray[np.intp]

    @property
    def genuine(self) -> NDArray[np.bool_]:
        return self.claimed == self.true

    @classmethod
    def joined(cls, parts: Sequence["Attempts"]) -> "Attempts":
        """The attempts of several groups of people, who were compared within their groups."""
        offsets = np.cumsum([0, *(part.number.max(initial=-1) + 1 for part in parts[:-1])])
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.claimed for part in parts]),
            np.concatenate([part.true for part in parts]),
            np.concatenate(
                [part.number + offset for part, offset in zip(parts, offsets, strict=True)]
            ),
        )


def compare(
    enrolled: Iterable[Placement], attempts: Iterable[Placement], scorer: Scorer
) -> Attempts:
    """Every attempt against the template of every enrolled person with the same kind of sensor.

    ``scorer(person, placement means (p, dim))`` gives what scores an attempt's windows (n, dim)
    against that template.
    """
    means, sensors = defaultdict(list), {}
    for placement in enrolled:
        if len(placement.rows):
            means[placement.person].append(placement_mean(placement.rows))
            sensors[placement.person] = placement.sensor
    templates = {person: scorer(person, np.stack(own)) for person, own in means.items()}
    rows = [
        (template(attempt.rows), claimed, attempt.person, number)
        for number, attempt in enumerate(attempts)
        if len(attempt.rows)
        for claimed, template in templates.items()
        if sensors[claimed] == attempt.sensor
    ]
    scores, claimed, true, number = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Attempts(
        np.array(scores), np.array(claimed, str), np.array(true, str), np.array(number, int)
    )


def plain(person: str, means: NDArray) -> Callable[[NDArray], float]:
    """Scores by the cosine to the nearest placement."""
    return lambda attempt: float((means @ placement_mean(attempt)).max())


def protected(person: str, means: NDArray) -> Callable[[NDArray], float]:
    """Scores as the command does, by templates under a key for each person; before they are
    normalised."""
    projection = expand_key(np.random.default_rng(list(person.encode())).bytes(KEY_BYTES))
    bits = protect(means, projection)
    return lambda attempt: float(
        fisher(cosine(protect(placement_mean(attempt), projection), bits).max())
    )
