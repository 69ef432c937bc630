"""Expert drives on disk, in the layout of the TransFuser data set of 2022.

``<town>/<route>-<seed>/rgb|depth|semantics/0000.png`` and ``measurements/0000.json``; strips of 960
x 160, left, front, right. ``index.json`` at the top names every frame and says how depth is stored.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carla_drive.driving.expert import Advice, Expert
from carla_drive.driving.policies import CAMERAS, Navigator
from carla_drive.scoring.score import Scorer
from carla_drive.scoring.trace import to_row
from carla_drive.world.depth import encode_depth
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import Control, Observation, Scenario

EVERY = 10  # steps of 0.05 s between two frames, as the data set has it
STOP_SIGN_NEAR = 12.0  # m ahead within which a stop sign counts as there
RED_LIGHT_NEAR = 25.0  # m
INDEX = "index.json"


@dataclass(frozen=True)
class Disturbance:
    """Pushes the wheel now and then, so that the expert shows how to come back: ``share`` of the
    time, up to ``steer``."""

    share: float = 0.0
    steer: float = 0.35
    length: float = 0.7  # s


def record(
    world: EmbeddedWorld,
    scenario: Scenario,
    seed: int,
    folder: Path,
    *,
    every: int = EVERY,
    most: int | None = None,
    disturbance: Disturbance = Disturbance(),
    pupil: Callable[[EmbeddedWorld, Scenario], Any] | None = None,
    pupil_share: float = 0.0,
) -> list[dict[str, Any]]:
    """Drives one route and keeps a frame each ``every`` steps, at most ``most``: the index rows.

    With a ``pupil`` (DAgger) it drives ``pupil_share`` of the stretches of three seconds, while the
    expert's advice is what is kept.
    """
    rng = np.random.default_rng([seed, 7])
    seen = world.reset(scenario, seed)
    expert, navigator = Expert(world), Navigator(scenario.route)
    policy = pupil(world, scenario) if pupil else None
    scorer = Scorer(scenario.graph, scenario.rules, scenario.route)
    rows: list[dict[str, Any]] = []
    push, push_left, pupil_drives = 0.0, 0.0, False
    for name in ("rgb", "depth", "semantics", "measurements"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    while not scorer.end and (most is None or len(rows) < most):
        is_kept = seen.frame % every == 0 and bool(seen.pictures)
        advice = expert.act(teach=is_kept)
        target, command = navigator.update(seen)
        if is_kept:
            name = f"{len(rows):04d}"
            row = measurements(world, seen, advice, target, command)
            save_frame(folder, name, seen, row)
            rows.append(
                {
                    "frame": f"{folder.parent.name}/{folder.name}",
                    "name": name,
                    "town": scenario.town,
                }
            )
        control = advice.control
        if policy is not None:
            if seen.frame % 60 == 0:
                pupil_drives = rng.random() < pupil_share
            decision = policy.act(seen)
            if pupil_drives:
                control = decision.control
        if push_left <= 0 and rng.random() < disturbance.share * 0.05 / disturbance.length:
            push, push_left = rng.uniform(-1, 1) * disturbance.steer, disturbance.length
        if push_left > 0:
            push_left -= 0.05
            control = Control(control.steer + push, control.throttle, control.brake)
        scorer.feed(to_row(seen, control))
        next_kept = (seen.frame + 1) % every == 0
        wants = policy is not None and policy.wants_pictures()
        seen = world.step(control, draw=bool(next_kept or wants))
    return rows


def measurements(
    world: EmbeddedWorld, seen: Observation, advice: Advice, target: np.ndarray, command: int
) -> dict[str, Any]:
    """One frame's numbers under the data set's names, and the expert's plan beside them.

    ``x``, ``y``, ``theta`` are the release's: x north, y east, compass in radians.
    """
    x, y, _, yaw = seen.pose
    light = seen.light
    red = light is not None and light.state in ("red", "yellow") and light.distance < RED_LIGHT_NEAR
    sign = world.progress.next_control(world.scenario.rules, "stop", 2.25, STOP_SIGN_NEAR)
    theta = yaw + math.pi / 2
    turn = theta + math.pi / 2
    cos, sin = math.cos(turn), math.sin(turn)
    north = np.array([-y, x])
    command_point = north + np.array([[cos, -sin], [sin, cos]]) @ target
    hazards, lanes = advice.hazards, world.scenario.graph.lanes
    junction = lanes[int(world.scenario.route.lane[world.progress.index])].junction
    return {
        "x": -y,
        "y": x,
        "theta": theta,
        "speed": float(seen.speed),
        "target_speed": float(advice.target_speed),
        "x_command": float(command_point[0]),
        "y_command": float(command_point[1]),
        "command": command,
        "steer": float(advice.control.steer),
        "throttle": float(advice.control.throttle),
        "brake": bool(advice.control.brake > 0.1),
        "junction": junction is not None,
        "vehicle_hazard": ["vehicle"] if "vehicle" in hazards else [],
        "light_hazard": bool(red and light is not None and light.state == "red"),
        "walker_hazard": ["pedestrian"] if "pedestrian" in hazards else [],
        "stop_sign_hazard": sign is not None,
        "plan": {"waypoints": advice.waypoints.tolist(), "path": advice.path.tolist()},
        "time": seen.time,
    }


def save_frame(folder: Path, name: str, seen: Observation, row: dict[str, Any]) -> None:
    pictures = [seen.pictures[camera] for camera in CAMERAS]
    rgb = np.concatenate([picture.rgb for picture in pictures], axis=1)
    depth = np.concatenate([picture.depth for picture in pictures], axis=1)
    semantics = np.concatenate([picture.semantics for picture in pictures], axis=1)
    Image.fromarray(rgb).save(folder / "rgb" / f"{name}.png", compress_level=1)
    Image.fromarray(encode_depth(depth, "carla")).save(
        folder / "depth" / f"{name}.png", compress_level=1
    )
    Image.fromarray(semantics).save(folder / "semantics" / f"{name}.png")
    (folder / "measurements" / f"{name}.json").write_text(json.dumps(row))


def write_index(root: Path, rows: list[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Adds to an index that is there already; ``depth_order`` of all frames is the cameras' own."""
    path = root / INDEX
    kept: list[dict[str, Any]] = []
    if path.exists():
        kept = json.loads(path.read_text())["frames"]
    known = {(row["frame"], row["name"]) for row in rows}
    kept = [row for row in kept if (row["frame"], row["name"]) not in known]
    content = {"depth_order": "carla", "settings": settings, "frames": kept + rows}
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
