"""Scores and pairs of the user's own, and what they say: curves of error against discard, and the
lowest score that keeps errors rare."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from face_quality.edc import Curve, distances, fixed_threshold, pair_quality, require_resolved
from vitrail.errors import InputError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.output import atomic_file
from vitrail.sources import require_file

SHARES = np.arange(0, 0.96, 0.05)


@dataclass(frozen=True)
class Pairs:
    """(n,) each: the similarity by a matcher, whether both pictures show one person, the quality of
    the worse one, and the person of the first, empty where nobody said it."""

    similarity: np.ndarray
    same: np.ndarray
    quality: np.ndarray
    people: np.ndarray

    def curve(self, fmr: float, threshold: str) -> Curve:
        """UsageError where the impostors cannot show such a rate."""
        require_resolved(fmr, int((~self.same).sum()))
        return Curve.of(self.similarity, self.same, self.quality, fmr, SHARES, threshold=threshold)

    def area_interval(self, fmr: float, threshold: str) -> tuple[float, float]:
        """The 95 % interval of the curve's area ratio, by person where people are named."""

        def ratio(similarity: np.ndarray, same: np.ndarray, quality: np.ndarray) -> float:
            if same.all() or not same.any():
                return np.nan
            curve = Curve.of(similarity, same, quality, fmr, SHARES, threshold=threshold)
            return curve.area_ratio

        groups = self.people if self.people.all() else None
        columns = (self.similarity, self.same, self.quality)
        return bootstrap_interval(ratio, *columns, groups=groups)

    def lowest_quality(self, fmr: float, max_fnmr: float) -> float | None:
        """The lowest quality from which on genuine pairs are missed in at most ``max_fnmr``, at the
        threshold that all impostors give for ``fmr``; None where no quality does it."""
        require_resolved(fmr, int((~self.same).sum()))
        threshold = fixed_threshold(self.similarity[~self.same], fmr)
        order = np.argsort(self.quality[self.same], kind="stable")
        quality = self.quality[self.same][order]
        missed = (self.similarity[self.same] < threshold)[order]
        left = np.arange(len(missed), 0, -1)
        rates = missed[::-1].cumsum()[::-1] / left
        # A handful of pairs that all match says nothing: a rate needs as many as can show it.
        fits = np.flatnonzero((rates <= max_fnmr) & (left >= 1 / max_fnmr))
        return float(quality[fits[0]]) if len(fits) else None


def read_scores(path: Path) -> dict[str, float]:
    """The CSV that ``score --csv`` writes, or one with the columns ``path`` and ``score``: a number
    by each picture's name. Pictures without a number are left out."""
    rows = _rows(path)
    name = next((key for key in ("source", "path", "Filename") if key in rows[0]), None)
    value = next((key for key in ("score", "raw", "UnifiedQualityScore") if key in rows[0]), None)
    if name is None or value is None:
        raise InputError(path, "lacks the columns source and score", "give what score --csv wrote")
    return {row[name]: number for row in rows if (number := _number(path, row[value])) is not None}


def read_pairs(
    path: Path, scores: Mapping[str, float], vectors: Mapping[str, np.ndarray] | None = None
) -> tuple[Pairs, int]:
    """Pairs of a CSV with ``path_a``, ``path_b``, ``same`` and, where there are no ``vectors``,
    ``similarity``; and how many were left out since a picture of theirs has no score.

    Pictures are known by their names' last two parts, so that both files may begin elsewhere.
    """
    rows = _rows(path)
    if missing := {"path_a", "path_b", "same"} - rows[0].keys():
        raise InputError(path, f"lacks the columns {', '.join(sorted(missing))}", "see the README")
    if vectors is None and "similarity" not in rows[0]:
        raise InputError(path, "lacks the column similarity", "add it, or give --embeddings")
    by_end = _by_ends(scores)
    kept, left_out = [], 0
    for row in rows:
        names = [by_end.get(_end(row[key])) for key in ("path_a", "path_b")]
        known = all(names) and (vectors is None or all(name in vectors for name in names))
        if known:
            kept.append((row, *names))
        else:
            left_out += 1
    if not kept:
        raise InputError(
            path, "none of its pictures has a score", "compare the names in both files"
        )
    first, second = ([item[at] for item in kept] for at in (1, 2))
    quality = pair_quality(*(np.array([scores[name] for name in side]) for side in (first, second)))
    if vectors is None:
        similarity = np.array([_required(path, row["similarity"]) for row, *_ in kept])
    else:
        sides = (np.stack([vectors[name] for name in side]) for side in (first, second))
        similarity = -distances(*sides)
    same = np.array([row["same"].strip() in ("1", "true", "True") for row, *_ in kept])
    if same.all() or not same.any():
        raise InputError(path, "holds pairs of one kind only", "give genuine and impostor pairs")
    people = np.array([row.get("person_a") or Path(row["path_a"]).parent.name for row, *_ in kept])
    return Pairs(similarity, same, quality, people), left_out


def read_embeddings(path: Path) -> dict[str, np.ndarray]:
    """By each picture's name, that of its main face."""
    import json

    found = {}
    try:
        for line in require_file(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row.get("main") is not None:
                found[row["source"]] = np.array(row["faces"][row["main"]]["embedding"], float)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise InputError(path, "holds no embeddings", "give what score --embed printed") from error
    return found


def write_curves(path: Path, curves: Mapping[str, Curve]) -> None:
    """One line for each rule and discarded share, with the pairs left."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["curve", "discarded", "fnmr", "genuine_pairs", "impostor_pairs", "threshold"])
    for name, curve in curves.items():
        columns = (curve.shares, curve.fnmr, curve.genuine, curve.impostors)
        for share, fnmr, genuine, impostors in zip(*columns, strict=True):
            rate = "" if np.isnan(fnmr) else f"{fnmr:.6f}"
            writer.writerow(
                [name, f"{share:.2f}", rate, genuine, impostors, f"{curve.threshold:.6f}"]
            )
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue())


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = require_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(path, "is no table in UTF-8", "export it as CSV") from error
    delimiter = (
        ";" if text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",") else ","
    )
    try:
        rows = list(csv.DictReader(io.StringIO(text), delimiter=delimiter, restval=""))
    except csv.Error as error:
        raise InputError(path, f"is no table ({error})", "export it as CSV") from error
    if not rows:
        raise InputError(path, "holds no rows", "give a table with a line for each picture or pair")
    return rows


def _number(path: Path, text: str) -> float | None:
    if not text.strip():
        return None
    return _required(path, text)


def _required(path: Path, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise InputError(path, f"holds {text!r} where a number is wanted", "mend that cell")
    return value


def _by_ends(names: Sequence[str] | Mapping[str, float]) -> dict[str, str]:
    """Names by their last two parts, as far as these tell them apart."""
    found: dict[str, str] = {}
    twice = set()
    for name in names:
        end = _end(name)
        twice |= {end} & found.keys()
        found[end] = name
    return {end: name for end, name in found.items() if end not in twice}


def _end(name: str) -> str:
    return "/".join(Path(name).parts[-2:])
