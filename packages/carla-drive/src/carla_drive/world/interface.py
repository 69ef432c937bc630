"""What every world offers: the embedded one, and CARLA behind its adapter."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from carla_drive.roads.graph import LaneGraph
from carla_drive.roads.routes import Route
from carla_drive.roads.rules import Rules
from carla_drive.world.camera import LETFUSER, Camera, Picture

STEP = 0.05  # s, as the leaderboard has it
EGO_SIZE = (4.5, 1.9)  # m


@dataclass(frozen=True)
class Control:
    """``steer`` -1..1 (right is positive), ``throttle`` and ``brake`` 0..1."""

    steer: float = 0.0
    throttle: float = 0.0
    brake: float = 0.0

    def safe(self) -> "Control":
        """Within bounds, and the brake alone where a value is not finite."""
        if not all(map(math.isfinite, (self.steer, self.throttle, self.brake))):
            return Control(0.0, 0.0, 1.0)
        brake = min(max(self.brake, 0.0), 1.0)
        throttle = 0.0 if brake > 0.5 else min(max(self.throttle, 0.0), 1.0)
        return Control(min(max(self.steer, -1.0), 1.0), throttle, brake)


@dataclass(frozen=True)
class Actor:
    """Somebody or something at ``x``, ``y`` with ``yaw`` in radians; metres and m/s."""

    id: int
    kind: str  # "vehicle", "pedestrian" or "static"
    x: float
    y: float
    yaw: float
    length: float
    width: float
    speed: float = 0.0


@dataclass(frozen=True)
class LightAhead:
    """The light that holds for the ego car, and the metres from its front to the stop line."""

    state: str  # "red", "yellow" or "green"
    distance: float


@dataclass(frozen=True)
class Observation:
    """One moment: what the sensors give, and the truth beside it.

    ``pose`` is x, y, z, yaw (radians) in CARLA's world, ``speed`` m/s. ``pictures`` are by the
    camera's name, empty where nobody asked for them.
    """

    frame: int
    time: float
    pose: tuple[float, float, float, float]
    speed: float
    pictures: Mapping[str, Picture]
    actors: Sequence[Actor]
    light: LightAhead | None


@dataclass(frozen=True)
class Scenario:
    """What is driven in which conditions. ``cameras`` empty means that nothing is drawn."""

    graph: LaneGraph
    rules: Rules
    route: Route
    weather: str = "ClearNoon"
    vehicles: int = 20
    walkers: int = 20
    cameras: tuple[Camera, ...] = LETFUSER
    town: str = ""


class World(Protocol):
    """A simulator: one ego car, and everything around it."""

    def reset(self, scenario: Scenario, seed: int) -> Observation:
        """Begins anew at the start of the scenario's route."""
        ...

    def step(self, control: Control, *, draw: bool = True) -> Observation:
        """STEP seconds later; without ``draw`` the pictures are left out."""
        ...

    def close(self) -> None: ...


class WorldLostError(RuntimeError):
    """The simulator went away in the middle of a route."""


def wrap(angle: float) -> float:
    """An angle in radians to -pi..pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def local(points: np.ndarray, x: float, y: float, yaw: float) -> np.ndarray:
    """(N, 2) ahead and right of a car, from world coordinates (N, 2)."""
    moved = np.asarray(points)[..., :2] - (x, y)
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.stack(
        [moved[..., 0] * cos + moved[..., 1] * sin, moved[..., 1] * cos - moved[..., 0] * sin], -1
    )
