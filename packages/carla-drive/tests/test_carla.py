"""The adapter against a stand-in for the client, and the real client where it is installed."""

import signal

import numpy as np
import pytest

from carla_drive.world import carla_server
from carla_drive.world.camera import Camera
from carla_drive.world.carla_server import CarlaWorld
from carla_drive.world.interface import Control, Scenario, WorldLostError
from carla_drive.world.labels import ROAD, from_server
from vitrail.errors import InputError, MissingError, UsageError

from .fakes_carla import Fake

CAMERAS = (Camera("front", width=8, height=4),)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(carla_server, "PAUSE", 0.0)
    monkeypatch.setattr(carla_server, "FRAME_TIME", 0.05)


def scenario(ground, route, town="Town02"):
    return Scenario(ground.graph, ground.rules, route, "ClearNoon", 3, 2, CAMERAS, town)


def world_of(fake):
    return CarlaWorld("127.0.0.1", 2000, fake)


def test_a_drive_is_synchronous_seeded_and_cleaned_up(ground, route):
    fake = Fake()
    world = world_of(fake)
    seen = world.reset(scenario(ground, route), 7)
    assert fake.settings.synchronous_mode and fake.settings.fixed_delta_seconds == 0.05
    assert fake.traffic_sync and "traffic seed 7" in fake.calls and fake.town == "Town02"
    after = world.step(Control(0.2, 0.5, 0.0))
    assert after.frame == seen.frame + 1 and after.speed == 5.0
    assert after.time == pytest.approx(0.05)
    assert (after.pictures["front"].semantics == ROAD).all()
    assert after.pictures["front"].rgb[0, 0].tolist() == [7, 20, 10]
    world.close()
    assert not fake.actors and not fake.traffic_sync
    assert not fake.settings.synchronous_mode and fake.settings.fixed_delta_seconds is None


def test_late_frames_are_dropped(ground, route):
    world = world_of(Fake(late=True))
    world.reset(scenario(ground, route), 1)
    assert world.step(Control()).frame == 106 and world.late > 0
    world.close()


def test_a_lost_frame_ends_the_route(ground, route):
    fake = Fake(lose=107)
    world = world_of(fake)
    world.reset(scenario(ground, route), 1)
    world.step(Control())
    with pytest.raises(WorldLostError, match="frame 107"):
        world.step(Control())
    world.close()
    assert not fake.actors and not fake.settings.synchronous_mode


def test_a_server_that_dies_is_lost_and_cleaning_up_returns(ground, route):
    fake = Fake(dies_at=108)
    world = world_of(fake)
    world.reset(scenario(ground, route), 1)
    with pytest.raises(WorldLostError, match="time-out"):
        for _ in range(5):
            world.step(Control())
    world.close()
    fake.alive, fake.dies_at = True, -1
    assert world.reset(scenario(ground, route), 1).pictures
    world.close()


@pytest.mark.parametrize(
    "name",
    [
        "get_world", "load_world", "get_settings", "apply_settings", "get_trafficmanager",
        "traffic.set_synchronous_mode", "set_weather", "set_pedestrians_seed",
        "get_blueprint_library", "spawn_actor", "try_spawn_actor", "set_autopilot",
        "controller.start", "tick", "get_snapshot", "get_actors", "get_transform",
    ],
)  # fmt: skip
def test_an_error_at_any_call_restores_the_server(ground, route, name):
    fake = Fake(fail_at=name)
    world = world_of(fake)
    with pytest.raises(WorldLostError):
        world.reset(scenario(ground, route), 1)
    fake.fail_at = ""
    assert not fake.actors
    if name not in ("apply_settings", "traffic.set_synchronous_mode"):
        assert not fake.settings.synchronous_mode


@pytest.mark.parametrize("name", ["apply_control", "tick", "get_actors"])
def test_an_error_in_mid_route_is_a_lost_simulator(ground, route, name):
    fake = Fake()
    world = world_of(fake)
    world.reset(scenario(ground, route), 1)
    fake.fail_at = name
    with pytest.raises(WorldLostError):
        world.step(Control())
    world.close()
    assert not fake.settings.synchronous_mode


def test_sigterm_leaves_through_finally(ground, route):
    before = signal.getsignal(signal.SIGTERM)
    fake = Fake()
    world = world_of(fake)
    with pytest.raises(SystemExit) as stopped:
        try:
            world.reset(scenario(ground, route), 1)
            signal.raise_signal(signal.SIGTERM)
        finally:
            world.close()
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not fake.settings.synchronous_mode and signal.getsignal(signal.SIGTERM) == before


def test_no_simulator_says_so(ground, route):
    fake = Fake(fail_at="get_server_version")
    with pytest.raises(MissingError, match="no simulator answers"):
        world_of(fake).reset(scenario(ground, route), 1)
    assert fake.calls.count("get_server_version") == carla_server.TRIES
    with pytest.raises(MissingError, match="not known"):
        CarlaWorld("nowhere", 2000, fake).reset(scenario(ground, route), 1)


def test_a_town_that_the_server_lacks_is_named(ground, route):
    fake = Fake()
    with pytest.raises(InputError, match="no town Town09"):
        world_of(fake).reset(scenario(ground, route, "Town09"), 1)
    assert not fake.actors


@pytest.mark.parametrize(
    "address", ["carla://", "carla://host", "carla://host:port", "carla://h:99999"]
)
def test_an_address_that_is_none(address):
    with pytest.raises(UsageError, match="HOST:PORT"):
        CarlaWorld.maker(address)


def test_labels_are_those_of_the_servers_version():
    old, new = np.array([7, 10, 13, 18], np.uint8), np.array([1, 14, 11, 7], np.uint8)
    assert np.array_equal(from_server(old, "0.9.10"), old)
    assert np.array_equal(from_server(new, "0.9.15"), old)
    assert from_server(np.array([18, 24], np.uint8), "0.9.16").tolist() == [10, 6]


def test_the_real_client_at_a_dead_port(ground, route, monkeypatch):
    carla = pytest.importorskip("carla")
    monkeypatch.setattr(carla_server, "CALL_TIME", 0.3)
    monkeypatch.setattr(carla_server, "LOAD_TIME", 0.3)
    with pytest.raises(MissingError, match="no simulator answers"):
        CarlaWorld("127.0.0.1", 1, carla).reset(scenario(ground, route), 1)
