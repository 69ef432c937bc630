"""The ego car: a bicycle model with engine, brakes and a steering that takes time."""

import math
from dataclasses import dataclass

from carla_drive.world.interface import STEP, Control

WHEELBASE = 2.9  # m
MAX_STEER = math.radians(38)  # of the front wheels
STEER_RATE = 3.2  # of the full lock per second and direction
THRUST, BRAKING = 4.2, 8.0  # m/s^2 at full pedal
DRAG, ROLLING = 0.0016, 0.12  # per metre; m/s^2
MAX_LATERAL = 7.0  # m/s^2 that the tyres hold


@dataclass
class Ego:
    """``x``, ``y`` are of the car's middle, ``yaw`` in radians clockwise, ``speed`` m/s."""

    x: float
    y: float
    z: float
    yaw: float
    speed: float = 0.0
    steer: float = 0.0
    push: float = 0.0  # the engine's m/s^2, which follows the pedal

    def step(self, control: Control, grip: float = 1.0) -> None:
        """STEP seconds under ``control``; ``grip`` below 1 is a wet road."""
        change = control.steer - self.steer
        limit = STEER_RATE * STEP
        self.steer += min(max(change, -limit), limit)
        fading = max(0.25, 1 - self.speed / 45)
        wanted = control.throttle * THRUST * fading
        self.push += (wanted - self.push) * min(1.0, STEP / 0.25)
        braking = control.brake * BRAKING * grip + (ROLLING if self.speed > 0 else 0)
        drag = DRAG * self.speed * self.speed
        if control.brake > 0.1:
            self.push = 0.0
        speed = max(0.0, self.speed + (self.push - braking - drag) * STEP)
        mean, self.speed = (self.speed + speed) / 2, speed
        curvature = math.tan(self.steer * MAX_STEER) / WHEELBASE
        if mean > 0.1:  # beyond what the tyres hold, the car pushes outwards
            most = MAX_LATERAL * grip / (mean * mean)
            curvature = min(max(curvature, -most), most)
        turn = mean * curvature * STEP
        middle = self.yaw + turn / 2
        self.x += mean * STEP * math.cos(middle)
        self.y += mean * STEP * math.sin(middle)
        self.yaw += turn
