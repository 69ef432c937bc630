"""Attempts of known people against each other, scored exactly as the command scores them, and the
figures by which biometric systems are compared (ISO/IEC 19795-1), with intervals over people."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from ppg_auth.decide.decision import fisher, placement_mean
from ppg_auth.store.template import KEY_BYTES, cosine, expand_key, protect
from vitrail.errors import InputError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.metrics.verification import eer

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


FPIR = 0.05  # of people who are not enrolled, how many may be taken for somebody
VERIFICATION = (
    "EER",
    "from",
    "to",
    "FNMR at FMR 1 %",
    "FNMR at FMR 5 %",
    "rank-1",
    "DIR at FPIR 5 %",
    "people",
    "attempts",
)


def verification(attempts: Attempts) -> tuple:
    """The values under ``VERIFICATION``; dashes where there was nobody to tell apart."""
    genuine = attempts.genuine
    people = len(set(attempts.true.tolist()))
    if not genuine.any() or genuine.all():
        return (*[None] * 7, people, 0)
    best, correct, others = _by_attempt(attempts)
    limit = np.quantile(others, 1 - FPIR)
    return (
        eer(attempts.scores, genuine.astype(int)).rate,
        *_interval(lambda scores, labels: eer(scores, labels).rate, attempts),
        false_non_matches(attempts, 0.01),
        false_non_matches(attempts, 0.05),
        float(correct.mean()),
        float((correct & (best > limit)).mean()),
        people,
        len(best),
    )


def false_non_matches(attempts: Attempts, rate: float) -> float:
    """The share of genuine attempts at or below the score that only ``rate`` of the impostors
    exceed."""
    limit = np.quantile(attempts.scores[~attempts.genuine], 1 - rate)
    return float((attempts.scores[attempts.genuine] <= limit).mean())


def errors_at(groups: Sequence[Attempts], thresholds: Sequence[float]) -> tuple[float, float]:
    """False matches and false non-matches where scores of a group's threshold and more are
    accepted."""
    accepted = np.concatenate(
        [part.scores >= limit for part, limit in zip(groups, thresholds, strict=True)]
    )
    genuine = np.concatenate([part.genuine for part in groups])
    return float(accepted[~genuine].mean()), float((~accepted[genuine]).mean())


def _by_attempt(attempts: Attempts) -> tuple[NDArray, NDArray[np.bool_], NDArray]:
    """Of each attempt by an enrolled person the best score, whether it is the person's own, and the
    best of others."""
    rows = []
    for number in np.unique(attempts.number):
        mine = attempts.number == number
        scores, own = attempts.scores[mine], attempts.genuine[mine]
        if own.any() and not own.all():
            rows.append((scores.max(), own[scores.argmax()], scores[~own].max()))
    best, correct, others = map(np.array, zip(*rows, strict=True))
    return best, correct.astype(bool), others


def _interval(
    statistic: Callable[[NDArray, NDArray], float], attempts: Attempts
) -> tuple[float | None, float | None]:
    def defined(scores: NDArray, labels: NDArray) -> float:
        return statistic(scores, labels) if 0 < labels.sum() < len(labels) else float("nan")

    try:
        return bootstrap_interval(
            defined, attempts.scores, attempts.genuine.astype(int), groups=attempts.true
        )
    except InputError:
        return None, None


_POINTS = 200


def system_unlinkability(mated: NDArray, non_mated: NDArray) -> float:
    """D_sys in 0..1 from scores of pairs of one person (n,) and of two people (m,), each template
    under its own key.

    0: such pairs look alike, nothing can be linked; 1: all can. Densities are estimated by Gaussian
    kernels of Scott's width, and both kinds of pairs count as equally likely. Source: Gomez-Barrero
    et al., "General framework to evaluate unlinkability in biometric template protection systems",
    2018, equations 4 to 6.
    """
    everything = np.concatenate([mated, non_mated])
    margin = 3 * everything.std()
    points = np.linspace(everything.min() - margin, everything.max() + margin, _POINTS)
    of_one, of_two = gaussian_kde(mated)(points), gaussian_kde(non_mated)(points)
    local = np.clip((of_one - of_two) / np.maximum(of_one + of_two, np.finfo(float).tiny), 0, 1)
    return float(np.trapezoid(of_one * local, points))
