"""Verification attempts of known people against each other, scored exactly as the command scores them."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppg_auth.data import Take
from ppg_auth.scoring import Statistics, as_norm, attempt_score, placement_mean
from ppg_auth.template import KEY_BYTES, cosine, expand_key, protect

ATTEMPT_WINDOWS = 3  # windows of 5 s at half overlap: 10 s of signal

Embeddings = Mapping[Take, NDArray[np.float32]]  # the good windows (n, 128) of each take
Scorer = Callable[[str, NDArray], Callable[[NDArray], float]]  # (person, placement means) to what scores attempts


@dataclass(frozen=True)
class Attempts:
    """Scores (n,); ``claimed`` and ``true`` are people; one attempt against many claims has one ``number``."""

    scores: NDArray[np.float64]
    claimed: NDArray[np.str_]
    true: NDArray[np.str_]
    number: NDArray[np.intp]

    @property
    def genuine(self) -> NDArray[np.bool_]:
        return self.claimed == self.true


def compare(
    embeddings: Embeddings,
    enrol: Mapping[str, Sequence[Take]],
    probe: Mapping[str, Sequence[Take]],
    scorer: Scorer,
    windows: int = ATTEMPT_WINDOWS,
) -> Attempts:
    """Every attempt of the people in ``probe`` against every template of those in ``enrol``, of one kind of sensor.

    ``scorer(person, placement means (p, 128))`` gives what scores an attempt's windows (n, 128) against that template.
    Attempts are successive windows of one take, without overlap between attempts.
    """
    templates, sensors = {}, {}
    for person, takes in enrol.items():
        sensors[person] = takes[0].sensor
        means = [placement_mean(embeddings[take]) for take in takes if len(embeddings[take])]
        if means:
            templates[person] = scorer(person, np.stack(means))
    rows = [
        (template(attempt), claimed, person, number)
        for number, (person, sensor, attempt) in enumerate(_attempts(embeddings, probe, windows))
        for claimed, template in templates.items()
        if sensors[claimed] == sensor
    ]
    scores, claimed, true, number = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Attempts(np.array(scores), np.array(claimed, str), np.array(true, str), np.array(number, int))


def plain(person: str, means: NDArray) -> Callable[[NDArray], float]:
    """Scores by the mean cosine to the nearest placement."""
    return lambda attempt: attempt_score(attempt @ means.T)


class Protected:
    """Scores as the command does: protected templates under a key for each person, normalised by a cohort (c, 128)."""

    def __init__(self, cohort: NDArray, seed: int = 0):
        self.cohort, self.seed = cohort, seed

    def __call__(self, person: str, means: NDArray) -> Callable[[NDArray], float]:
        key = np.random.default_rng([self.seed, *person.encode()]).bytes(KEY_BYTES)
        projection = expand_key(key)
        bits, statistics = protect(means, projection), Statistics.of_template(means, self.cohort)

        def score(attempt: NDArray) -> float:
            similarities = cosine(protect(attempt, projection)[:, None], bits[None])
            return as_norm(attempt_score(similarities), statistics, Statistics.of_attempt(attempt, self.cohort))

        return score


def by_person(takes: Sequence[Take]) -> dict[str, list[Take]]:
    grouped = defaultdict(list)
    for take in takes:
        grouped[take.person].append(take)
    return dict(grouped)


def halves(embeddings: Embeddings) -> tuple[dict[str, list[Take]], dict[str, list[Take]], Embeddings]:
    """Enrolment and probe takes of every person: of those with a single take, its beginning and its end.

    Otherwise a person's first take enrols, and all others are probes. Between beginning and end one window is left out.
    """
    enrol, probe, all_embeddings = {}, {}, dict(embeddings)
    for person, takes in by_person([take for take in embeddings if len(embeddings[take])]).items():
        if len(takes) > 1:
            enrol[person], probe[person] = takes[:1], takes[1:]
            continue
        (take,), cut = takes, int(0.6 * len(embeddings[takes[0]]))
        parts = {"beginning": slice(0, cut), "end": slice(cut + 1, None)}
        for name, part in parts.items():
            piece = Take(person, f"{take.condition} {name}", take.path, take.sample_rate, take.sensor)
            all_embeddings[piece] = embeddings[take][part]
            (enrol if name == "beginning" else probe)[person] = [piece]
    return enrol, probe, all_embeddings


def _attempts(
    embeddings: Embeddings, probe: Mapping[str, Sequence[Take]], windows: int
) -> Iterator[tuple[str, str, NDArray]]:
    for person, takes in probe.items():
        for take in takes:
            rows = embeddings[take]
            for first in range(0, len(rows) - windows + 1, windows):
                yield person, take.sensor, rows[first : first + windows]
