"""``carla-drive run`` and ``replay``: one route as a film."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from carla_drive.commands.options import Driving, Setting
from vitrail.errors import InputError, UsageError
from vitrail.options import Computing, Debug, Json, Quiet, bundled

if TYPE_CHECKING:
    from carla_drive.driving.drive import Moment

FILM_EVERY = 2  # steps of 0.05 s between two frames


@bundled
def run(
    setting: Setting,
    driving: Driving,
    route: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A leaderboard route file (default: ours).")
    ] = None,
    route_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Which of its routes (default: the first).")
    ] = None,
    policy: Annotated[str, typer.Option(help="model, expert, lane or blind.")] = "expert",
    seed: Annotated[int, typer.Option(min=0, help="Of traffic, people and lights.")] = 1,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where the film goes.")
    ] = Path("out"),
    *,
    computing: Computing,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Drive one route and film it.

    Without options it drives a route in a town that comes along. Writes drive.mp4 with the cameras,
    a bird's-eye view, the meant and the driven way, the controls and what safety did, and beside it
    trace.jsonl and result.json. Ctrl-C ends the drive and keeps what was filmed.
    """
    import json as json_module
    import signal

    from carla_drive.commands.setting import (
        open_map,
        open_routes,
        open_world,
        policy_maker,
        scenario,
    )
    from carla_drive.driving.drive import STOPPED, drive
    from carla_drive.roads.routes import plan_route
    from carla_drive.scoring.board import Board
    from carla_drive.world.interface import STEP
    from vitrail.command import INTERRUPTED
    from vitrail.output import atomic_folder
    from vitrail.preprocess.film import Film
    from vitrail.say import say

    ground = open_map(setting.map)
    routes = open_routes(route, ground)
    asked = next((one for one in routes if route_id in (None, one.id)), None)
    if asked is None:
        raise UsageError(
            f"--route-id {route_id}", "is in no route of the file", f"its first is {routes[0].id}"
        )
    planned = plan_route(ground.graph, asked)
    scene = scenario(ground, planned, setting.weather, setting.traffic, setting.people)
    maker = policy_maker(policy, driving.weights, driving.to_options(), computing.to_dict())
    world = open_world(setting.world)()
    board = Board(ground.graph, planned)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with atomic_folder(output) as folder:
            with Film(folder / "drive.mp4") as film:
                begun: list[float] = []

                def watch(moment: "Moment") -> None:
                    if moment.seen.frame % FILM_EVERY == 0:
                        begun.append(moment.seen.time)
                        time = moment.seen.time - begun[0]
                        film.add(_frame(board, moment), time, FILM_EVERY * STEP)

                score = drive(
                    world,
                    scene,
                    maker,
                    seed,
                    folder / "trace.jsonl",
                    watch=watch,
                    pictures_every=FILM_EVERY,
                )
            row = {
                "route": asked.id,
                "town": ground.town,
                "policy": policy,
                "seed": seed,
                "remarks": list(planned.remarks),
                **score.to_dict(),
            }
            (folder / "result.json").write_text(json_module.dumps(row, indent=1) + "\n")
    finally:
        world.close()
        signal.signal(signal.SIGTERM, before)
    sentence = (
        f"route {asked.id} {score.end}: driving score {score.driving:.1f}, "
        f"{score.completion:.0f} % of {planned.length:.0f} m; film in {output / 'drive.mp4'}"
    )
    say({**row, "events": None}, sentence, json=json, quiet=quiet)
    if score.end == STOPPED:
        return INTERRUPTED
    return 0 if score.end == "completed" else 4


def _frame(board: Any, moment: "Moment") -> Any:
    from carla_drive.scoring.board import command_name
    from carla_drive.scoring.trace import to_row

    decision = moment.decision
    lines = [f"told to {command_name(decision.command)}"]
    if decision.red_light is not None:
        lines.append(f"red light {decision.red_light:.2f}")
    if decision.acted:
        lines.append("slowed by " + ", ".join(decision.acted))
    row = to_row(moment.seen, decision.control)
    return board.frame(row, moment.seen, decision.waypoints, lines)


def replay(
    trace: Annotated[Path, typer.Argument(metavar="TRACE", help="A trace.jsonl of a drive.")],
    map: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The map it was driven on.")
    ] = None,
    routes: Annotated[Path | None, typer.Option(metavar="FILE", help="The route file.")] = None,
    route_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Which route (default: the trace's folder).")
    ] = None,
    score: Annotated[
        bool, typer.Option("--score", help="Print the score instead of a film.")
    ] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The film to write.")
    ] = Path("replay.mp4"),
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Show a drive again, or score it from its trace alone."""
    from carla_drive.commands.setting import open_map, open_routes
    from carla_drive.roads.routes import plan_route
    from carla_drive.scoring.board import Board
    from carla_drive.scoring.score import score_rows
    from carla_drive.scoring.trace import read_trace
    from carla_drive.world.interface import STEP
    from vitrail.output import atomic_file
    from vitrail.preprocess.film import Film
    from vitrail.say import say

    rows = read_trace(trace)
    ground = open_map(map)
    found = open_routes(routes, ground)
    wanted = route_id or trace.resolve().parent.name.rpartition("-")[0]
    asked = next((one for one in found if one.id == wanted), found[0] if len(found) == 1 else None)
    if asked is None:
        raise InputError(trace, "does not say which route it drove", "give --route-id")
    planned = plan_route(ground.graph, asked)
    if score:
        result = score_rows(ground.graph, ground.rules, planned, rows)
        done = f"completion {result.completion:.1f} %, {result.end}"
        sentence = f"driving score {result.driving:.2f}, {done}"
        say(
            {"trace": str(trace), "route": asked.id, **result.to_dict()},
            sentence,
            json=json,
            quiet=quiet,
        )
        return 0
    board = Board(ground.graph, planned)
    with atomic_file(output) as temporary:
        named = temporary.with_suffix(".mp4")
        with Film(named) as film:
            for row in rows[::FILM_EVERY]:
                film.add(board.frame(row), row["t"] - rows[0]["t"], FILM_EVERY * STEP)
        named.replace(temporary)
    say({"trace": str(trace), "film": str(output)}, f"film in {output}", json=json, quiet=quiet)
    return 0
