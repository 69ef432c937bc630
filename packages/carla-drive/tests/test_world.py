"""The embedded world: pixels, depth, motion, seeds, collisions, lights."""

import math

import numpy as np
import pytest

from carla_drive.driving.expert import Expert
from carla_drive.driving.policies import LanePolicy
from carla_drive.roads.graph import build_graph
from carla_drive.roads.reading import parse_map
from carla_drive.roads.rules import Rules, build_rules
from carla_drive.scoring.score import Scorer
from carla_drive.scoring.trace import to_row
from carla_drive.world import labels
from carla_drive.world.boxes import touching
from carla_drive.world.camera import LETFUSER, Camera
from carla_drive.world.ego import Ego
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import STEP, Control, Scenario
from carla_drive.world.lights import ALL_RED, GREEN, YELLOW, Lights
from carla_drive.world.meshes import PLAIN, box, mesh
from carla_drive.world.painter import Light, Painter
from carla_drive.world.raster import numba, rasterise
from carla_drive.world.scenery import Scenery, build_scenery
from carla_drive.world.traffic import RightOfWay, Traffic, Way, conflicts, idm, joining
from carla_drive.world.weather import WEATHERS, weather
from vitrail.errors import UsageError

from .samples import file, road

SMALL = (Camera("front", width=80, height=40),)


def scenario(ground, route, cameras=(), vehicles=6, walkers=4, weather="ClearNoon"):
    return Scenario(
        ground.graph, ground.rules, route, weather, vehicles, walkers, cameras, ground.town
    )


