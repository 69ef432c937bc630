"""Leaderboard scores from rows that the tests write themselves."""

import json
import math

import numpy as np
import pytest

from carla_drive.roads.rules import Rules
from carla_drive.scoring.results import Results
from carla_drive.scoring.score import PENALTIES, Scorer, score_rows
from carla_drive.scoring.trace import read_trace
from vitrail.errors import InputError, UsageError

NO_RULES = Rules([], [], {}, {})


def rows(route, share: float = 1.0, speed: float = 8.0, actors=(), light=None):
    """The route's own line, driven at constant speed."""
    found = []
    for number in range(int(route.length * share / (speed * 0.05)) + 2):
        s = min(number * speed * 0.05, route.length * share)
        x, y = (float(np.interp(s, route.s, route.xyz[:, k])) for k in range(2))
        yaw = math.degrees(float(np.interp(s, route.s, route.yaw)))
        found.append(
            {
                "t": round(number * 0.05, 3),
                "ego": [x, y, yaw, speed],
                "control": [0, 0.5, 0],
                "actors": list(actors),
                "light": light(s) if light else None,
            }
        )
    return found


def score(ground, route, drive, end=""):
    return score_rows(ground.graph, NO_RULES, route, drive, end)


def test_a_clean_drive_has_100(ground, route):
    result = score(ground, route, rows(route))
    assert result.driving == pytest.approx(100, abs=1.0) and result.end == "completed"
    assert not result.events and result.outside < 0.01


def test_half_of_it_counts_half(ground, route):
    result = score(ground, route, rows(route, 0.5), "simulator lost")
    assert result.completion == pytest.approx(50, abs=2) and result.end == "simulator lost"


@pytest.mark.parametrize("kind", ["pedestrian", "vehicle", "static"])
def test_one_collision_of_many_frames_counts_once(ground, route, kind):
    x, y = route.xyz[30, :2].tolist()
    result = score(ground, route, rows(route, actors=[[9, kind, x, y, 0.0, 1.0, 1.0]]))
    assert dict(result.counts) == {f"collision_{kind}": 1}
    assert result.penalty == pytest.approx(PENALTIES[f"collision_{kind}"], rel=0.02)


def line_at(where: float, state):
    def light(s: float):
        left = where - s - 2.25
        return {"state": state(s), "distance": round(left, 2)} if 0 <= left < 50 else None

    return light


def test_crossing_a_red_light_counts_and_a_green_one_does_not(ground, route):
    red = score(ground, route, rows(route, light=line_at(40, lambda s: "red")))
    assert dict(red.counts) == {"red_light": 1}
    green = score(ground, route, rows(route, light=line_at(40, lambda s: "green")))
    assert not green.events


@pytest.mark.parametrize("line", [40.0, 40.3, 40.6, 40.9])
@pytest.mark.parametrize("speed", [2.0, 8.0])
def test_a_red_light_counts_wherever_its_line_lies(ground, route, line, speed):
    """Distances as the world gives them, from the point of the route that is nearest."""

    def light(s: float):
        away = line - round(s) - 2.25
        return {"state": "red", "distance": away} if away >= 0 else None

    assert dict(score(ground, route, rows(route, speed=speed, light=light)).counts) == {
        "red_light": 1
    }


def test_a_light_that_turns_red_behind_the_car_does_not_count(ground, route):
    turned = score(
        ground, route, rows(route, light=line_at(40, lambda s: "red" if s > 37.9 else "yellow"))
    )
    assert not turned.events


def test_stopping_in_front_of_a_red_light_is_right(ground, route):
    held = rows(route, 0.3, light=line_at(route.length * 0.3 + 4, lambda s: "red"))
    assert not score(ground, route, held).events


def test_driving_beside_the_lanes_costs_its_share(ground, route):
    drive = rows(route)
    for row in drive[: len(drive) // 2]:
        yaw = math.radians(row["ego"][2])
        row["ego"][0] -= 5.5 * math.sin(yaw)
        row["ego"][1] += 5.5 * math.cos(yaw)
    result = score(ground, route, drive)
    assert 0.3 < result.outside < 0.6 and result.penalty == pytest.approx(1 - result.outside)


def test_off_route_blocked_and_time_out_end_a_route(ground, route):
    away = rows(route, 0.2)
    away.append({**away[-1], "t": away[-1]["t"] + 1, "ego": [1e4, 1e4, 0, 5]})
    assert score(ground, route, away).end == "off route"
    still = [
        {**row, "t": number * 10.0, "ego": [*rows(route, 0.1)[0]["ego"][:3], 0.0]}
        for number, row in enumerate(rows(route, 0.3)[:25])
    ]
    assert score(ground, route, still).end in ("blocked", "time-out")
    late = rows(route, 0.2)
    late[-1]["t"] = 1e5
    assert score(ground, route, late).end == "time-out"


def test_feeding_after_the_end_changes_nothing(ground, route):
    scorer = Scorer(ground.graph, NO_RULES, route)
    for row in [*rows(route), {**rows(route)[-1], "t": 1e6, "ego": [1e4, 1e4, 0, 5]}]:
        scorer.feed(row)
    assert scorer.end == "completed"


GOOD = {"t": 9.0, "ego": [0, 0, 0, 0], "control": [0, 0, 0], "actors": [], "light": None}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"t": 0}',
        json.dumps({**GOOD, "t": math.nan}),
        json.dumps({**GOOD, "t": -1}),
        json.dumps({**GOOD, "ego": [0, 0, 0]}),
        json.dumps({**GOOD, "control": [0, 0, "full"]}),
        json.dumps({**GOOD, "actors": [[1, "dog", 0, 0, 0, 1, 1]]}),
        json.dumps({**GOOD, "light": {"state": "blue", "distance": 1}}),
    ],
)
def test_a_trace_that_is_none_names_its_line(tmp_path, route, line):
    good = json.dumps(rows(route, 0.05)[0])
    (tmp_path / "trace.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        read_trace(tmp_path / "trace.jsonl")


def test_a_trace_reads_as_it_was_written(tmp_path, route):
    drive = rows(route, 0.2)
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in drive))
    assert read_trace(tmp_path / "trace.jsonl") == drive


def test_results_resume_only_with_the_same_settings(tmp_path, ground, route):
    path = tmp_path / "results.json"
    first = Results.open(path, {"policy": "lane", "map": "a"}, resume=False)
    first.add("0", 1, route.length, score(ground, route, rows(route)), ())
    again = Results.open(path, {"policy": "lane", "map": "a"}, resume=True)
    assert again.has("0", 1) and not again.has("0", 2)
    with pytest.raises(UsageError, match="another map"):
        Results.open(path, {"policy": "lane", "map": "b"}, resume=True)
    for text in ("", '{"drives": [', '{"drives": [{}], "settings": {}}', "[]"):
        path.write_text(text)
        fresh = Results.open(path, {"policy": "lane", "map": "a"}, resume=True)
        assert not fresh.rows and "again" in fresh.remarks[0]


def test_the_table_counts_per_kilometre(tmp_path, ground, route):
    results = Results.open(tmp_path / "results.json", {"policy": "lane"}, resume=False)
    x, y = route.xyz[30, :2].tolist()
    for seed in (1, 2):
        hit = rows(route, actors=[[9, "vehicle", x, y, 0.0, 1.0, 1.0]])
        results.add("0", seed, route.length, score(ground, route, hit), ())
    summary = results.summary()
    assert summary["collision_vehicle"] == 2
    assert summary["collision_vehicle_per_km"] == pytest.approx(1000 / route.length, rel=0.05)
    assert len(results.tables()) == 3
