"""The command as people call it, in the test's own process."""

import json
import os
import signal

import av
import pytest

from carla_drive.commands.setting import MADE_TOWN, open_map, open_routes
from carla_drive.roads.making import make_town
from carla_drive.roads.writing import write_map
from vitrail.preprocess.film import Film
from vitrail.testing.commands import call

from .samples import file, road


@pytest.fixture
def town(tmp_path):
    path = tmp_path / "made-2.xodr"
    path.write_text(write_map(make_town(2)))
    return path


@pytest.fixture
def short(tmp_path):
    """A map of one street, and a route of 60 m along it."""
    (tmp_path / "street.xodr").write_text(file(road(length=200)))
    points = "".join(f'<waypoint x="{x}" y="1.75" z="0" yaw="0"/>' for x in (20, 80))
    (tmp_path / "r.xml").write_text(
        f'<routes><route id="5" town="street">{points}</route></routes>'
    )
    return tmp_path


def carla(*arguments):
    return call("carla_drive", *arguments)


def test_map_prints_draws_and_routes(town, tmp_path):
    done = carla("map", town, "--json", "-o", tmp_path / "m", "--route", "0,0", "--route", "60,60")
    row = json.loads(done.stdout)
    assert (
        done.status == 0
        and row["driving_km"] > 1
        and row["dead_ends"] == []
        and row["route_m"] > 20
    )
    assert (tmp_path / "m" / "map.png").stat().st_size > 1000
    assert "<waypoint" in (tmp_path / "m" / "route.xml").read_text()


@pytest.mark.parametrize("place", ["1", "a,b", "1,nan", "1,2,3"])
def test_a_place_that_is_none(town, place):
    done = carla("map", town, "--route", place, "--route", "1,1")
    assert done.status == 2 and not done.stdout


@pytest.mark.parametrize("content", [b"", b"x", b"<OpenDRIVE/>", b"\x00" * 100, b"<a>" * 50000])
def test_what_is_no_map(tmp_path, content):
    path = tmp_path / "bad.xodr"
    path.write_bytes(content)
    done = carla("map", path)
    assert done.status == 1 and not done.stdout and len(done.stderr.strip().splitlines()) == 1


def test_run_films_a_drive_and_replay_scores_it_alike(short):
    out = short / "out"
    done = carla(
        "run",
        "--map",
        short / "street.xodr",
        "--route",
        short / "r.xml",
        "--traffic",
        2,
        "--walkers",
        0,
        "--weather",
        "night",
        "-o",
        out,
        "--json",
    )
    row = json.loads(done.stdout)
    assert done.status == 0 and row["end"] == "completed" and row["policy"] == "expert"
    with av.open(str(out / "drive.mp4")) as film:
        assert film.streams.video[0].height == 560
        frames = sum(1 for _ in film.decode(video=0))
    lines = (out / "trace.jsonl").read_text().splitlines()
    assert frames == (len(lines) + 1) // 2
    stored = json.loads((out / "result.json").read_text())
    again = carla(
        "replay",
        out / "trace.jsonl",
        "--map",
        short / "street.xodr",
        "--routes",
        short / "r.xml",
        "--score",
        "--json",
    )
    assert json.loads(again.stdout)["driving_score"] == stored["driving_score"]
    film = carla(
        "replay",
        out / "trace.jsonl",
        "--map",
        short / "street.xodr",
        "--routes",
        short / "r.xml",
        "-o",
        short / "again.mp4",
    )
    assert film.status == 0 and (short / "again.mp4").stat().st_size > 1000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_drive_and_keeps_the_film(short, monkeypatch, request, number):
    # A shell that runs the tests in the background lets its children ignore ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    before_run, kept, added = signal.getsignal(number), Film.add, []

    def add(film: Film, *picture) -> None:
        kept(film, *picture)
        added.append(picture)
        if len(added) == 8:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Film, "add", add)
    route = ("--map", short / "street.xodr", "--route", short / "r.xml")
    done = carla("run", *route, "--traffic", 0, "-o", short / "out")
    assert done.status == 130 and "stopped by hand" in done.stdout
    with av.open(str(short / "out" / "drive.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 8
    lines = (short / "out" / "trace.jsonl").read_text().splitlines()
    assert 15 <= len(lines) <= 16 and all(map(json.loads, lines))
    assert signal.getsignal(number) is before_run


def test_evaluate_writes_results_and_resumes(short):
    out = short / "out"
    arguments = (
        "evaluate",
        "--map",
        short / "street.xodr",
        "--routes",
        short / "r.xml",
        "--policy",
        "blind",
        "--seeds",
        "1,2",
        "--traffic",
        3,
        "-o",
        out,
        "--json",
        "--resume",
    )
    first = carla(*arguments)
    assert first.status == 0, first.stderr
    content = json.loads((out / "results.json").read_text())
    assert [(row["route"], row["seed"]) for row in content["drives"]] == [("5", 1), ("5", 2)]
    assert (out / "5-1" / "trace.jsonl").is_file() and "Driving scores" in (
        out / "results.html"
    ).read_text()
    again = carla(*arguments)
    assert again.status == 0 and "driving_score" not in again.stdout.splitlines()[0]
    other = carla(*arguments, "--weather", "rain")
    assert other.status == 2 and "weather" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--traffic", "501"), "0..500"),
        (("--weather", "sunny"), "weather"),
        (("--world", "moon"), "embedded"),
        (("--world", "carla://x"), "HOST:PORT"),
        (("--policy", "human"), "expert"),
        (("--route-id", "9"), "no route"),
        (("--mode", "fast"), "both_must"),
        (("--weights", "small"), "say --policy model"),
    ],
)
def test_calls_that_cannot_be_carried_out(short, arguments, says):
    done = carla(
        "run",
        "--map",
        short / "street.xodr",
        "--route",
        short / "r.xml",
        "-o",
        short / "o",
        *arguments,
    )
    assert done.status == 2 and says in done.stderr and not (short / "o").exists()


def test_routes_of_another_town_are_refused(short, town):
    done = carla("run", "--map", town, "--route", short / "r.xml", "-o", short / "o")
    assert done.status == 1 and "street" in done.stderr


def test_the_model_without_weights_says_what_to_do(short):
    done = carla(
        "run",
        "--map",
        short / "street.xodr",
        "--route",
        short / "r.xml",
        "--policy",
        "model",
        "--weights",
        short / "none.safetensors",
        "-o",
        short / "o",
    )
    assert done.status == 3 and "none.safetensors" in done.stderr


def test_what_comes_along_has_a_route():
    ground = open_map(None)
    assert ground.town == f"made-{MADE_TOWN}" and len(open_routes(None, ground)) == 1


def test_a_town_without_actors_and_one_full_of_them(short):
    for count in (0, 500):
        done = carla(
            "evaluate",
            "--map",
            short / "street.xodr",
            "--routes",
            short / "r.xml",
            "--policy",
            "lane",
            "--seeds",
            "1",
            "--traffic",
            count,
            "-o",
            short / f"o{count}",
            "--json",
        )
        assert done.status == 0, done.stderr
