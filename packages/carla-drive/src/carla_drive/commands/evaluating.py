"""``carla-drive evaluate``: many routes, many seeds, one table."""

import json as json_module
from pathlib import Path
from typing import Annotated, Any

import typer

from carla_drive.commands.options import Driving, Setting
from vitrail.errors import InputError, UsageError, one_line
from vitrail.options import Computing, Debug, Json, Quiet, bundled


@bundled
def evaluate(
    setting: Setting,
    driving: Driving,
    routes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Leaderboard routes (default: made ones).")
    ] = None,
    made: Annotated[int, typer.Option(metavar="N", min=1, help="How many routes are made.")] = 3,
    policy: Annotated[str, typer.Option(help="model, expert, lane or blind.")] = "expert",
    seeds: Annotated[
        str, typer.Option(metavar="N,N", help="Of traffic, people and lights.")
    ] = "1,2,3",
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where results go.")
    ] = Path("out"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an earlier call.")] = False,
    *,
    computing: Computing,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Drive every route with every seed and score it as leaderboard 1.0 does.

    Writes results.json, results.html and for each drive <route>-<seed>/trace.jsonl. A route on
    which the simulator was lost or the agent failed counts with what it reached, and is listed.
    """
    from carla_drive.commands import setting as found
    from carla_drive.driving.drive import STOPPED, drive
    from carla_drive.roads.routes import plan_route
    from carla_drive.scoring.results import Results, write_page
    from vitrail.command import report_failure
    from vitrail.job import Failure
    from vitrail.say import say, say_tables, warn
    from vitrail.sources import sha256

    numbers = _seeds(seeds)
    ground = found.open_map(setting.map)
    asked = (
        found.open_routes(routes, ground) if routes else found.made_routes(ground, made, seed=11)
    )
    settings = {
        "policy": policy,
        "map": sha256(setting.map) if setting.map else ground.town,
        "routes": sha256(routes) if routes else f"{made} made",
        "weather": setting.weather,
        "traffic": setting.traffic,
        "walkers": setting.people,
        "world": setting.world,
    }
    if policy == "model":
        from carla_drive.networks import load_network

        settings |= {"weights": load_network(driving.weights).sha256, **_options(driving)}
    maker = found.policy_maker(policy, driving.weights, driving.to_options(), computing.to_dict())
    found.make_folder(output)
    results = Results.open(output / "results.json", settings, resume=resume)
    for remark in results.remarks:
        warn("carla-drive", remark)
    world, failed = found.open_world(setting.world)(), False
    try:
        for route in asked:
            try:
                planned = plan_route(ground.graph, route)
            except InputError as error:
                report_failure(
                    "carla-drive", f"route {route.id}", Failure(route.id, error.reason, error)
                )
                results.fail(route.id, error.reason)
                failed = True
                continue
            scene = found.scenario(
                ground, planned, route.weather or setting.weather, setting.traffic, setting.people
            )
            for seed in numbers:
                if results.has(route.id, seed):
                    continue
                folder = output / f"{_safe(route.id)}-{seed}"
                folder.mkdir(exist_ok=True)
                score = drive(world, scene, maker, seed, folder / "trace.jsonl")
                if score.end == STOPPED:
                    raise KeyboardInterrupt
                row = results.add(route.id, seed, planned.length, score, planned.remarks)
                failed |= score.end.startswith(("simulator lost", "agent failed"))
                sentence = (
                    f"route {route.id}, seed {seed}: {score.driving:.1f} of 100, {score.end}, "
                    f"{', '.join(f'{n} {k}' for k, n in score.counts.items()) or 'no infraction'}"
                )
                say(row, sentence, json=json, quiet=quiet)
    finally:
        world.close()
    tables = results.tables()
    write_page(output / "results.html", tables, results)
    if not quiet or json:
        say_tables(tables, json=json)
    return int(failed)


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--seeds {text}", "are not whole numbers", "give them as 1,2,3"
        ) from error
    if min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise UsageError(f"--seeds {text}", "are below 0 or come twice", "give them as 1,2,3")
    return seeds


def _options(driving: Driving) -> dict[str, Any]:
    options = driving.to_options()
    return {
        "mode": options.mode,
        "every": options.every,
        "target_points": options.target_points,
        "safety": json_module.loads(json_module.dumps(options.safety.__dict__)),
    }


def _safe(id: str) -> str:
    """A route's id as the name of a folder."""
    return (
        "".join(c if c.isalnum() or c in "-_." else "_" for c in one_line(id, 60)).lstrip(".")
        or "route"
    )
