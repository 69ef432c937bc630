"""What a step of the embedded world costs: drawing compiled against drawing with NumPy (the same
pixels), by cameras and by actors.

    python benchmarks/carla-drive.py [--quick]

CPU seconds of one thread on the town that comes along, the car standing at the start of its route.
``draw`` is a picture of 320 x 160 per camera with depth, semantics and instances; ``move`` a step
of everybody without pictures. ``ratio`` is NumPy's time over the compiled one's.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console

from carla_drive.commands.setting import open_map, open_routes
from carla_drive.roads.routes import plan_route
from carla_drive.world.camera import LETFUSER, Camera
from carla_drive.world.embedded import EmbeddedWorld
from carla_drive.world.interface import Control, Scenario
from vitrail.report import Table

STILL = Control(0.0, 0.0, 1.0)
AROUND = (*LETFUSER, *(Camera(f"back {yaw}", yaw=yaw) for yaw in (120, 180, 240)))


def cost(action: Callable[[], object], repeats: int) -> float:
    """The median CPU seconds of one call; one before it is not counted."""
    action()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return float(np.median(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats and cases")
    quick = parser.parse_args().quick
    ground, rows = open_map(None), []
    route = plan_route(ground.graph, open_routes(None, ground)[0])
    cases = [(3, 20)] if quick else [(1, 20), (3, 0), (3, 20), (3, 100), (6, 20)]
    for cameras, actors in cases:
        scene = Scenario(
            ground.graph, ground.rules, route, "ClearNoon", actors, actors, AROUND[:cameras]
        )
        drawn = {}
        for compiled in (True, False):
            world = EmbeddedWorld(compiled=compiled)
            world.reset(scene, 1)
            draw = cost(lambda world=world: world._observe(draw=True), 3 if quick else 7)
            drawn[compiled] = draw
        move = cost(lambda world=world: world.step(STILL, draw=False), 40)
        rows.append(
            (
                cameras,
                actors,
                round(drawn[True], 3),
                round(drawn[False], 3),
                round(drawn[False] / drawn[True], 1),
                round(move, 4),
            )
        )
    columns = ("cameras", "cars and people, each", "draw, s", "with NumPy, s", "ratio", "move, s")
    Console().print(Table("A step of the embedded world", columns, rows).to_rich())


if __name__ == "__main__":
    main()
