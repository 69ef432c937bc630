"""OpenDRIVE, read: curves, lanes, links, signals; what is wrong with a map is said."""

import math

import numpy as np
import pytest

from carla_drive.roads.curves import Geometry, reference_line
from carla_drive.roads.graph import build_graph
from carla_drive.roads.making import make_town
from carla_drive.roads.reading import parse_map, read_map
from carla_drive.roads.rules import build_rules
from carla_drive.roads.writing import write_map
from vitrail.errors import InputError
from vitrail.testing.beside import DATA, needs

from .samples import file, lane, road

TOWNS = DATA / "driving" / "opendrive"


def test_a_line_is_straight_and_an_arc_is_a_circle():
    line = Geometry(0, 1, 2, math.pi / 2, 10, "line").at(np.array([0.0, 10.0]))
    assert np.allclose(line[:, :2], [(1, 2), (1, 12)])
    arc = Geometry(0, 0, 0, 0, 5 * math.pi, "arc", (0.1,)).at(np.array([5 * math.pi]))
    assert np.allclose(arc[0], (10, 10, math.pi / 2))


def test_a_spiral_is_the_integral_of_its_heading():
    piece = Geometry(0, 0, 0, 0.3, 40, "spiral", (0.0, 0.05))
    s = np.linspace(0, 40, 40001)
    heading = 0.3 + 0.5 * (0.05 / 40) * s**2
    wanted = (np.trapezoid(np.cos(heading), s), np.trapezoid(np.sin(heading), s))
    assert np.allclose(piece.at(np.array([40.0]))[0, :2], wanted, atol=1e-6)


def test_poly3_is_asked_by_its_length():
    piece = Geometry(0, 0, 0, 0, 30, "poly3", (0, 0, 0.01, 0))
    x, y, _ = piece.at(np.array([20.0]))[0]
    assert y == pytest.approx(0.01 * x * x, abs=1e-6)
    u = np.linspace(0, x, 10001)
    assert np.trapezoid(np.hypot(1, 0.02 * u), u) == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize("normalised", [True, False])
def test_param_poly3_takes_both_ranges(normalised):
    scale = 20.0 if normalised else 1.0
    piece = Geometry(0, 0, 0, 0, 20, "paramPoly3", (0, scale, 0, 0, 0, 0, 0, 0), normalised)
    assert np.allclose(piece.at(np.array([15.0]))[0], (15, 0, 0))


def test_pieces_follow_each_other():
    pieces = [Geometry(0, 0, 0, 0, 10, "line"), Geometry(10, 10, 0, 0, 10, "arc", (0.1,))]
    line = reference_line(pieces, np.array([9.0, 10.0, 20.0]))
    assert np.allclose(line[:2, :2], [(9, 0), (10, 0)])
    assert line[2, 2] == pytest.approx(1.0)


def test_lanes_lie_beside_the_line_and_run_with_their_traffic():
    graph = build_graph(parse_map(file(road()), "one"))
    right, left = (next(lane for lane in graph.lanes if lane.key[2] == id) for id in (-1, 1))
    assert np.allclose(right.points[0, :2], (0, 1.75))  # CARLA's y grows to the right
    assert np.allclose(right.points[-1, :2], (100, 1.75))
    assert np.allclose(left.points[0, :2], (100, -1.75))
    assert graph.length == pytest.approx(200)


def test_left_hand_traffic_runs_the_other_way():
    graph = build_graph(parse_map(file(road(attributes='rule="LHT"')), "left"))
    right = next(lane for lane in graph.lanes if lane.key[2] == -1)
    assert right.points[0, 0] == pytest.approx(100)


def test_word_ids_missing_profiles_and_other_lanes():
    lanes = (
        f'<laneSection s="0"><center>{lane(0, "none")}</center><right>{lane(-1)}'
        f"{lane(-2, 'parking', 2.5)}{lane(-3)}{lane(-4, 'shoulder', 0.0)}</right></laneSection>"
    )
    graph = build_graph(parse_map(file(road(id="High Street", lanes=lanes)), "words"))
    outer = next(lane for lane in graph.lanes if lane.key == ("High Street", 0, -3))
    assert outer.points[0, 1] == pytest.approx(3.5 + 2.5 + 1.75)
    assert len(graph.lanes) == 2
    assert outer.left is None  # parked cars are between


