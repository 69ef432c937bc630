"""What several subcommands need to find: maps, routes, worlds, policies."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitrail.errors import InputError, UsageError

if TYPE_CHECKING:
    from carla_drive.driving.policies import DrivingOptions, Policy
    from carla_drive.roads.graph import LaneGraph
    from carla_drive.roads.routes import Route, RouteFile
    from carla_drive.roads.rules import Rules
    from carla_drive.world.interface import Scenario, World

MADE_TOWN, MADE_ROUTE = 5, 160.0  # seed of the town that comes along, and least metres of a route
MAX_ACTORS = 500


@dataclass(frozen=True)
class Ground:
    """A map, ready to be driven."""

    graph: "LaneGraph"
    rules: "Rules"

    @property
    def town(self) -> str:
        return self.graph.map.name


def open_map(path: Path | None) -> Ground:
    """Without a path the town that comes along."""
    from carla_drive.roads.graph import build_graph
    from carla_drive.roads.making import make_town
    from carla_drive.roads.reading import parse_map, read_map
    from carla_drive.roads.rules import build_rules
    from carla_drive.roads.writing import write_map

    if path is None:
        made = make_town(MADE_TOWN)
        map = parse_map(write_map(made), made.name)
    else:
        map = read_map(path)
    graph = build_graph(map)
    return Ground(graph, build_rules(graph))


def open_routes(path: Path | None, ground: Ground) -> "list[RouteFile]":
    """Without a path one route through the map, by chance but always the same. Raises InputError
    where the file's routes are for another town."""
    from carla_drive.roads.routes import read_routes

    if path is None:
        return made_routes(ground, 1, seed=3)
    routes = read_routes(path)
    towns = {route.town for route in routes if route.town}
    if towns and ground.town not in towns:
        problem = f"has routes of {', '.join(sorted(towns))}, the map is {ground.town}"
        raise InputError(path, problem, "give the map of this town")
    return [route for route in routes if route.town in ("", ground.town)]


def made_routes(
    ground: Ground, count: int, seed: int, least: float = MADE_ROUTE
) -> "list[RouteFile]":
    """Routes between places by chance that lie apart and are connected."""
    import math

    import numpy as np

    from carla_drive.roads.routes import RouteFile, plan_route

    rng, found = np.random.default_rng(seed), []
    lanes = [lane for lane in ground.graph.lanes if lane.junction is None and lane.length > 15]
    for _ in range(60 * count):
        if len(found) == count:
            break
        places = []
        for lane in (lanes[i] for i in rng.integers(len(lanes), size=2)):
            point = int(rng.integers(3, len(lane.s) - 3))
            places.append((*lane.points[point, :2], math.degrees(lane.yaw[point])))
        asked = RouteFile(str(len(found)), ground.town, np.array(places))
        try:
            route = plan_route(ground.graph, asked)
        except InputError:
            continue
        if least <= route.length <= 4 * least:
            found.append(asked)
    if not found:
        raise InputError(ground.town, "holds no route of this length", "give a larger map")
    return found


def open_world(address: str) -> "Callable[[], World]":
    """``embedded``, or ``carla://HOST:PORT``."""
    if address == "embedded":
        from carla_drive.world.embedded import EmbeddedWorld

        return EmbeddedWorld
    if address.startswith("carla://"):
        from carla_drive.world.carla_server import CarlaWorld

        return CarlaWorld.maker(address)
    raise UsageError(f"--world {address}", "is no world", "say embedded or carla://HOST:PORT")


def policy_maker(
    name: str, weights: str | None, options: "DrivingOptions", computing: dict[str, str]
) -> "Callable[[World, Scenario], Policy]":
    """Builds the named policy for each route; a network is opened once."""
    from carla_drive.driving import policies
    from carla_drive.driving.control import MODES

    if options.mode not in (known := ("path", *MODES)):
        raise UsageError(f"--mode {options.mode}", "is not known", f"choose {', '.join(known)}")
    if name in policies.SIMPLE:
        if weights is not None:
            raise UsageError(
                "--weights", f"do not drive with --policy {name}", "say --policy model"
            )
        return policies.SIMPLE[name]
    if name != "model":
        raise UsageError(f"--policy {name}", "is not known", f"choose {', '.join(policies.NAMES)}")
    from carla_drive.networks import load_network
    from vitrail.engine import prepare

    network = load_network(weights)
    engine = prepare(network, tolerance=network.tolerance, **computing)
    return lambda world, scenario: policies.ModelPolicy(engine, network.config, scenario, options)


def check_count(name: str, count: int) -> int:
    if not 0 <= count <= MAX_ACTORS:
        raise UsageError(f"--{name} {count}", f"is not in 0..{MAX_ACTORS}", "take a count within")
    return count


def scenario(
    ground: Ground, route: "Route", weather: str, vehicles: int, walkers: int
) -> "Scenario":
    from carla_drive.world.interface import Scenario
    from carla_drive.world.weather import weather as known

    known(weather)
    return Scenario(
        ground.graph,
        ground.rules,
        route,
        weather,
        check_count("traffic", vehicles),
        check_count("walkers", walkers),
        town=ground.town,
    )


def make_folder(output: Path) -> None:
    """Makes it where it is not yet; InputError where it cannot be made."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            output, f"cannot be made ({error.strerror})", "name another folder"
        ) from error
