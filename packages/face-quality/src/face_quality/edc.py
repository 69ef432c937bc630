"""Error against discard: how many genuine pairs a matcher still misses when the pairs of the worst
quality are left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from vitrail.errors import UsageError

THRESHOLDS = ("fixed", "recompute")


@dataclass(frozen=True)
class Curve:
    """For each share of discarded pairs: the false non-match rate (NaN where no genuine pair is
    left), and how many genuine and impostor pairs it rests on. ``threshold`` is the similarity from
    which on a pair matches, that of all pairs."""

    shares: np.ndarray
    fnmr: np.ndarray
    genuine: np.ndarray
    impostors: np.ndarray
    threshold: float

    @classmethod
    def of(
        cls,
        similarity: np.ndarray,
        same: np.ndarray,
        quality: np.ndarray,
        fmr: float,
        shares: Sequence[float] | np.ndarray,
        *,
        threshold: str = "fixed",
    ) -> "Curve":
        """Pairs (n,) with their similarity, whether they show the same person, and the quality of
        the worse picture; of all pairs in order of quality, the first ``shares`` are discarded.

        ``fixed`` keeps the threshold that all impostor pairs give: the lowest one at which at most
        ``fmr`` of them match, which is what an operator feels. ``recompute`` is the rule of the
        official tool: at each step the similarity at which the rate among the remaining impostors
        is nearest to ``fmr``, and a pair must exceed it.
        """
        order = np.argsort(quality, kind="stable")
        similarity, same = similarity[order], same[order].astype(bool)
        fixed = fixed_threshold(similarity[~same], fmr)
        rates, counts = [], []
        for share in shares:
            kept = slice(int(share * len(order)), None)
            genuine, impostors = similarity[kept][same[kept]], similarity[kept][~same[kept]]
            if threshold == "fixed":
                missed = genuine < fixed
            else:
                missed = genuine <= _nearest_threshold(genuine, impostors, fmr)
            rates.append(missed.mean() if len(genuine) else np.nan)
            counts.append((len(genuine), len(impostors)))
        genuine_left, impostors_left = np.array(counts).T
        return cls(np.asarray(shares), np.array(rates), genuine_left, impostors_left, fixed)

    @property
    def area(self) -> float:
        """Under the curve, by trapezoids over the shares."""
        return float(np.trapezoid(self.fnmr, self.shares))

    @property
    def area_ratio(self) -> float:
        """Mean rate over all shares by the rate without discarding: below 1 where quality helps."""
        return float(np.nanmean(self.fnmr) / self.fnmr[0]) if self.fnmr[0] else np.nan


def fixed_threshold(impostors: np.ndarray, fmr: float) -> float:
    """The lowest similarity at which at most ``fmr`` of the impostor pairs match; a hair above all
    of them where not one may."""
    ranked = np.sort(impostors)[::-1]
    allowed = int(fmr * len(ranked) + 1e-9)
    # Each distinct value is a threshold; one at which more than the allowed number match is none.
    fits = [
        value for value in np.unique(ranked[: allowed + 1]) if (ranked >= value).sum() <= allowed
    ]
    return float(fits[0]) if fits else float(np.nextafter(ranked[0], np.inf))


def _nearest_threshold(genuine: np.ndarray, impostors: np.ndarray, fmr: float) -> float:
    """The one of all similarities at which the rate of impostors is nearest to ``fmr``: the lower
    of two equally near rates, and the lowest similarity that has it."""
    candidates = np.unique(np.concatenate((genuine, impostors)))[::-1]
    ranked = np.sort(impostors)
    matching = len(ranked) - np.searchsorted(ranked, candidates, side="left")
    best = matching[np.abs(matching / max(len(ranked), 1) - fmr).argmin()]
    return float(candidates[matching == best][-1])


def require_resolved(fmr: float, impostors: int) -> None:
    """UsageError for a rate that so few impostor pairs cannot show."""
    if not 0 < fmr < 1:
        raise UsageError(f"FMR {fmr:g}", "is not between 0 and 1", "take 0.001")
    needed = needed_impostors(fmr)
    if impostors < needed:
        problem = f"needs at least {needed} impostor pairs, these are {impostors}"
        raise UsageError(f"FMR {fmr:g}", problem, "give more pairs or a higher rate")


def needed_impostors(fmr: float) -> int:
    """How many impostor pairs show a rate at all: one of them matches."""
    return ceil(1 / fmr - 1e-6)


def pair_quality(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A pair is as good as the worse of its pictures."""
    return np.minimum(first, second)


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The angles (n,) between embeddings (n, D), as shares of a half turn."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = (first * second).sum(axis=1) / np.maximum(norms, 1e-12)
    return np.arccos(cosines.clip(-1, 1)) / np.pi
