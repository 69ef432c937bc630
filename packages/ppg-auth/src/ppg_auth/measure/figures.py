"""The figures by which biometric systems are compared (ISO/IEC 19795-1), with intervals over
people."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from ppg_auth.measure.comparison import Attempts
from vitrail.errors import InputError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.metrics.verification import eer

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
