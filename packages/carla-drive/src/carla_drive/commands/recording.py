"""``carla-drive record``: drives of the expert, to learn from."""

from pathlib import Path
from typing import Annotated

import typer

from carla_drive.commands.options import Driving
from vitrail.errors import UsageError
from vitrail.options import Computing, Debug, Json, Quiet, bundled

WEATHERS = "ClearNoon,CloudyNoon,WetNoon,MidRainyNoon,ClearSunset,ClearNight,HardRainNight,FogNoon"


@bundled
def record(
    driving: Driving,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the recording goes.")
    ] = Path("recording"),
    maps: Annotated[
        list[Path] | None, typer.Option("--map", metavar="FILE", help="OpenDRIVE; may come often.")
    ] = None,
    towns: Annotated[
        int, typer.Option(metavar="N", min=0, help="So many made towns beside them.")
    ] = 4,
    first_town: Annotated[
        int, typer.Option(metavar="SEED", min=0, help="Seed of the first made town.")
    ] = 100,
    frames: Annotated[int, typer.Option(metavar="N", min=1, help="How many frames in all.")] = 200,
    per_route: Annotated[
        int, typer.Option(metavar="N", min=1, help="At most so many of one route.")
    ] = 60,
    frame_every: Annotated[
        int, typer.Option(metavar="STEPS", min=1, help="Steps of 0.05 s between frames.")
    ] = 10,
    weathers: Annotated[str, typer.Option(metavar="NAMES", help="Taken in turns.")] = WEATHERS,
    disturb: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Of the time the wheel is pushed.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(min=0, help="Of everything.")] = 1,
    dagger: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=1, help="Of the time the network drives.")
    ] = 0.0,
    *,
    computing: Computing,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Record drives of the expert in the layout of the TransFuser data set of 2022.

    Every route has another city, weather, camera and density. With --dagger a network drives while
    the expert says what would have been right. Depth is stored in the cameras' own order, which
    index.json says.
    """
    import numpy as np

    from carla_drive.commands.setting import (
        Ground,
        made_routes,
        make_folder,
        open_map,
        policy_maker,
    )
    from carla_drive.driving import recording
    from carla_drive.roads.graph import build_graph
    from carla_drive.roads.making import make_town
    from carla_drive.roads.reading import parse_map
    from carla_drive.roads.routes import plan_route
    from carla_drive.roads.rules import build_rules
    from carla_drive.roads.writing import write_map
    from carla_drive.world.embedded import EmbeddedWorld
    from carla_drive.world.interface import Scenario
    from carla_drive.world.weather import weather
    from vitrail.say import say

    names = [weather(name).name for name in weathers.split(",")]
    grounds = [open_map(path) for path in maps or ()]
    for number in range(towns):
        made = make_town(first_town + number)
        graph = build_graph(parse_map(write_map(made), made.name))
        grounds.append(Ground(graph, build_rules(graph)))
    if not grounds:
        raise UsageError("record", "has no map", "give --map or --towns")
    pupil = (
        policy_maker("model", driving.weights, driving.to_options(), computing.to_dict())
        if dagger
        else None
    )
    make_folder(output)
    rng, kept, drives = np.random.default_rng(seed), 0, 0
    while kept < frames:
        ground = grounds[drives % len(grounds)]
        (asked,) = made_routes(ground, 1, seed=int(rng.integers(1 << 30)), least=90.0)
        density = int(rng.choice([0, 8, 16, 30]))
        scene = Scenario(
            ground.graph,
            ground.rules,
            plan_route(ground.graph, asked),
            names[int(rng.integers(len(names)))],
            density,
            int(rng.choice([0, 15, 30])),
            town=ground.town,
        )
        folder = output / ground.town / f"{seed}-{drives:04d}"
        rows = recording.record(
            EmbeddedWorld(fresh_look=True),
            scene,
            seed * 10_000 + drives,
            folder,
            every=frame_every,
            most=min(per_route, frames - kept),
            disturbance=recording.Disturbance(disturb),
            pupil=pupil,
            pupil_share=dagger,
        )
        kept, drives = kept + len(rows), drives + 1
        settings = {"every": frame_every, "seed": seed, "dagger": dagger, "disturb": disturb}
        recording.write_index(output, rows, settings)
        row = {
            "drive": str(folder),
            "town": ground.town,
            "weather": scene.weather,
            "frames": len(rows),
            "so_far": kept,
        }
        say(
            row,
            f"{ground.town}, {scene.weather}: {len(rows)} frames, {kept} of {frames}",
            json=json,
            quiet=quiet,
        )
    return 0