def test_a_link_that_only_the_junction_knows():
    first = road("1", 50, link='<successor elementType="junction" elementId="9"/>')
    way = road("2", 20, junction="9", x=50)
    ours = build_graph(parse_map(file(first, way, _junction("1", "2")), "junction"))
    come = next(lane for lane in ours.lanes if lane.key == ("1", 0, -1))
    assert [ours.lanes[n].key[0] for n in come.successors] == ["2"]


def _junction(incoming: str, connecting: str) -> str:
    return (
        f'<junction id="9" name=""><connection id="0" incomingRoad="{incoming}" '
        f'connectingRoad="{connecting}" contactPoint="start"><laneLink from="-1" to="-1"/>'
        "</connection></junction>"
    )


def test_missing_lane_links_are_guessed_and_said():
    first = road("1", 50, link='<successor elementType="road" elementId="2" contactPoint="start"/>')
    graph = build_graph(parse_map(file(first, road("2", 50, x=50)), "gap"))
    come = next(lane for lane in graph.lanes if lane.key == ("1", 0, -1))
    assert come.successors
    assert any("guessed" in problem for problem in graph.problems)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not XML"),
        ("<x/>", "not <OpenDRIVE>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><OpenDRIVE/>', "document type"),
        (file(), "has no road"),
        (file(road(length=-5)), "is damaged"),
        (file(road(geometry="<curve/>")), "no known kind"),
        (file(road(), road()), "two roads"),
        (file(road(geometry='<arc curvature="nan"/>')), "curvature"),
        (file(road())[:-200], "is not XML"),
    ],
)
def test_what_is_no_map_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        parse_map(text, "bad")


def test_a_map_without_driving_lanes_is_refused():
    lanes = f'<laneSection s="0"><center>{lane(0, "none")}</center></laneSection>'
    with pytest.raises(InputError, match="no driving lane"):
        build_graph(parse_map(file(road(lanes=lanes)), "empty"))


def test_a_junction_without_connections_is_named():
    graph = build_graph(parse_map(file(road(), '<junction id="77"/>'), "hole"))
    assert any("junction 77" in problem for problem in graph.problems)


def test_signals_hold_by_validity_and_orientation():
    signs = (
        '<signals><signal id="s" s="60" t="-5" orientation="+" type="206"/>'
        '<signal id="l" s="60" t="5" orientation="+" type="1000001">'
        '<validity fromLane="1" toLane="1"/></signal></signals>'
    )
    graph = build_graph(parse_map(file(road(extra=signs)), "signs"))
    rules = build_rules(graph)
    found = {graph.lanes[c.lane].key[2]: (c.kind, round(c.s, 1)) for c in rules.controls.values()}
    assert found == {-1: ("stop", 58.5), 1: ("light", 37.0)}


def test_made_towns_are_closed_and_written_as_they_are_read():
    for seed in (2, 4):
        made = make_town(seed)
        again = parse_map(write_map(made), made.name)
        graph = build_graph(again)
        assert not graph.dead_ends() and not graph.problems
        assert again.roads.keys() == made.roads.keys()
        assert again.junctions == made.junctions


@needs(TOWNS)
@pytest.mark.parametrize(
    ("name", "kilometres"), [("Town01", 6.4), ("Town02", 2.9), ("Town10HD", 5.9)]
)
def test_carlas_towns(name, kilometres):
    graph = build_graph(read_map(TOWNS / f"{name}.xodr"))
    assert graph.length / 1000 == pytest.approx(kilometres, rel=0.02)
    assert not graph.dead_ends()
    assert build_rules(graph).lights


@needs(TOWNS)
def test_lanes_lie_where_carla_has_them():
    carla = pytest.importorskip("carla")
    path = TOWNS / "Town02.xodr"
    graph, theirs = build_graph(read_map(path)), carla.Map("Town02", path.read_text())
    for line in graph.lanes[::4]:
        for i in range(1, len(line.s) - 1, 7):
            point = theirs.get_waypoint_xodr(int(line.key[0]), line.key[2], float(line.road_s[i]))
            place = point.transform.location
            assert math.hypot(place.x - line.points[i, 0], place.y - line.points[i, 1]) < 0.1
