"""A drive as rows of JSON, from which it can be scored and drawn again."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from carla_drive.world.interface import Control, Observation
from vitrail.errors import InputError
from vitrail.sources import require_file

KINDS = ("vehicle", "pedestrian", "static")
MAX_ROWS = 200_000


def to_row(seen: Observation, control: Control) -> dict[str, Any]:
    """One step: what was there, and what was done about it. Angles are degrees here."""
    x, y, _, yaw = seen.pose
    return {
        "t": round(seen.time, 3),
        "ego": [round(x, 3), round(y, 3), round(math.degrees(yaw), 2), round(seen.speed, 3)],
        "control": [round(value, 4) for value in (control.steer, control.throttle, control.brake)],
        "actors": [
            [
                one.id,
                one.kind,
                round(one.x, 2),
                round(one.y, 2),
                round(math.degrees(one.yaw), 1),
                round(one.length, 2),
                round(one.width, 2),
            ]
            for one in seen.actors
        ],
        "light": None
        if seen.light is None
        else {"state": seen.light.state, "distance": round(seen.light.distance, 2)},
    }


def read_trace(path: Path | str) -> list[dict[str, Any]]:
    """Raises InputError, with the number of the line, for what is no row of a drive."""
    path, rows = require_file(Path(path)), []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if number > MAX_ROWS:
                raise InputError(path, f"has more than {MAX_ROWS} rows", "cut it")
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                _check(row, rows[-1] if rows else None)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                problem = f"line {number} is not a step of a drive ({error})"
                raise InputError(path, problem, "give a trace.jsonl that a drive wrote") from error
            rows.append(row)
    if not rows:
        raise InputError(path, "is empty", "give a trace.jsonl that a drive wrote")
    return rows


def _check(row: Any, before: Mapping[str, Any] | None) -> None:
    if not isinstance(row, dict):
        raise TypeError("it is not an object")
    _numbers([row["t"]], 1, "t")
    _numbers(row["ego"], 4, "ego")
    _numbers(row["control"], 3, "control")
    if before is not None and not row["t"] > before["t"]:
        raise ValueError("the time does not go on")
    for actor in row["actors"]:
        if len(actor) != 7 or actor[1] not in KINDS:
            raise ValueError("an actor is not [id, kind, x, y, yaw, length, width]")
        _numbers([actor[0], *actor[2:]], 6, "actor")
    light = row["light"]
    if light is not None:
        if light["state"] not in ("red", "yellow", "green"):
            raise ValueError(f"a light is {light['state']!r}")
        _numbers([light["distance"]], 1, "distance")


def _numbers(values: Sequence[Any], count: int, name: str) -> None:
    if len(values) != count or not all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    ):
        raise ValueError(f"{name} is not {count} finite numbers")
