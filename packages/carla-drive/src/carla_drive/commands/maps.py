"""``carla-drive map``: what a map holds, what is wrong with it, and routes through it."""

import math
from pathlib import Path
from typing import Annotated

import typer

from vitrail.errors import UsageError


def describe(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An OpenDRIVE map (.xodr).")],
    route: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="Twice: from where to where; writes a route file."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Write map.png (and route.xml) here."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """What is in this map, and what is wrong with it?

    Prints kilometres of driving lane, junctions, lights and dead ends. With -o it draws the map;
    with --route X,Y twice (CARLA's metres, y to the right) it also writes a leaderboard route.
    """
    from carla_drive.commands.setting import make_folder, open_map
    from carla_drive.roads.drawing import draw_map
    from carla_drive.roads.routes import RouteFile, plan_route, write_route
    from vitrail.output import atomic_file
    from vitrail.say import say

    ends = [_place(text) for text in route or ()]
    if len(ends) not in (0, 2):
        raise UsageError("--route", "wants two places", "give --route X,Y --route X,Y")
    ground = open_map(file)
    graph = ground.graph
    row = {
        "map": str(file),
        "driving_km": round(graph.length / 1000, 3),
        "lanes": len(graph.lanes),
        "roads": len(graph.map.roads),
        "junctions": len(graph.map.junctions),
        "lights": len(ground.rules.lights),
        "stop_signs": len(ground.rules.signs),
        "dead_ends": sorted({lane.key[0] for lane in graph.dead_ends()}),
        "problems": list(graph.problems),
    }
    planned = None
    if ends:
        import numpy as np

        asked = RouteFile("0", ground.town, np.array([(*end, math.nan) for end in ends]))
        planned = plan_route(graph, asked)
        row["route_m"] = round(planned.length, 1)
        row["remarks"] = list(planned.remarks)
    if output is not None:
        make_folder(output)
        with atomic_file(output / "map.png") as temporary:
            draw_map(ground.graph, ground.rules, planned).save(temporary, "PNG")
        if planned is not None:
            kept = [planned.xyz[i] for i in planned.targets]
            yaws = [math.degrees(planned.yaw[i]) for i in planned.targets]
            points = [(float(p[0]), float(p[1]), yaw) for p, yaw in zip(kept, yaws, strict=True)]
            write_route(output / "route.xml", points, ground.town)
    sentence = (
        f"{row['driving_km']} km of driving lane on {row['roads']} roads, "
        f"{row['junctions']} junctions, {row['lights']} lights, {row['stop_signs']} stop signs, "
        f"dead ends on {', '.join(row['dead_ends']) or 'no road'}; "
        f"{'; '.join(row['problems']) or 'nothing wrong'}"
    )
    say(row, sentence, json=json, quiet=False)
    return 0


def _place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--route {text}", "is not X,Y", "give two numbers, as 92.5,-133"
        ) from error
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UsageError(f"--route {text}", "is not finite", "give two numbers, as 92.5,-133")
    return x, y
