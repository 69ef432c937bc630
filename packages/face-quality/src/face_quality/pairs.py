"""Scores and pairs of the user's own, and what they say: curves of error against discard, and the
lowest score that keeps errors rare."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from face_quality.edc import (
    Curve,
    distances,
    fixed_threshold,
    needed_impostors,
    pair_quality,
    require_resolved,
)
from face_quality.result import NOT_ASSESSED
from vitrail.errors import InputError
from vitrail.metrics.bootstrap import bootstrap_interval
from vitrail.output import atomic_file
from vitrail.sources import require_file

SHARES = np.arange(0, 0.96, 0.05)
WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True)
class Pairs:
    """(n,) each: the similarity by a matcher, whether both pictures show one person, the quality of
    the worse one, and the person of the first; None where it is not known who they are.
    ``left_out`` counts pairs without a score for both pictures."""

    similarity: np.ndarray
    same: np.ndarray
    quality: np.ndarray
    people: np.ndarray | None
    left_out: int = 0

    def curve(self, fmr: float, threshold: str) -> Curve:
        """UsageError where the impostors cannot show such a rate; NaN where those that are left
        cannot, of which a threshold is found anew."""
        require_resolved(fmr, int((~self.same).sum()))
        columns = (self.similarity, self.same, self.quality)
        curve = Curve.of(*columns, fmr, SHARES, threshold=threshold)
        if threshold == "fixed":
            return curve
        is_shown = curve.impostors >= needed_impostors(fmr)
        return replace(curve, fnmr=np.where(is_shown, curve.fnmr, np.nan))

    def area_interval(self, fmr: float, threshold: str) -> tuple[float, float]:
        """The 95 % interval of the curve's area ratio, by person where it is known who they are,
        else by pair."""

        def ratio(similarity: np.ndarray, same: np.ndarray, quality: np.ndarray) -> float:
            if same.all() or not same.any():
                return np.nan
            curve = Curve.of(similarity, same, quality, fmr, SHARES, threshold=threshold)
            return curve.area_ratio

        columns = (self.similarity, self.same, self.quality)
        return bootstrap_interval(ratio, *columns, groups=self.people)

    def lowest_quality(self, fmr: float, max_fnmr: float) -> "Limit | None":
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
        if not len(fits):
            return None
        first = int(fits[0])
        return Limit(float(quality[first]), float(rates[first]), int(left[first]))


@dataclass(frozen=True)
class Limit:
    """A quality, the share of genuine pairs from it on that are missed, and how many these are."""

    quality: float
    fnmr: float
    genuine: int


def read_scores(path: Path) -> dict[str, float]:
    """The CSV that ``score --csv`` writes (ours or OFIQ's columns), or one with the columns
    ``path`` and ``score``: a number by each picture's name. Pictures without a number, or not
    assessed, are left out. Where no score is known the raw numbers count."""
    rows = _rows(path)
    name = next((key for key in ("source", "path", "Filename") if key in rows[0]), None)
    values = [key for key in ("score", "raw", "UnifiedQualityScore") if key in rows[0]]
    if name is None or not values:
        raise InputError(path, "lacks the columns source and score", "give what score --csv wrote")
    value = next((key for key in values if any(row[key].strip() for row in rows)), values[0])
    found: dict[str, float] = {}
    for line, row in enumerate(rows, 2):
        is_assessed = row.get(f"{value}.scalar", "").strip() != str(NOT_ASSESSED)
        if not (row[value].strip() and is_assessed):
            continue
        number = _required(path, line, row[value])
        if found.setdefault(row[name], number) != number:
            raise InputError(path, f"line {line}: {row[name]} has two scores", "leave one out")
    return found


def read_pairs(
    path: Path, scores: Mapping[str, float], vectors: Mapping[str, np.ndarray] | None = None
) -> Pairs:
    """Pairs of a CSV with ``path_a``, ``path_b``, ``same`` and, where there are no ``vectors``,
    ``similarity``.

    Pictures are known by their names, or by these' last two parts, so that both files may begin
    elsewhere; InputError where these fit several.
    """
    rows = _rows(path)
    if missing := {"path_a", "path_b", "same"} - rows[0].keys():
        raise InputError(path, f"lacks the columns {', '.join(sorted(missing))}", "see the README")
    if vectors is None and "similarity" not in rows[0]:
        raise InputError(path, "lacks the column similarity", "add it, or give --embeddings")
    by_end = _by_ends(scores)
    kept, left_out = [], 0
    for line, row in enumerate(rows, 2):
        names = [_find(path, line, row[key], scores, by_end) for key in ("path_a", "path_b")]
        known = all(names) and (vectors is None or all(name in vectors for name in names))
        if known:
            kept.append(({**row, "line": line, "same": _is_same(path, line, row["same"])}, *names))
        else:
            left_out += 1
    if not kept:
        raise InputError(
            path, "none of its pictures has a score", "compare the names in both files"
        )
    first, second = ([item[at] for item in kept] for at in (1, 2))
    quality = pair_quality(*(np.array([scores[name] for name in side]) for side in (first, second)))
    if vectors is None:
        similarity = np.array([_required(path, row["line"], row["similarity"]) for row, *_ in kept])
    else:
        sides = (np.stack([vectors[name] for name in side]) for side in (first, second))
        similarity = -distances(*sides)
    same = np.array([row["same"] for row, *_ in kept])
    if same.all() or not same.any():
        raise InputError(path, "holds pairs of one kind only", "give genuine and impostor pairs")
    return Pairs(similarity, same, quality, _people([row for row, *_ in kept]), left_out)


def _people(rows: Sequence[Mapping[str, Any]]) -> np.ndarray | None:
    """The person of each pair's first picture: by the columns ``person_a`` and ``person_b``, or the
    pictures' folders; None where these do not agree with which pairs are of one person."""
    for first, second in (("person_a", "person_b"), ("path_a", "path_b")):
        if first not in rows[0] or second not in rows[0]:
            continue
        sides = [
            [row[key] if key.startswith("person") else Path(row[key]).parent.name for row in rows]
            for key in (first, second)
        ]
        told = zip(*sides, rows, strict=True)
        if all(one and (one == other) == row["same"] for one, other, row in told):
            return np.array(sides[0])
    return None


def has_similarities(path: Path) -> bool:
    """Whether a file of pairs brings similarities of its own."""
    return "similarity" in _rows(path)[0]


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
    shapes = {vector.shape for vector in found.values()}
    if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        raise InputError(path, "holds embeddings of several sizes", "give those of one call")
    for name, vector in found.items():
        if not np.isfinite(vector).all():
            raise InputError(path, f"the embedding of {name} holds no numbers", "score it again")
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


def _required(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        problem = f"line {line}: holds {text!r} where a number is wanted"
        raise InputError(path, problem, "mend that cell")
    return value


def _is_same(path: Path, line: int, text: str) -> bool:
    word = text.strip().lower()
    if word not in WORDS:
        raise InputError(path, f"line {line}: same is {text!r}", "write 1 or 0")
    return WORDS[word]


def _find(
    path: Path,
    line: int,
    name: str,
    scores: Mapping[str, float],
    by_end: Mapping[str, Sequence[str]],
) -> str | None:
    """The name that a picture has among the scores; None where it has none."""
    if name in scores:
        return name
    fitting = by_end.get(_end(name), ())
    if len(fitting) > 1:
        problem = f"line {line}: {name} may be any of {len(fitting)} scored pictures"
        raise InputError(path, problem, "write the names as the scores have them")
    return fitting[0] if fitting else None


def _by_ends(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their last two parts."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_end(name), []).append(name)
    return found


def _end(name: str) -> str:
    return "/".join(Path(name).parts[-2:])
