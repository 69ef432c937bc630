"""The policies that can drive a route, behind one interface."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from carla_drive.driving.control import Controller
from carla_drive.driving.expert import Expert
from carla_drive.driving.safety import Guard, Perceived, Safety
from carla_drive.driving.steering import pedals, pursue
from carla_drive.models.config import STRIP
from carla_drive.roads.routes import Command, Route
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import Control, Observation, Scenario, World, local
from carla_drive.world.progress import Progress
from vitrail.errors import UsageError

BLIND_SPEED = 6.0  # m/s of the policies that see nobody
NEAR_TARGET = 7.5  # m within which a target point is passed
CAMERAS = ("left", "front", "right")


@dataclass(frozen=True)
class Decision:
    """What is done, and for the film what was meant: ``waypoints`` (N, 2) and ``target`` (2,) right
    and, negative, ahead; ``acted`` the parts of safety that changed the control."""

    control: Control
    waypoints: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    target: np.ndarray | None = None
    command: int = int(Command.follow)
    acted: tuple[str, ...] = ()
    red_light: float | None = None
    semantics: np.ndarray | None = None


class Policy(Protocol):
    needs_pictures: bool

    def act(self, seen: Observation) -> Decision: ...


class Navigator:
    """The next target point and command of a route, as an agent is told them."""

    def __init__(self, route: Route):
        self.route, self.progress = route, Progress(route)

    def update(self, seen: Observation) -> tuple[np.ndarray, int]:
        """(2,) right and, negative, ahead in metres; the command 1 to 6."""
        x, y, _, yaw = seen.pose
        self.progress.update(x, y)
        route, at = self.route, self.progress.index
        left = route.targets[route.s[route.targets] > route.s[at] + NEAR_TARGET]
        target = int(left[0]) if len(left) else len(route.s) - 1
        ahead, right = local(route.xyz[target, :2], x, y, yaw)
        soon = int(np.searchsorted(route.s, route.s[at] + 6.0).clip(0, len(route.s) - 1))
        command = int(route.command[soon])
        if command == Command.follow and route.s[target] - route.s[at] < 15:
            command = int(route.command[target])
        return np.array([right, -ahead]), command


class ExpertPolicy:
    """The privileged expert; it needs the embedded world's truth."""

    needs_pictures = False

    def __init__(self, world: World, scenario: Scenario):
        if not isinstance(world, EmbeddedWorld):
            raise UsageError(
                "--policy expert", "knows only the embedded world", "use --policy model"
            )
        self._expert = Expert(world)
        self._navigator = Navigator(scenario.route)

    def act(self, seen: Observation) -> Decision:
        advice = self._expert.act(teach=bool(seen.pictures))  # only a film shows waypoints
        target, command = self._navigator.update(seen)
        return Decision(advice.control, advice.waypoints, target, command, advice.hazards)


class LanePolicy:
    """Knows its lane and drives it at constant speed; sees nobody and no light."""

    needs_pictures = False

    def __init__(self, world: World, scenario: Scenario):
        self._navigator = Navigator(scenario.route)

    def act(self, seen: Observation) -> Decision:
        target, command = self._navigator.update(seen)
        x, y, _, yaw = seen.pose
        route, at = self._navigator.route, self._navigator.progress.index
        ahead = local(route.xyz[at : at + 30, :2], x, y, yaw)
        steer = pursue(ahead, seen.speed) if len(ahead) > 1 else 0.0
        control = _at_speed(BLIND_SPEED, seen.speed, steer)
        meant = np.stack([ahead[5:16:5, 1], -ahead[5:16:5, 0]], axis=1)
        return Decision(control, meant, target, command)


class BlindPolicy:
    """Steers at the target points, without a camera."""

    needs_pictures = False

    def __init__(self, world: World, scenario: Scenario):
        self._navigator = Navigator(scenario.route)

    def act(self, seen: Observation) -> Decision:
        target, command = self._navigator.update(seen)
        steer = pursue(np.array([[-target[1], target[0]]]), seen.speed)
        return Decision(_at_speed(BLIND_SPEED, seen.speed, steer), target[None], target, command)


# Those that need no network, by the names that commands and recipes give them
SIMPLE: Mapping[str, Callable[[World, Scenario], Policy]] = {
    "expert": ExpertPolicy,
    "lane": LanePolicy,
    "blind": BlindPolicy,
}
NAMES = ("model", *SIMPLE)


def _at_speed(wanted: float, speed: float, steer: float) -> Control:
    return pedals(min(max(1.2 * (wanted - speed), -3.0), 2.0), speed, steer)


