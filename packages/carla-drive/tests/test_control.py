"""Controllers, and every part of safety by itself."""

import math

import numpy as np
import pytest

from carla_drive.driving.control import MODES, Controller
from carla_drive.driving.safety import Guard, Perceived, Safety, free_way
from carla_drive.world.interface import STEP, Control

GO = Control(0.0, 0.6, 0.0)
ALONE = dict.fromkeys(("red_light", "stop_sign", "overspeed", "obstacle", "creep"), False)
AHEAD = np.array([[0, -3.0], [0, -6.0], [0, -9.0]])


def only(name: str) -> Safety:
    return Safety(**{**ALONE, name: True})


def flat_road() -> np.ndarray:
    """Depth (160, 768) of an empty plane."""
    rows = np.arange(160) + 0.5 - 80
    depth = np.where(rows > 0, 2.3 * 277.13 / np.maximum(rows, 1e-3), 1000.0)
    return np.broadcast_to(np.minimum(depth, 1000)[:, None], (160, 768)).copy()


def with_wall(metres: float) -> np.ndarray:
    depth = flat_road()
    depth[70:100, 364:404] = metres
    return depth


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_goes_and_stops(mode):
    goes = Controller(mode).step(AHEAD, 1.0, np.array([0.0, 0.6, 0.0]))
    assert goes.throttle > 0.3 and goes.brake == 0
    stops = Controller(mode).step(np.full((3, 2), -1e-4), 6.0, np.array([0.0, 0.0, 1.0]))
    assert stops.throttle == 0 and stops.brake == pytest.approx(1.0)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="one_of"):
        Controller("both")  # pyright: ignore[reportArgumentType]


def test_red_light_brakes_after_two_looks():
    guard, seen = Guard(only("red_light")), Perceived(5, 5, red_light=0.9)
    assert guard.step(GO, seen)[1] == ()
    control, acted = guard.step(GO, seen)
    assert acted == ("red light",) and control.brake == 1 and control.throttle == 0


def test_who_stands_goes_on_for_a_better_look_at_a_light():
    for speed, red, acts in ((5.0, 0.55, True), (0.0, 0.55, False), (0.0, 0.7, True)):
        guard, seen = Guard(only("red_light")), Perceived(speed, 5, red_light=red)
        guard.step(GO, seen)
        assert bool(guard.step(GO, seen)[1]) == acts


def test_a_light_that_stays_red_too_long_is_doubted_for_a_while():
    guard, seen = Guard(only("red_light")), Perceived(0.0, 5, red_light=0.9)
    held = [bool(guard.step(GO, seen)[1]) for _ in range(round(60 / STEP))]
    assert all(held[2 : round(44 / STEP)]) and not any(held[round(46 / STEP) : round(54 / STEP)])
    assert held[-1]


def test_a_stop_sign_holds_for_a_second_and_then_lets_go():
    guard = Guard(only("stop_sign"))
    moving, standing = Perceived(4, 5, stop_sign=0.9), Perceived(0.0, 5, stop_sign=0.9)
    assert guard.step(GO, moving)[1] == ("stop sign",)
    held = [guard.step(GO, standing)[1] for _ in range(40)]
    assert held[0] == ("stop sign",) and held[-1] == ()
    assert 15 <= sum(map(bool, held)) <= 25


def test_overspeed_brakes():
    guard = Guard(only("overspeed"))
    assert guard.step(GO, Perceived(6.0, 5.0))[1] == ()
    assert guard.step(GO, Perceived(7.5, 5.0))[1] == ("overspeed",)
    assert guard.step(GO, Perceived(9.5, 20.0))[1] == ("overspeed",)


def test_what_depth_shows_in_the_way_brakes_in_time():
    guard = Guard(only("obstacle"))
    assert guard.step(GO, Perceived(8.0, 8.0, depth=flat_road()))[1] == ()
    assert guard.step(GO, Perceived(8.0, 8.0, depth=with_wall(10.0)))[1] == ("obstacle",)
    assert guard.step(GO, Perceived(2.0, 8.0, depth=with_wall(10.0)))[1] == ()


def test_the_way_bends_with_the_wheel():
    assert free_way(with_wall(10.0), 0.0) == pytest.approx(10 + 1.3 - 2.25, abs=0.01)
    assert free_way(with_wall(15.0), 0.5) == math.inf


def test_a_road_that_rises_is_no_obstacle():
    """15 % from 10 m on."""
    down = (np.arange(160) + 0.5 - 80) / 277.13
    depth = flat_road()
    rising = np.where(down > -0.14, (2.3 + 1.5) / (np.maximum(down, -0.14) + 0.15), 1000.0)
    depth[depth[:, 0] > 10] = rising[depth[:, 0] > 10, None]
    height = 2.3 - depth[:, 300] * down
    assert ((height > 0.35) & (height < 2.2) & (depth[:, 300] < 40)).sum() > 20
    assert free_way(depth, 0.0) == math.inf


@pytest.mark.parametrize("room", [0.9, 2.0, 2.4, 6.0, 12.0])
def test_a_standing_car_is_in_the_way_from_far_to_near(room):
    """A car 1.5 m high and 4.4 m long: its back, then, with the back out of sight, its roof."""
    rows, back = np.arange(160) + 0.5 - 80, room + 2.25 - 1.3
    depth = flat_road()[:, 0]
    depth[(2.3 - back * rows / 277.13 < 1.5) & (depth > back)] = back
    roof = 0.8 * 277.13 / np.maximum(rows, 1e-3)
    on_roof = (roof > back) & (roof < back + 4.4)
    depth[on_roof] = roof[on_roof]
    ahead = flat_road()
    ahead[:, 354:414] = depth[:, None]
    assert free_way(ahead, 0.0) == pytest.approx(max(room, 1.8), abs=0.15)
    _, acted = Guard(only("obstacle")).step(GO, Perceived(0.0, 5.0, depth=ahead))
    assert (acted == ("obstacle",)) == (room <= 2.5)


def test_creep_after_standing_without_a_reason():
    guard, seen = Guard(Safety(**{**ALONE, "creep": True, "creep_after": 1.0})), Perceived(0.0, 0.0)
    acted = [guard.step(Control(0, 0, 1), seen) for _ in range(30)]
    assert acted[0][1] == () and acted[-1][1] == ("creep",)
    assert acted[-1][0].throttle > 0 and acted[-1][0].brake == 0


def test_no_creep_at_a_red_light():
    guard = Guard(Safety(creep_after=1.0))
    seen = Perceived(0.0, 0.0, red_light=0.95)
    assert all("creep" not in guard.step(Control(0, 0, 0.1), seen)[1] for _ in range(60))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_controls_are_finite_and_the_brake_wins(bad):
    for control in (Control(bad, 0.5, 0), Control(0, bad, 0), Control(0, 0, bad)):
        driven, acted = Guard().step(control, Perceived(1, 1))
        assert driven == Control(0, 0, 1) and acted == ("not finite",)
    assert Control(5, 2, 0).safe() == Control(1, 1, 0)
    assert Control(0, 0.8, 0.9).safe().throttle == 0


def test_switched_off_nothing_acts():
    guard = Guard(Safety(**ALONE))
    seen = Perceived(20, 1, 1.0, 1.0, with_wall(4.0))
    assert [guard.step(GO, seen) for _ in range(3)][-1] == (GO, ())
