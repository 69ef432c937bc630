"""Leaderboard routes through the lanes."""

import numpy as np
import pytest

from carla_drive.commands.setting import made_routes
from carla_drive.roads.graph import build_graph
from carla_drive.roads.reading import parse_map, read_map
from carla_drive.roads.routes import RouteFile, plan_route, read_routes, write_route
from vitrail.errors import InputError
from vitrail.testing.beside import DATA, needs

from .samples import file, road

DRIVING = DATA / "driving"


def asked(*points: tuple[float, float]) -> RouteFile:
    return RouteFile("7", "t", np.array([(*point, np.nan) for point in points]))


def test_a_route_follows_lanes_a_point_per_metre(ground, route):
    steps = np.diff(route.s)
    assert steps.max() < 2.5 and route.length > 60
    for point, lane in zip(route.xyz[::9], route.lane[::9], strict=True):
        line = ground.graph.lanes[int(lane)].points
        assert np.linalg.norm(line - point, axis=1).min() < 0.05
    assert route.targets[-1] == len(route.s) - 1


def test_no_way_is_said_with_both_roads():
    graph = build_graph(parse_map(file(road("1"), road("2", y=50)), "two"))
    with pytest.raises(InputError, match="from road 1 to road 2"):
        plan_route(graph, asked((10, 2), (50, -52)))


def test_a_point_far_off_belongs_to_another_map():
    graph = build_graph(parse_map(file(road("1")), "one"))
    with pytest.raises(InputError, match="off the road"):
        plan_route(graph, asked((10, 2), (50, 900)))
    moved = plan_route(graph, asked((10, 2), (50, 22)))
    assert "moved onto road 1" in moved.remarks[0]


def test_written_routes_are_read_again(tmp_path):
    write_route(tmp_path / "r.xml", [(1.0, 2.0, 90.0), (3.0, 4.0, 0.0)], "Town09")
    (found,) = read_routes(tmp_path / "r.xml")
    assert found.town == "Town09" and np.allclose(found.points, [(1, 2, 90), (3, 4, 0)])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<routes/>", "holds no <route>"),
        ('<routes><route id="3" town="t"><waypoint x="1" y="no"/></route></routes>', "route 3"),
        ('<routes><route id="3"><waypoint x="1" y="2"/></route></routes>', "two usable points"),
        (
            '<routes><route id="3"><waypoint x="1" y="nan"/><waypoint x="1" y="2"/></route>'
            "</routes>",
            "route 3",
        ),
        ("<!DOCTYPE routes><routes/>", "document type"),
    ],
)
def test_what_is_no_route_file_is_refused(tmp_path, text, says):
    (tmp_path / "r.xml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_routes(tmp_path / "r.xml")


def test_made_routes_are_the_same_for_the_same_seed(ground):
    first, second = (made_routes(ground, 2, seed=1, least=60.0) for _ in range(2))
    assert all(np.array_equal(a.points, b.points) for a, b in zip(first, second, strict=True))


@needs(DRIVING)
@pytest.mark.parametrize(
    ("town", "name", "count"),
    [("Town01", "town01", 23), ("Town02", "town02", 15), ("Town10HD", "town10", 9)],
)
def test_the_leaderboards_own_routes(town, name, count):
    graph = build_graph(read_map(DRIVING / "opendrive" / f"{town}.xodr"))
    routes = read_routes(DRIVING / "routes" / f"routes_{name}_short.xml")
    assert len([plan_route(graph, route) for route in routes]) == count
