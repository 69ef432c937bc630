"""The release's two PID controllers, and how their output is blended with the network's own."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

Mode = Literal["one_of", "both_must", "pid_only", "mlp_only"]
MODES: tuple[Mode, ...] = ("one_of", "both_must", "pid_only", "mlp_only")


@dataclass(frozen=True)
class Gains:
    """The release's values. ``waypoint_weights`` are the learned loss weights of waypoints, steer,
    throttle, brake, from which each channel's share of the PID follows."""

    turn: tuple[float, float, float] = (1.25, 0.75, 0.3)
    speed: tuple[float, float, float] = (5.0, 0.5, 1.0)
    window: int = 40
    max_throttle: float = 0.75
    clip_delta: float = 0.25
    min_throttle: float = 0.2
    shares: tuple[float, float, float] = (
        0.49995660655641605,
        0.4999774827503113,
        0.4999650700708683,
    )


class PID:
    """Its integral is the mean of a window that begins full of zeros."""

    def __init__(self, gains: tuple[float, float, float], window: int):
        self._gains, self._errors = gains, deque([0.0] * window, maxlen=window)

    def step(self, error: float) -> float:
        self._errors.append(error)
        proportional, integral, derivative = self._gains
        mean = sum(self._errors) / len(self._errors)
        change = self._errors[-1] - self._errors[-2]
        return proportional * error + integral * mean + derivative * change


@dataclass(frozen=True)
class Blended:
    """Not yet made safe. ``angle`` and ``delta`` are what the controllers saw."""

    steer: float
    throttle: float
    brake: float
    pid_steer: float
    pid_throttle: float
    desired_speed: float
    angle: float
    delta: float


class Controller:
    """Keeps its windows from step to step: begin a new one for every route."""

    def __init__(self, mode: Mode = "one_of", gains: Gains = Gains()):
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}: choose {', '.join(MODES)}")
        self.mode, self.gains = mode, gains
        self._turn, self._speed = PID(gains.turn, gains.window), PID(gains.speed, gains.window)

    def step(self, waypoints: np.ndarray, speed: float, control: np.ndarray) -> Blended:
        """``waypoints`` (3, 2) right and, negative, ahead; ``control`` (3,) steer, throttle and
        brake of the network."""
        gains = self.gains
        aim = (waypoints[0] + waypoints[1]) / 2
        angle = (90 - math.degrees(math.atan2(-aim[1], aim[0]))) / 90
        pid_steer = min(max(self._turn.step(angle), -1.0), 1.0)
        desired = 2 * float(np.hypot(*(waypoints[1] - waypoints[0])))
        delta = min(max(desired - speed, 0.0), gains.clip_delta)
        pid_throttle = min(max(self._speed.step(delta), 0.0), gains.max_throttle)
        steer, throttle, brake = (float(value) for value in control)
        steer, throttle = min(max(steer, -1.0), 1.0), min(max(throttle, 0.0), gains.max_throttle)
        brake = float(np.rint(min(max(brake, 0.0), 1.0)))
        found = self._blend(steer, throttle, brake, pid_steer, pid_throttle)
        if self.mode == "mlp_only":  # the release's log has zeros for who was not asked
            pid_steer = pid_throttle = 0.0
        return Blended(*found, pid_steer, pid_throttle, desired, angle, delta)

    def _blend(
        self, steer: float, throttle: float, brake: float, pid_steer: float, pid_throttle: float
    ) -> tuple[float, float, float]:
        gains = self.gains
        pid_goes, mlp_goes = pid_throttle >= gains.min_throttle, throttle >= gains.min_throttle
        a, b, c = gains.shares
        both = a * pid_steer + (1 - a) * steer, b * pid_throttle + (1 - b) * throttle, 0.0
        stopped = both[0], 0.0, c + (1 - c) * brake
        match self.mode:
            case "both_must":
                return both if pid_goes and mlp_goes else stopped
            case "pid_only":
                return (pid_steer, pid_throttle, 0.0) if pid_goes else (pid_steer, 0.0, 1.0)
            case "mlp_only":
                return (steer, throttle, 0.0) if mlp_goes else (steer, 0.0, brake)
        if pid_goes and mlp_goes:  # one_of
            return both
        if pid_goes:
            return pid_steer, pid_throttle, 0.0
        return (steer, throttle, 0.0) if mlp_goes else stopped
