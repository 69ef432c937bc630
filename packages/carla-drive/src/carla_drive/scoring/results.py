"""Many scored drives: kept in one file, summed up in tables."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from carla_drive.scoring.score import PENALTIES, Score
from vitrail.errors import UsageError
from vitrail.output import atomic_file
from vitrail.report import Table

RESAMPLES = 2000


class Results:
    """``results.json`` as it grows; written whole after every drive."""

    def __init__(self, path: Path, settings: dict[str, Any]):
        self.path, self.settings = path, settings
        self.rows: list[dict[str, Any]] = []
        self.failed: list[dict[str, str]] = []
        self.remarks: list[str] = []

    @classmethod
    def open(cls, path: Path, settings: dict[str, Any], *, resume: bool) -> "Results":
        """With ``resume`` the drives that lie in ``path`` are kept; an empty or cut file is begun
        anew, with a remark. Raises UsageError where they were made with other settings."""
        results = cls(path, settings)
        if not resume or not path.exists():
            return results
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            rows, before = list(stored["drives"]), dict(stored["settings"])
            if not all(
                {"route", "seed", "driving_score", "kilometres"} <= row.keys() for row in rows
            ):
                raise ValueError("a row lacks its score")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            results.remarks.append(f"{path} is empty or cut short; everything is driven again")
            return results
        other = sorted(
            key for key in settings.keys() | before.keys() if settings.get(key) != before.get(key)
        )
        if other:
            raise UsageError(
                path, f"was made with another {', '.join(other)}", "name another folder"
            )
        results.rows = rows
        return results

    def has(self, route: str, seed: int) -> bool:
        return any(row["route"] == route and row["seed"] == seed for row in self.rows)

    def add(
        self, route: str, seed: int, length: float, score: Score, remarks: Sequence[str]
    ) -> dict[str, Any]:
        row = {
            "route": route,
            "seed": seed,
            "route_m": round(length, 1),
            "remarks": list(remarks),
            **score.to_dict(),
        }
        self.rows.append(row)
        self._write()
        return {key: value for key, value in row.items() if key != "events"}

    def fail(self, route: str, reason: str) -> None:
        """A route that could not even begin."""
        self.failed.append({"route": route, "reason": reason})
        self._write()

    def _write(self) -> None:
        content = {"settings": self.settings, "drives": self.rows, "not_driven": self.failed}
        with atomic_file(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def summary(self) -> dict[str, Any]:
        """Means over drives, an interval over routes, and infractions per kilometre."""
        if not self.rows:
            return {}
        kilometres = sum(row["kilometres"] for row in self.rows)
        counts: Counter[str] = Counter()
        for row in self.rows:
            counts.update(row["infractions"])
        low, high = self._interval()
        return {
            "drives": len(self.rows),
            "driving_score": float(np.mean([row["driving_score"] for row in self.rows])),
            "low": low,
            "high": high,
            "route_completion": float(np.mean([row["route_completion"] for row in self.rows])),
            "infraction_penalty": float(np.mean([row["infraction_penalty"] for row in self.rows])),
            "kilometres": kilometres,
            **{kind: counts[kind] for kind in PENALTIES},
            **{f"{kind}_per_km": counts[kind] / max(kilometres, 1e-9) for kind in PENALTIES},
        }

    def _interval(self) -> tuple[float, float]:
        """95 % of the mean score, with routes drawn again and again."""
        by_route: dict[str, list[float]] = {}
        for row in self.rows:
            by_route.setdefault(row["route"], []).append(row["driving_score"])
        means = np.array([np.mean(scores) for _, scores in sorted(by_route.items())])
        rng = np.random.default_rng(0)
        drawn = means[rng.integers(len(means), size=(RESAMPLES, len(means)))].mean(axis=1)
        low, high = np.percentile(drawn, (2.5, 97.5))
        return float(low), float(high)

    def tables(self) -> list[Table]:
        summary = self.summary()
        if not summary:
            return [
                Table(
                    "No route was driven",
                    ("route", "reason"),
                    [(f["route"], f["reason"]) for f in self.failed],
                )
            ]
        head = Table(
            f"Policy {self.settings['policy']}",
            ("drives", "driving score", "95 % over routes", "completion", "penalty", "km"),
            [
                (
                    summary["drives"],
                    round(summary["driving_score"], 2),
                    f"{summary['low']:.1f} to {summary['high']:.1f}",
                    round(summary["route_completion"], 2),
                    round(summary["infraction_penalty"], 3),
                    round(summary["kilometres"], 3),
                )
            ],
        )
        kinds = Table(
            "Infractions",
            ("kind", "count", "per km"),
            [(kind, summary[kind], round(summary[f"{kind}_per_km"], 3)) for kind in PENALTIES],
        )
        drives = Table(
            "Drives",
            ("route", "seed", "score", "completion", "end", "infractions"),
            [
                (
                    row["route"],
                    row["seed"],
                    round(row["driving_score"], 1),
                    round(row["route_completion"], 1),
                    row["end"],
                    ", ".join(f"{n} {kind}" for kind, n in row["infractions"].items()) or "none",
                )
                for row in self.rows
            ],
        )
        lost = [(f["route"], f["reason"]) for f in self.failed]
        return [
            head,
            kinds,
            drives,
            *([Table("Not driven", ("route", "reason"), lost)] if lost else []),
        ]


def write_page(path: Path, tables: Sequence[Table], results: Results) -> None:
    """One HTML file."""
    from vitrail.report import Page

    page = Page("Driving scores")
    page.add(tables)
    settings = [(key, json.dumps(value)) for key, value in results.settings.items()]
    page.add([Table("Driven with", ("setting", "value"), settings)])
    page.write(path)
