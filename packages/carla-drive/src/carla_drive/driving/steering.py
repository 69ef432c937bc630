"""From a line and a speed to pedals and wheel."""

import math

import numpy as np

from carla_drive.world.ego import BRAKING, DRAG, MAX_STEER, THRUST, WHEELBASE
from carla_drive.world.interface import Control

MIN_LOOK, LOOK_TIME = 3.2, 0.42  # m, s


def pursue(path: np.ndarray, speed: float) -> float:
    """Steering in -1..1 towards a path (N, 2) ahead and right of the car, in metres: pure
    pursuit."""
    look = MIN_LOOK + LOOK_TIME * speed
    away = np.hypot(path[:, 0], path[:, 1])
    beyond = np.flatnonzero((away >= look) & (path[:, 0] > 0))
    ahead, right = path[beyond[0]] if len(beyond) else path[-1]
    square = max(float(ahead * ahead + right * right), 1.0)
    curvature = 2 * right / square
    return min(max(math.atan(curvature * WHEELBASE) / MAX_STEER, -1.0), 1.0)


def pedals(push: float, speed: float, steer: float) -> Control:
    """The control that accelerates by ``push`` m/s^2."""
    if push < -0.25 or (speed < 0.1 and push <= 0.01):
        hold = 0.4 if speed < 0.3 else 0.0
        return Control(steer, 0.0, min(1.0, max(hold, -push / BRAKING)))
    fading = max(0.25, 1 - speed / 45)
    needed = max(0.0, push) + (0.12 + DRAG * speed * speed if speed > 0.05 else 0.3)
    return Control(steer, min(1.0, needed / (THRUST * fading)), 0.0)
