"""Policies in front of made observations; the network is a stand-in that says what a test wants."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from carla_drive.driving.policies import (
    BlindPolicy,
    DrivingOptions,
    ExpertPolicy,
    LanePolicy,
    ModelPolicy,
    Navigator,
    strip,
)
from carla_drive.driving.safety import Safety
from carla_drive.roads.routes import Command
from carla_drive.world import labels
from carla_drive.world.camera import Picture
from carla_drive.world.interface import Observation, Scenario
from vitrail.errors import UsageError

FACTS = SimpleNamespace(path_points=6, speed_bins=(0.0, 4.0, 8.0))
CAREFREE = Safety(False, False, False, False, False)


def picture(height: int = 160, width: int = 320, tone: int = 0) -> Picture:
    rgb = np.full((height, width, 3), tone, np.uint8)
    depth = np.full((height, width), 900.0, np.float32)
    flat = np.full((height, width), labels.ROAD, np.uint8)
    return Picture(rgb, depth, flat, np.zeros((height, width), np.int32))


def seen_at(route, index: int, speed: float = 5.0, pictures: bool = True) -> Observation:
    x, y, z = route.xyz[index].tolist()
    names = {"left": 10, "front": 20, "right": 30} if pictures else {}
    shown = {name: picture(tone=tone) for name, tone in names.items()}
    return Observation(
        index, index * 0.05, (x, y, z, float(route.yaw[index])), speed, shown, (), None
    )


def network(path=None, speed=(0.0, 0.0, 9.0), red=0.0, value=0.0):
    """Says the same whatever it sees; keeps what it was told."""
    told = []
    line = np.array([[0.0, -2.5 * k] for k in range(1, 7)]) if path is None else np.array(path)

    def compute(*batch):
        told.append(batch)
        logits = np.zeros((1, 23, 160, 768), np.float32)
        logits[:, labels.ROAD] = 1
        return (
            logits,
            np.full((1, 3, 2), value),
            np.full((1, 1, 3), value),
            np.array([red]),
            np.array([0.0]),
            np.array([5.0]),
            line[None],
            np.array([speed]),
        )

    return compute, told


@pytest.fixture
def scene(ground, route):
    return Scenario(ground.graph, ground.rules, route, town=ground.town)


def model(scene, options=DrivingOptions(safety=CAREFREE), **said):
    compute, told = network(**said)
    return ModelPolicy(compute, FACTS, scene, options), told


def test_the_navigator_names_what_lies_ahead(scene, route):
    navigator = Navigator(route)
    for index in range(0, len(route.s) - 12, 6):
        target, command = navigator.update(seen_at(route, index))
        assert target[1] < 0 and 1 <= command <= 6
        in_junction = scene.graph.lanes[int(route.lane[index + 5])].junction is not None
        if in_junction:
            assert command in (Command.left, Command.right, Command.straight, Command.follow)


def test_simple_policies_steer_along_the_route(scene, route):
    for kind in (LanePolicy, BlindPolicy):
        policy = kind(None, scene)
        decision = policy.act(seen_at(route, 2, 2.0, pictures=False))
        assert decision.control.throttle > 0 and abs(decision.control.steer) < 0.5
        assert policy.act(seen_at(route, 3, 9.0, pictures=False)).control.throttle < 0.2


def test_the_expert_needs_the_embedded_world(scene):
    with pytest.raises(UsageError, match="embedded"):
        ExpertPolicy(SimpleNamespace(), scene)  # pyright: ignore[reportArgumentType]


def test_the_network_is_given_the_strip_and_asked_every_second_step(scene, route):
    policy, told = model(scene)
    for index in range(4):
        policy.act(seen_at(route, index))
    assert len(told) == 2
    rgb, depth, target, speed, command = told[0]
    assert rgb.shape == (1, 3, 160, 768) and rgb[0, 0, 0, [0, 300, 700]].tolist() == [10, 20, 30]
    assert depth.max() == pytest.approx(0.9) and target[0, 1] < 0
    assert speed.tolist() == [5.0] and command.sum() == 1


def test_it_follows_the_path_at_the_wanted_speed(scene, route):
    seen = seen_at(route, 2, 3.0)
    straight = model(scene)[0].act(seen).control
    assert straight.throttle > 0.2 and abs(straight.steer) < 0.05 and straight.brake == 0
    right = [[0.4 * k, -2.4 * k] for k in range(1, 7)]
    assert model(scene, path=right)[0].act(seen).control.steer > 0.1
    stop = model(scene, speed=(9.0, 0.0, 0.0))[0].act(seen).control
    assert stop.throttle == 0 and stop.brake > 0.3


def test_target_points_can_be_hidden(scene, route):
    policy, told = model(scene, DrivingOptions(target_points=False, safety=CAREFREE))
    policy.act(seen_at(route, 2))
    assert told[0][2].tolist() == [[0.0, -20.0]]


def test_safety_stops_a_network_that_says_red(scene, route):
    policy, _ = model(scene, DrivingOptions(), red=0.9)
    decisions = [policy.act(seen_at(route, index)) for index in range(3)]
    assert decisions[-1].acted == ("red light",) and decisions[-1].control.brake == 1


@pytest.mark.parametrize("mode", ["one_of", "both_must", "pid_only", "mlp_only"])
def test_nan_of_a_network_becomes_a_full_brake(scene, route, mode):
    policy, _ = model(scene, DrivingOptions(mode=mode, safety=CAREFREE), value=math.nan)
    control = policy.act(seen_at(route, 2)).control
    assert (control.steer, control.throttle, control.brake) == (0.0, 0.0, 1.0)


def test_nan_of_the_target_speed_alone_brakes_too(scene, route):
    decision = model(scene, speed=(math.nan, 0.0, 0.0))[0].act(seen_at(route, 2))
    assert decision.control.brake == 1 and decision.acted == ("not finite",)


def test_weights_without_a_path_cannot_follow_one(scene):
    compute, _ = network()
    with pytest.raises(UsageError, match="one_of"):
        ModelPolicy(compute, SimpleNamespace(path_points=0, speed_bins=()), scene, DrivingOptions())


def test_a_camera_that_is_missing_or_of_other_size_is_named(route):
    seen = seen_at(route, 0)
    without = {name: one for name, one in seen.pictures.items() if name != "right"}
    with pytest.raises(UsageError, match="camera right"):
        strip(replace(seen, pictures=without))
    with pytest.raises(UsageError, match=r"camera front.*is 64 x 32"):
        strip(replace(seen, pictures={**seen.pictures, "front": picture(32, 64)}))
