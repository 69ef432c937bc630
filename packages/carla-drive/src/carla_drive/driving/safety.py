"""What the release's agent lacks: nothing here is learned, and each part can be switched off."""

import math
from dataclasses import dataclass

import numpy as np

from carla_drive.models.config import STRIP
from carla_drive.world.ego import MAX_STEER, WHEELBASE
from carla_drive.world.interface import STEP, Control

FRONT = slice(224, 544)  # columns of the front camera in the strip
FOCAL, EYE, AHEAD = 277.13, 2.3, 1.3  # px; m above the ground; m ahead of the car's middle
BUMPER = 2.25  # m from the car's middle to its front
HALF_WIDTH = 1.15  # m to either side of the way that must be free
LOW, HIGH = 0.35, 2.2  # m above the ground of what is in the way
MIN_POINTS = 14  # pixels that make an obstacle
DEEP, UPRIGHT = 1.0, 0.4  # m of depth within which an obstacle rises by m, and a slope does not
CLOSE, RISES = 5.0, 0.8  # m within which the foot of a car is out of sight; m that no road rises
BRAKING, REACTION = 5.0, 0.35  # m/s^2, s
MARGIN = 2.5  # m; the roof of what is nearer than 1.8 m hides how near it is
RED, RED_SLOW, SLOW = 0.5, 0.65, 1.5  # what stops a car, what holds one slower than m/s
LIGHT_TIME, LIGHT_REST = 45.0, 10.0  # s: no light is red for longer; then it is not believed for
SIGN_TIME, SIGN_REST = 1.0, 8.0  # s to stand at a stop sign, and before it counts again


@dataclass(frozen=True)
class Safety:
    """Which parts are on. ``creep_after`` seconds of standing without a reason the car rolls."""

    red_light: bool = True
    stop_sign: bool = True
    overspeed: bool = True
    obstacle: bool = True
    creep: bool = True
    creep_after: float = 25.0
    speed_limit: float = 9.0  # m/s


@dataclass(frozen=True)
class Perceived:
    """What safety knows at one moment: probabilities, m/s, and for the obstacle brake ``depth``
    (160, 768) metres."""

    speed: float
    desired_speed: float
    red_light: float = 0.0
    stop_sign: float = 0.0
    depth: np.ndarray | None = None


class Guard:
    """Begin a new one for every route. ``step`` gives the control that is driven, and the names of
    the parts that changed it."""

    def __init__(self, safety: Safety = Safety()):
        self.safety = safety
        self._red = 0
        self._still = self._creeping = self._rest = self._stood = 0.0
        self._waited = self._doubt = 0.0

    def step(self, control: Control, seen: Perceived) -> tuple[Control, tuple[str, ...]]:
        values = (control.steer, control.throttle, control.brake)
        if not all(map(math.isfinite, values)):
            return Control(0.0, 0.0, 1.0), ("not finite",)
        acted: list[str] = []
        for name, check in (
            ("red light", self._at_red_light),
            ("stop sign", self._at_stop_sign),
            ("obstacle", self._in_the_way),
            ("overspeed", self._too_fast),
        ):
            brake = check(control, seen)
            if brake > max(control.brake, 0.0):
                control = Control(control.steer, 0.0, brake)
                acted.append(name)
        if self._stuck(control, seen, acted):
            control = Control(control.steer, 0.4, 0.0)
            acted.append("creep")
        return control.safe(), tuple(acted)

    def _at_red_light(self, control: Control, seen: Perceived) -> float:
        """Two looks in a row, so that one wrong frame does not stop the car, and not forever. Who
        is nearly standing goes on for a better look until it is surer."""
        sure = RED if seen.speed > SLOW else RED_SLOW
        self._red = self._red + 1 if seen.red_light > sure else 0
        self._doubt = max(0.0, self._doubt - STEP)
        if not self.safety.red_light or self._red < 2 or self._doubt > 0:
            self._waited = 0.0
            return 0.0
        if seen.speed < 0.2:
            self._waited += STEP
        if self._waited >= LIGHT_TIME:
            self._doubt = LIGHT_REST
            return 0.0
        return 1.0

    def _at_stop_sign(self, control: Control, seen: Perceived) -> float:
        self._rest = max(0.0, self._rest - STEP)
        if not self.safety.stop_sign or seen.stop_sign <= 0.5 or self._rest > 0:
            self._stood = 0.0
            return 0.0
        if seen.speed < 0.2:
            self._stood += STEP
        if self._stood >= SIGN_TIME:
            self._rest, self._stood = SIGN_REST, 0.0
            return 0.0
        return 0.8

    def _too_fast(self, control: Control, seen: Perceived) -> float:
        if not self.safety.overspeed:
            return 0.0
        most = min(1.1 * seen.desired_speed + 1.5, self.safety.speed_limit)
        return 0.5 if seen.speed > most else 0.0

    def _in_the_way(self, control: Control, seen: Perceived) -> float:
        if not self.safety.obstacle or seen.depth is None:
            return 0.0
        room = free_way(seen.depth, control.steer)
        needed = seen.speed**2 / (2 * BRAKING) + seen.speed * REACTION + MARGIN
        return 1.0 if room < needed else 0.0

    def _stuck(self, control: Control, seen: Perceived, acted: list[str]) -> bool:
        """Standing long for no reason that safety knows; then it rolls for two seconds."""
        self._still = self._still + STEP if seen.speed < 0.1 and not acted else 0.0
        if acted:
            self._creeping = 0.0
        if self.safety.creep and self._still > self.safety.creep_after:
            self._creeping, self._still = 2.0, 0.0
        self._creeping = max(0.0, self._creeping - STEP)
        return self._creeping > 0 and control.throttle < 0.4


def free_way(depth: np.ndarray, steer: float) -> float:
    """Metres before the car's front to the nearest thing on its way, infinite where there is none.

    ``depth`` (160, 768) metres; the way is the arc that ``steer`` drives. What stands upright is a
    thing, whatever the network takes it for; a road that rises is none.
    """
    z = np.asarray(depth)[:, FRONT]
    rows, columns = np.arange(STRIP[0])[:, None], np.arange(z.shape[1])[None]
    right = z * ((columns + 0.5 - z.shape[1] / 2) / FOCAL)
    height = EYE - z * ((rows + 0.5 - STRIP[0] / 2) / FOCAL)
    from_axle = z + AHEAD + WHEELBASE / 2
    bend = math.tan(steer * MAX_STEER) / WHEELBASE
    there = (
        (np.abs(right - 0.5 * bend * from_axle**2) < HALF_WIDTH) & (height > LOW) & (height < HIGH)
    )
    there &= z < 40
    face = there & (z < np.where(there, z, math.inf).min(axis=0) + DEEP)
    top = np.where(face, height, -math.inf).max(axis=0)
    rises = top - np.where(face, height, math.inf).min(axis=0)
    found = z[(face & (rises > UPRIGHT)) | (there & (z < CLOSE) & (height > RISES))]
    if len(found) < MIN_POINTS:
        return math.inf
    return float(np.partition(found, MIN_POINTS - 1)[MIN_POINTS - 1]) + AHEAD - BUMPER