def random_triangles(count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    middle = rng.uniform((-6, -3, -1), (6, 3, 20), (count, 1, 3))
    return middle + rng.normal(0, 1.5, (count, 3, 3))


@pytest.mark.skipif(numba is None, reason="numba is not installed")
def test_numpy_draws_the_same_pixels():
    triangles = random_triangles(60)
    fast, slow = (rasterise(triangles, 50.0, 64, 48, compiled=one) for one in (True, False))
    assert np.array_equal(fast[0], slow[0]) and np.array_equal(fast[1], slow[1])
    assert (fast[0] >= 0).mean() > 0.2


@pytest.mark.skipif(numba is None, reason="numba is not installed")
@pytest.mark.parametrize("name", ["ClearSunset", "HardRainNight", "FogNoon"])
def test_numpy_paints_the_same_street(ground, route, name):
    """Every material, light and weather of a street, in every picture to the last bit."""
    first, second = (
        EmbeddedWorld(compiled=one).reset(scenario(ground, route, LETFUSER, 8, 8, name), 1).pictures
        for one in (True, False)
    )
    for camera, picture in first.items():
        for kind in ("rgb", "depth", "semantics", "instances"):
            assert np.array_equal(getattr(picture, kind), getattr(second[camera], kind)), kind
    assert first["front"].rgb.std() > 10


def test_depth_is_that_of_the_plane():
    flat = np.array([[[-50, 2.0, 0.5], [50, 2.0, 0.5], [0, 2.0, 400]]])  # 2 m below the camera
    index, depth = rasterise(flat, 40.0, 80, 60, compiled=False)
    rows = np.arange(60) + 0.5 - 30
    column = 40
    seen = index[:, column] == 0
    assert seen[45:].all() and not seen[:30].any()
    wanted = 2.0 * 40 / rows[seen]
    assert np.allclose(depth[seen, column], wanted, rtol=1e-9)


def test_the_nearer_triangle_hides_the_farther():
    near, far = (np.array([[-9, -9, z], [9, -9, z], [0, 9, z]], float) for z in (5, 8))
    for order in ((near, far), (far, near)):
        _, depth = rasterise(np.array(order), 20.0, 20, 20, compiled=False)
        assert depth[10, 10] == 5


def test_a_box_is_seen_where_it_stands():
    """Against geometry: a box of 2 m, 20 m ahead of the camera, in three cameras' pictures."""
    shape = mesh(box((21.3, 0, 0), (2, 2, 3)), PLAIN, labels.STATIC, (1, 0, 0), 42)
    scenery = Scenery(shape, np.zeros((0, 3)), np.zeros((0, 6)), [])
    light = Light(weather("ClearNoon"), np.zeros((0, 5)), False)
    pictures = Painter(scenery, compiled=False).paint(LETFUSER, (0, 0, 0, 0), [], light)
    front = pictures["front"]
    seen = front.semantics == labels.STATIC
    assert (front.instances[seen] == 42).all() and not (
        pictures["left"].semantics == labels.STATIC
    ).any()
    assert front.depth[seen].min() == pytest.approx(21.3 - 1 - 1.3, rel=0.01)
    columns = np.flatnonzero(seen.any(axis=0))
    wide = 2 / 19.0 * LETFUSER[1].focal
    assert columns[-1] - columns[0] + 1 == pytest.approx(wide, abs=1.5)
    assert front.depth[0, 0] == 1000 and front.semantics[0, 0] == labels.SKY


def test_a_car_to_the_right_is_in_the_right_picture():
    shape = mesh(box((8, 12, 0), (2, 2, 2)), PLAIN, labels.VEHICLE, (0, 0, 1), 7)
    scenery = Scenery(shape, np.zeros((0, 3)), np.zeros((0, 6)), [])
    light = Light(weather("night"), np.zeros((0, 5)), True)
    pictures = Painter(scenery, compiled=False).paint(LETFUSER, (0, 0, 0, 0), [], light)
    assert (pictures["right"].semantics == labels.VEHICLE).any()
    assert not (pictures["left"].semantics == labels.VEHICLE).any()


@pytest.mark.parametrize("name", sorted(WEATHERS))
def test_every_weather_draws(ground, route, name):
    world = EmbeddedWorld()
    seen = world.reset(scenario(ground, route, SMALL, 2, 2, name), 1)
    picture = seen.pictures["front"]
    assert picture.rgb.std() > 2 and {labels.ROAD, labels.SKY} & set(
        np.unique(picture.semantics).tolist()
    )


def test_an_unknown_weather_is_refused():
    with pytest.raises(UsageError, match="day"):
        weather("sunny")


def drive(ground, route, seed, steps=60):
    world = EmbeddedWorld()
    world.reset(scenario(ground, route), seed)
    rows = []
    for _ in range(steps):
        seen = world.step(Control(0.05, 0.5, 0.0), draw=False)
        rows.append((seen.pose, tuple((a.id, a.x, a.y) for a in seen.actors), seen.light))
    return rows


def test_the_same_seed_gives_the_same_drive(ground, route):
    first, again, other = (drive(ground, route, seed) for seed in (3, 3, 4))
    assert first == again and first != other


def test_the_car_goes_stops_and_turns():
    ego = Ego(0, 0, 0, 0)
    for _ in range(100):
        ego.step(Control(0, 0.6, 0))
    assert ego.x > 15 and ego.y == pytest.approx(0)
    fast = ego.speed
    ego.step(Control(0, 0, 1))
    assert ego.speed < fast - 0.3
    for _ in range(20):
        ego.step(Control(1, 0.3, 0))
    assert ego.yaw > 0 and ego.y > 0  # to the right, where y grows
    for _ in range(200):
        ego.step(Control(0, 0, 1))
    assert ego.speed == 0


def test_boxes_touch_by_their_corners():
    box = np.array([0, 0, 0, 4, 2.0])
    others = np.array(
        [[3.9, 0, 0, 4, 2], [4.1, 0, 0, 4, 2], [0, 2.5, math.pi / 4, 2, 2], [0, 2.5, 0, 2, 2]]
    )
    assert touching(box, others).tolist() == [True, False, False, False]
    assert touching(box, np.array([[0, 2.3, math.pi / 4, 2, 2]])).tolist() == [True]


def test_lights_of_a_group_are_never_green_together(ground):
    lights = Lights(ground.rules, np.random.default_rng(0))
    by_group: dict[int, list[int]] = {}
    for number, light in enumerate(ground.rules.lights):
        by_group.setdefault(light.group, []).append(number)
    turn, seen = GREEN + YELLOW + ALL_RED, set()
    for time in np.arange(0, 3 * turn, 0.5):
        for numbers in by_group.values():
            states = [lights.state(number, float(time)) for number in numbers]
            seen.update(states)
            assert sum(state != "red" for state in states) <= 1
    assert seen == {"red", "yellow", "green"}


def test_idm_keeps_its_distance():
    assert idm(0, 8, math.inf, 0) > 1.5
    assert idm(8, 8, 5, 8) < -5
    assert idm(8, 8, math.inf, 0) == pytest.approx(0)


def test_traffic_moves_and_never_collides(ground):
    rng = np.random.default_rng(1)
    traffic = Traffic(ground.graph, ground.rules, rng)
    traffic.populate(10, 0.0, 0.0, 1e4)
    start = {car.id: car.pose[:2] for car in traffic.cars}
    lights = Lights(ground.rules, rng)
    nowhere = np.full((3, 2), 1e6)
    for step in range(300):
        traffic.step(lights.states(step * 0.05), nowhere, 0.0, np.zeros((0, 2)))
        boxes = np.array(
            [(c.pose[0], c.pose[1], c.pose[3], c.length, c.width) for c in traffic.cars]
        )
        for number in range(len(boxes)):
            hit = touching(boxes[number], np.delete(boxes, number, axis=0))
            assert not hit.any(), step
    moved = [math.dist(start[car.id], car.pose[:2]) for car in traffic.cars]
    assert np.median(moved) > 15


def through_a_junction(graph):
    """Lanes before, in and behind a junction, with room on either side."""
    for lane in graph.lanes:
        if lane.junction is not None and lane.number not in joining(graph):
            (before, *_), (after, *_) = lane.predecessors, lane.successors
            if graph.lanes[before].length > 25 and graph.lanes[after].length > 40:
                return [graph.lanes[number] for number in (before, lane.number, after)]
    raise AssertionError("no such junction")


@pytest.mark.parametrize(("beyond", "enters"), [(4.0, False), (20.0, True)])
def test_nobody_enters_a_junction_that_cannot_be_left(ground, beyond, enters):
    lanes = through_a_junction(ground.graph)
    traffic = Traffic(ground.graph, Rules([], [], {}, {}), np.random.default_rng(1))
    traffic.populate(2, 0.0, 0.0, 1e4)
    comes, stands = traffic.cars
    start = np.cumsum([0.0, *(lane.length for lane in lanes)])
    way = Way(
        np.concatenate([lane.points for lane in lanes]),
        np.unwrap(np.concatenate([lane.yaw for lane in lanes])),
        np.concatenate([np.full(len(lane.s), lane.number) for lane in lanes]),
        np.concatenate([lane.s + at for lane, at in zip(lanes, start[:-1], strict=True)]),
    )
    comes.follow(way, float(start[1]) - 20.0)
    stands.follow(way, float(start[2]) + beyond)
    comes.speed, stands.stunned = 3.0, 1e9
    for _ in range(360):
        traffic.step([], np.full((3, 2), 1e6), 0.0, np.zeros((0, 2)))
    x, y, _, _ = comes.pose
    along = int(np.hypot(*(way.xyz[:, :2] - (x, y)).T).argmin())
    assert (way.lane[along] == lanes[0].number) != enters
    assert comes.speed < 0.1


def test_a_stream_lets_through_who_has_waited(ground):
    right = RightOfWay(ground.graph)
    stream, crossing = next((a, min(b)) for a, b in right.conflicts.items() if b)
    assert right.ask(stream, 1)
    right.take(stream, 1)
    for _ in range(100):
        right.time += STEP
        assert not right.ask(crossing, 2)
    assert not right.ask(stream, 3)  # free, but not for somebody who has just come
    right.release(stream, 1)
    assert right.ask(crossing, 2) and right.ask(stream, 3)  # who may go waits no more
    right.take(stream, 3)
    assert not right.ask(crossing, 4)
    right.release(stream, 3)
    right.time += 5.0
    assert right.ask(stream, 5)  # who no longer asks is not waited for


def test_a_straighter_lane_need_not_leave_room_for_others(ground):
    found, lanes = joining(ground.graph), ground.graph.lanes
    assert found
    for number in found:
        (after, *_) = lanes[number].successors
        assert any(one not in found for one in lanes[after].predecessors)


def test_the_expert_waits_before_a_junction_that_cannot_be_left(ground, route):
    inside = np.array([ground.graph.lanes[int(lane)].junction is not None for lane in route.lane])
    enters = int(inside.argmax())
    leaves = enters + int((~inside[enters:]).argmax())
    world = EmbeddedWorld()
    world.reset(scenario(ground, route, vehicles=1, walkers=0), 1)
    expert, (other,) = Expert(world), world.traffic.cars
    there = int(np.searchsorted(route.s, route.s[leaves] + 4.0))
    for _ in range(round(20 * (5 + route.s[enters] / 4))):
        other.stunned = 1e9
        other._pose = other.s, (*route.xyz[there].tolist(), float(route.yaw[there]))
        advice = expert.act()
        world.step(advice.control, draw=False)
    assert world.ego.speed < 0.1
    assert route.s[enters] - 12 < route.s[world.progress.index] < route.s[enters]


def test_driving_into_a_standing_car_is_one_collision(ground, route):
    """The car stops where it touches, and the scorer, which has the trace alone, counts it once."""
    world = EmbeddedWorld()
    seen = world.reset(scenario(ground, route, vehicles=1, walkers=0), 1)
    policy, scorer = LanePolicy(world, world.scenario), Scorer(ground.graph, ground.rules, route)
    there, (other,) = int(np.searchsorted(route.s, 25.0)), world.traffic.cars
    for _ in range(160):
        other.stunned = 1e9
        other._pose = other.s, (*route.xyz[there].tolist(), float(route.yaw[there]))
        control = policy.act(seen).control
        scorer.feed(to_row(seen, control))
        seen = world.step(control, draw=False)
    # The lane follower passes a red light on its way there
    assert [event.kind for event in scorer.events] == ["red_light", "collision_vehicle"]
    assert seen.speed == 0 and 3.5 < math.dist(seen.pose[:2], route.xyz[there, :2]) < 5.0


@pytest.mark.parametrize("pavement", [True, False])
def test_nothing_stands_on_a_lane(ground, pavement):
    graph = ground.graph if pavement else build_graph(parse_map(file(road(length=200)), "bare"))
    blocks = build_scenery(graph, build_rules(graph)).obstacles[:, :5]
    assert len(blocks) > 10
    for lane in graph.lanes:
        for number in range(0, len(lane.s), 3):
            x, y = lane.points[number, :2]
            car = np.array([x, y, lane.yaw[number], 4.5, 1.9])
            near = blocks[np.hypot(blocks[:, 0] - x, blocks[:, 1] - y) < 20]
            assert not touching(car, near).any(), (lane.key, number)


def test_conflicts_are_mutual_and_within_a_junction(ground):
    found = conflicts(ground.graph)
    assert any(found.values())
    for lane, others in found.items():
        for other in others:
            assert lane in found[other]
            assert ground.graph.lanes[lane].junction == ground.graph.lanes[other].junction


def test_the_expert_drives_a_route_through_traffic(ground, route):
    world = EmbeddedWorld()
    world.reset(scenario(ground, route), 1)
    expert = Expert(world)
    for step in range(1600):
        advice = expert.act(teach=step == 40)
        if step == 40:
            assert (
                advice.waypoints.shape == (3, 2)
                and advice.waypoints[2, 1] < advice.waypoints[0, 1] < 0
            )
            assert advice.path.shape == (6, 2) and advice.path[-1, 1] < -10
        world.step(advice.control, draw=False)
        if world.progress.completion >= 1:
            break
    assert world.progress.completion >= 0.98