@dataclass(frozen=True)
class DrivingOptions:
    """How a network's outputs become controls. ``mode``: ``path`` follows its path at its target
    speed; the others are the release's ways to blend two PID controllers with its controls.
    ``every`` steps the network looks again; ``target_points`` off hides them, an ablation."""

    mode: str = "path"
    every: int = 2
    target_points: bool = True
    safety: Safety = field(default_factory=Safety)


class ModelPolicy:
    """LeTFuser drives. ``network`` maps a batch of its five inputs to ``models.Outputs`` as
    arrays; ``speed_bins`` are those of its weights."""

    needs_pictures = True

    def __init__(self, network: Any, facts: Any, scenario: Scenario, options: DrivingOptions):
        if options.mode == "path" and not (facts.path_points and facts.speed_bins):
            raise UsageError("--mode path", "these weights have no path", "take one_of")
        self._network, self._facts, self._options = network, facts, options
        self._navigator = Navigator(scenario.route)
        self._guard = Guard(options.safety)
        mode: Any = "one_of" if options.mode == "path" else options.mode
        self._controller = Controller(mode)
        self._last: tuple[Control, Perceived, Decision] | None = None
        self._age = 0

    def wants_pictures(self) -> bool:
        return self._last is None or self._age + 1 >= self._options.every

    def act(self, seen: Observation) -> Decision:
        target, command = self._navigator.update(seen)
        if self._last is None or self._age + 1 >= self._options.every:
            self._last = self._look(seen, target, command)
            self._age = 0
        else:
            self._age += 1
        control, perceived, decision = self._last
        now = Perceived(
            seen.speed,
            perceived.desired_speed,
            perceived.red_light,
            perceived.stop_sign,
            perceived.depth,
        )
        control, acted = self._guard.step(control, now)
        return Decision(
            control,
            decision.waypoints,
            target,
            command,
            acted,
            decision.red_light,
            decision.semantics,
        )

    def _look(self, seen: Observation, target: np.ndarray, command: int):
        rgb, depth = strip(seen)
        told = target if self._options.target_points else np.array([0.0, -20.0])
        one_hot = np.zeros(6, np.float32)
        one_hot[command - 1 if 1 <= command <= 6 else 3] = 1
        batch = (
            rgb.transpose(2, 0, 1)[None].astype(np.float32),
            (depth / 1000)[None].astype(np.float32),
            told[None].astype(np.float32),
            np.array([seen.speed], np.float32),
            one_hot[None],
        )
        out = [np.asarray(part)[0] for part in self._network(*batch)]
        logits, waypoints, control, red, stop, _, path, bins = out
        semantics = logits.argmax(axis=0).astype(np.uint8)
        if self._options.mode == "path":
            chances = np.exp(bins - bins.max())
            wanted = float(chances @ np.array(self._facts.speed_bins) / chances.sum())
            ahead = np.stack([-path[:, 1], path[:, 0]], axis=1)
            steer = pursue(np.concatenate([[[0.0, 0.0]], ahead]), seen.speed)
            brakes = wanted < 0.6 or wanted < seen.speed - 2.0
            push = -4.0 if brakes and seen.speed > 0.3 else 1.5 * (wanted - seen.speed)
            driven = pedals(min(max(push, -5.0), 2.2), seen.speed, steer)
            if wanted < 0.6:
                driven = Control(steer, 0.0, max(driven.brake, 0.4))
            if not (np.isfinite(path).all() and math.isfinite(wanted)):
                driven = Control(math.nan, 0.0, 1.0)  # the guard says so, and brakes
            meant = path
        else:
            blended = self._controller.step(waypoints, seen.speed, control[0])
            driven = Control(blended.steer, blended.throttle, blended.brake)
            wanted, meant = blended.desired_speed, waypoints
        perceived = Perceived(seen.speed, wanted, float(red), float(stop), depth)
        decision = Decision(driven, meant, target, command, (), float(red), semantics)
        return driven, perceived, decision


def strip(seen: Observation) -> tuple[np.ndarray, np.ndarray]:
    """RGB (160, 768, 3) uint8 and depth (160, 768) metres of the three cameras, side by side and
    cropped as LeTFuser sees them; UsageError names a camera that is missing or of other size."""
    pictures = []
    for name in CAMERAS:
        picture = seen.pictures.get(name)
        if picture is None:
            raise UsageError(
                f"camera {name}", "gave no picture", "LeTFuser needs left, front, right"
            )
        if picture.depth.shape != (160, 320):
            height, width = picture.depth.shape
            raise UsageError(f"camera {name}", f"is {width} x {height}", "LeTFuser needs 320 x 160")
        pictures.append(picture)
    first = (3 * 320 - STRIP[1]) // 2
    kept = slice(first, first + STRIP[1])
    rgb = np.concatenate([picture.rgb for picture in pictures], axis=1)[:, kept]
    depth = np.concatenate([picture.depth for picture in pictures], axis=1)[:, kept]
    return rgb, depth
